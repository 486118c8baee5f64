//! Signs of life on a terminal, for what takes long. Nothing is written where standard error is no terminal.

use std::{
    cell::Cell,
    io::{IsTerminal, Write},
    time::Instant,
};

use serde_json::Value;

/// A line that is written again and again, and gone at the end.
pub struct Waiting {
    shown: Cell<bool>,
    terminal: bool,
    started: Instant,
}

impl Waiting {
    pub fn start() -> Waiting {
        Waiting { shown: Cell::new(false), terminal: std::io::stderr().is_terminal(), started: Instant::now() }
    }

    pub fn tick(&self, what: &str) {
        if self.terminal {
            self.shown.set(true);
            eprint!("\r\x1b[K{what}, {} s", self.started.elapsed().as_secs());
            let _ = std::io::stderr().flush();
        }
    }

    /// A recording or replay that runs: how much of it is done, or its bytes so far, as far as the server says.
    pub fn running(&self, object: &Value) {
        let id = super::text(object, "id");
        let bytes = object.get("size").and_then(Value::as_i64).filter(|bytes| *bytes > 0);
        let done = object.get("progress").and_then(Value::as_f64).filter(|done| *done > 0.0);
        self.tick(&match (done, bytes) {
            (Some(done), _) => format!("{} {id}", bar(done)),
            (None, Some(bytes)) => format!("{id} is running, {}", super::look::size(bytes)),
            (None, None) => format!("{id} is running"),
        });
    }

    /// `done` of `all` bytes.
    pub fn bytes(&self, done: u64, all: Option<u64>) {
        let size = |bytes: u64| super::look::size(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.tick(&match all.filter(|all| *all > 0) {
            Some(all) => format!("{} {} of {}", bar(done as f64 / all as f64), size(done), size(all)),
            None => size(done),
        });
    }
}

/// A bar that is filled to a fraction.
fn bar(fraction: f64) -> String {
    const CELLS: usize = 40;
    let filled = ((CELLS as f64 * fraction) as usize).min(CELLS);
    format!("[{}{}] {:3.0} %", "#".repeat(filled), ".".repeat(CELLS - filled), 100.0 * fraction.clamp(0.0, 1.0))
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.shown.get() {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_whatever_the_fraction() {
        assert_eq!(bar(0.25), format!("[{}{}]  25 %", "#".repeat(10), ".".repeat(30)));
        assert_eq!(bar(7.0), format!("[{}] 100 %", "#".repeat(40)));
        assert_eq!(bar(f64::NAN).len(), bar(0.0).len());
    }
}
