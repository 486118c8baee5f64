//! The log of both processes: logfmt lines as the original writes them (reference: http-api §22).
//!
//! `ts=2026-11-23T06:22:34.719Z lvl=info msg="http request" service=http key=value…`

use std::{
    fmt::{self, Write},
    io::{self, Write as _},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use crate::json;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// Lines of at least this level are written: 0 debug, 1 info, 2 error.
static LEVEL: AtomicU8 = AtomicU8::new(1);

static OUTPUT: OnceLock<Mutex<Box<dyn io::Write + Send>>> = OnceLock::new();

/// Starts logging: to a file, or to standard error or output by their names.
pub fn start(file: &str, level: &str) -> io::Result<()> {
    let output: Box<dyn io::Write + Send> = match file {
        "" | "STDERR" => Box::new(io::stderr()),
        "STDOUT" => Box::new(io::stdout()),
        path => {
            if let Some(folder) = std::path::Path::new(path).parent() {
                std::fs::create_dir_all(folder)?;
            }
            use std::os::unix::fs::OpenOptionsExt;
            Box::new(std::fs::OpenOptions::new().create(true).append(true).mode(0o640).open(path)?)
        }
    };
    let _ = OUTPUT.set(Mutex::new(output));
    set_level(level);
    // A second start in one process keeps the first.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(Logfmt));
    Ok(())
}

/// DEBUG, INFO or ERROR in any case; an unknown word is INFO.
pub fn set_level(level: &str) {
    let number = match level.to_ascii_lowercase().as_str() {
        "debug" => 0,
        "error" => 2,
        _ => 1,
    };
    LEVEL.store(number, Ordering::Relaxed);
}

struct Logfmt;

impl<S: Subscriber> Layer<S> for Logfmt {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let (number, word) = match *event.metadata().level() {
            Level::ERROR => (2, "error"),
            Level::WARN | Level::INFO => (1, "info"),
            _ => (0, "debug"),
        };
        // What libraries say of themselves is of no use to an operator below an error.
        let ours =
            ["control", "dataplane", "farad", "task"].iter().any(|name| event.metadata().target().starts_with(name));
        if number < LEVEL.load(Ordering::Relaxed) || number < 2 && !ours {
            return;
        }
        let mut visitor = Pairs::default();
        event.record(&mut visitor);
        let mut line = String::from("ts=");
        let now = crate::clock::now();
        json::rfc3339(now - now.rem_euclid(1_000_000), &mut line);
        pad_milliseconds(&mut line);
        line.push_str(&format!(" lvl={word}"));
        if visitor.message.starts_with("msg=") {
            // A node's own line is complete.
            line.push_str(&visitor.context);
            line.push(' ');
            line.push_str(&visitor.message);
        } else {
            pair("msg", &visitor.message, &mut line);
            line.push_str(&visitor.context);
        }
        line.push_str(&visitor.pairs);
        line.push('\n');
        if let Some(output) = OUTPUT.get() {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            // There is nobody to tell that the log cannot be written.
            let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
        }
    }
}

/// Exactly three decimals.
fn pad_milliseconds(line: &mut String) {
    line.pop();
    let decimals = line.rfind('.').map_or(0, |point| line.len() - point - 1);
    if decimals == 0 {
        line.push('.');
    }
    line.extend(std::iter::repeat_n('0', 3_usize.saturating_sub(decimals)));
    line.push('Z');
}

/// Fields of an event: the context first, then its own keys.
#[derive(Default)]
struct Pairs {
    message: String,
    context: String,
    pairs: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name @ ("service" | "task_master" | "task" | "node") => pair(name, value, &mut self.context),
            name => pair(&name.replace('_', "-"), value, &mut self.pairs),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// ` key=value`; quoted only if it holds a blank or a quote.
fn pair(key: &str, value: &str, line: &mut String) {
    let quoted = value.contains(|c: char| c == ' ' || c == '"' || c.is_control());
    // Writing to a String cannot fail.
    let _ = if quoted { write!(line, " {key}={value:?}") } else { write!(line, " {key}={value}") };
}
