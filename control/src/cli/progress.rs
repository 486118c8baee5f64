//! Signs of life on a terminal, for what takes long. Nothing is written where standard error is no terminal.

use std::{
    cell::Cell,
    io::{IsTerminal, Write},
    time::Instant,
};

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

    /// A bar of `done` of `all` bytes.
    pub fn bar(&self, done: u64, all: Option<u64>) {
        const CELLS: u64 = 40;
        let Some(all) = all.filter(|all| *all > 0) else { return self.tick(&super::look::size(done as i64)) };
        let filled = (CELLS * done.min(all) / all) as usize;
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(CELLS as usize - filled));
        self.tick(&format!("[{bar}] {} of {}", super::look::size(done as i64), super::look::size(all as i64)));
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.shown.get() {
            eprint!("\r\x1b[K");
        }
    }
}
