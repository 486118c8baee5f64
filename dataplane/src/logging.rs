//! The log of both processes: logfmt lines as the original writes them (reference: http-api §22), or the same as JSON.
//!
//! `ts=2026-11-23T06:22:34.719Z lvl=info msg="http request" service=http key=value…`
//!
//! Whoever follows the log gets every line whatever the level of the log is ([`tap`]).

mod logfmt;

use std::{
    fmt,
    io::{self, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use crate::json;
pub use logfmt::{looks_typed, pair, pairs, to_json};
use proto::plan::LogLevel;
use tokio::sync::mpsc;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt};

/// Lines of at least this level are written: 0 debug, 1 info, 2 error.
static LEVEL: AtomicU8 = AtomicU8::new(1);

/// Lines are written as JSON.
static JSON: AtomicBool = AtomicBool::new(false);

static OUTPUT: OnceLock<Mutex<Box<dyn io::Write + Send>>> = OnceLock::new();

/// Who follows the log, and their number, which is read for every event.
static TAPS: Mutex<Vec<Tap>> = Mutex::new(Vec::new());
static TAPPED: AtomicUsize = AtomicUsize::new(0);

/// Lines that wait for one follower. Full: lines are dropped, and the next that fits says how many.
pub const TAP_LINES: usize = 4_096;

struct Tap {
    lines: mpsc::Sender<Arc<str>>,
    dropped: u64,
}

/// Starts logging: to a file, or to standard error or output by their names; `format` is `logfmt` or `json`.
pub fn start(file: &str, level: &str, format: &str) -> io::Result<()> {
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
    JSON.store(format == "json", Ordering::Relaxed);
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

/// Every line from now on, in logfmt with its end, until the receiver is dropped.
pub fn tap() -> mpsc::Receiver<Arc<str>> {
    let (lines, received) = mpsc::channel(TAP_LINES);
    let mut taps = TAPS.lock().unwrap_or_else(PoisonError::into_inner);
    taps.push(Tap { lines, dropped: 0 });
    TAPPED.store(taps.len(), Ordering::Relaxed);
    received
}

/// Gives a line to all who follow. It is not written: that is another process's.
pub fn publish(line: &str) {
    let line: Arc<str> = line.into();
    let mut taps = TAPS.lock().unwrap_or_else(PoisonError::into_inner);
    taps.retain_mut(|tap| {
        if tap.dropped > 0 {
            let dropped = tap.dropped;
            let text = format!("{} lvl=error msg=\"log lines were dropped\" service=logs count={dropped}\n", stamp());
            if tap.lines.try_send(text.into()).is_ok() {
                tap.dropped = 0;
            }
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = tap.lines.try_send(line.clone()) {
            tap.dropped += 1;
        }
        !tap.lines.is_closed()
    });
    TAPPED.store(taps.len(), Ordering::Relaxed);
}

/// A line of a task's node: `pairs` are in logfmt, each with a blank before it.
pub fn of_node(level: LogLevel, task_master: Option<&str>, task: &str, node: &str, message: &str, pairs: &str) {
    const SERVICE: &str = "kapacitor";
    match level {
        LogLevel::Debug => {
            tracing::debug!(target: "task", service = SERVICE, task_master, task, node, line = pairs, "{message}");
        }
        LogLevel::Info => {
            tracing::info!(target: "task", service = SERVICE, task_master, task, node, line = pairs, "{message}");
        }
        LogLevel::Error => {
            tracing::error!(target: "task", service = SERVICE, task_master, task, node, line = pairs, "{message}");
        }
    }
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
        let written = number >= LEVEL.load(Ordering::Relaxed);
        let tapped = TAPPED.load(Ordering::Relaxed) > 0;
        if !written && !tapped || number < 2 && !ours {
            return;
        }
        let mut visitor = Pairs::default();
        event.record(&mut visitor);
        let mut line = stamp();
        line.push_str(&format!(" lvl={word}"));
        logfmt::pair("msg", &visitor.message, &mut line);
        line.push_str(&visitor.context);
        line.push_str(&visitor.line);
        line.push_str(&visitor.pairs);
        line.push('\n');
        if written && let Some(output) = OUTPUT.get() {
            let json = JSON.load(Ordering::Relaxed).then(|| to_json(&line));
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            // There is nobody to tell that the log cannot be written.
            let _ = output.write_all(json.as_ref().unwrap_or(&line).as_bytes()).and_then(|()| output.flush());
        }
        if tapped {
            publish(&line);
        }
    }
}

/// `ts=` with exactly three decimals.
fn stamp() -> String {
    let mut line = String::from("ts=");
    let now = crate::clock::now();
    json::rfc3339(now - now.rem_euclid(1_000_000), &mut line);
    line.pop();
    let decimals = line.rfind('.').map_or(0, |point| line.len() - point - 1);
    if decimals == 0 {
        line.push('.');
    }
    line.extend(std::iter::repeat_n('0', 3_usize.saturating_sub(decimals)));
    line.push('Z');
    line
}

/// Fields of an event: the context first, then its own keys.
#[derive(Default)]
struct Pairs {
    message: String,
    context: String,
    /// Pairs that are written already.
    line: String,
    pairs: String,
}

impl Visit for Pairs {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "line" => value.clone_into(&mut self.line),
            name @ ("service" | "task_master" | "task" | "node") => logfmt::pair(name, value, &mut self.context),
            name @ ("cluster_id" | "server_id") => logfmt::pair(name, value, &mut self.pairs),
            name => logfmt::pair(&name.replace('_', "-"), value, &mut self.pairs),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
