//! The command line (reference: cli). One verb, one file.

/// A line on standard output. Whoever reads it may have gone (`farad list tasks | head -1`): that is no error.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arguments)*);
    }};
}

mod backup;
mod client;
mod define;
mod define_template;
mod define_topic_handler;
mod delete;
mod export;
mod flags;
mod import;
mod input;
mod level;
mod list;
mod logs;
mod look;
mod progress;
mod record;
mod replay;
mod script;
mod serve;
mod service_tests;
mod show;
mod show_template;
mod show_topic;
mod show_topic_handler;
mod span;
mod stats;
mod status;
pub mod usage;

use std::process::ExitCode;

use serde_json::Value;

use client::Server;
use flags::Flags;

/// Why a verb failed, and what the process says by its exit status.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No verb at all: message and the general usage, 1.
    #[error("{0}")]
    General(String),
    /// Wrong use: message and usage of the verb, 2.
    #[error("{0}")]
    Usage(String),
    /// A needed flag is missing: usage of the verb and message, 3.
    #[error("{0}")]
    Incomplete(String),
    /// Anything else: 3.
    #[error("{0}")]
    Failed(String),
    /// A bad address of the server: 4.
    #[error("{0}")]
    Address(String),
}

impl CliError {
    fn failed(error: impl std::fmt::Display) -> Self {
        CliError::Failed(error.to_string())
    }

    fn status(&self) -> u8 {
        match self {
            CliError::General(_) => 1,
            CliError::Usage(_) => 2,
            CliError::Incomplete(_) | CliError::Failed(_) => 3,
            CliError::Address(_) => 4,
        }
    }
}

/// Runs one verb.
pub fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let server = match Server::take(&mut arguments) {
        Ok(server) => server,
        Err(error) => return fail("", &error),
    };
    if arguments.is_empty() {
        return fail("", &CliError::General("Error: Must pass a command.".to_owned()));
    }
    let verb = arguments.remove(0);
    match run(&server, &verb, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&verb, &error),
    }
}

fn run(server: &Server, verb: &str, arguments: &[String]) -> Result<(), CliError> {
    match verb {
        "serve" | "run" => serve::run(arguments),
        crate::store::trial::VERB => serve::try_store(arguments),
        "config" => serve::config(arguments),
        "define" => define::run(server, arguments),
        "define-template" => define_template::run(server, arguments),
        "define-topic-handler" => define_topic_handler::run(server, arguments),
        "enable" => status::run(server, arguments, &["enabled"]),
        "disable" => status::run(server, arguments, &["disabled"]),
        "reload" => status::run(server, arguments, &["disabled", "enabled"]),
        "delete" => delete::run(server, arguments),
        "list" => list::run(server, arguments),
        "show" => show::run(server, arguments),
        "show-template" => show_template::run(server, arguments),
        "show-topic" => show_topic::run(server, arguments),
        "show-topic-handler" => show_topic_handler::run(server, arguments),
        "record" => record::run(server, arguments),
        "replay" => replay::run(server, arguments),
        "replay-live" => replay::live(server, arguments),
        "watch" => logs::watch(server, arguments),
        "logs" => logs::logs(server, arguments),
        "level" => level::run(server, arguments),
        "stats" => stats::run(server, arguments),
        "vars" => {
            Flags::read(arguments, &[], &["json"])?;
            print(&server.connect()?.call("GET", "/debug/vars", None)?);
            Ok(())
        }
        "service-tests" => service_tests::run(server, arguments),
        "backup" => backup::run(server, arguments),
        "export" => export::run(server, arguments),
        "import" => import::run(server, arguments),
        "check" => script::check(arguments),
        "fmt" => script::fmt(arguments),
        "version" | "-version" | "--version" => version(arguments),
        "help" | "-help" | "--help" | "-h" => help(arguments),
        other => Err(CliError::General(format!("Unknown command {other}"))),
    }
}

fn version(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let version = env!("CARGO_PKG_VERSION");
    if !flags.is_set("json") {
        say!("Farad {version}");
    }
    result(&flags, &serde_json::json!({ "version": version }))
}

fn help(arguments: &[String]) -> Result<(), CliError> {
    let Some(verb) = arguments.first() else { return Err(CliError::General(String::new())) };
    match usage::of(verb) {
        Some(text) => {
            eprint!("{text}");
            Ok(())
        }
        None => match crate::tick::manual::about(verb) {
            Some(text) => {
                say!("{}", text.trim_end());
                Ok(())
            }
            None => Err(CliError::General(format!("Unknown command {verb}"))),
        },
    }
}

fn fail(verb: &str, error: &CliError) -> ExitCode {
    let usage = || usage::of(verb).unwrap_or_else(usage::general);
    match error {
        CliError::General(message) if message.is_empty() => eprint!("{}", usage::general()),
        CliError::General(message) => eprint!("{message}\n{}", usage::general()),
        CliError::Usage(message) => eprint!("{message}\n{}", usage()),
        CliError::Incomplete(message) => eprintln!("{}{message}", usage()),
        CliError::Failed(message) | CliError::Address(message) => eprintln!("{message}"),
    }
    ExitCode::from(error.status())
}

/// Shows what a verb did, with `--json`.
fn result(flags: &Flags, value: &Value) -> Result<(), CliError> {
    if flags.is_set("json") {
        say!("{}", crate::api::answer::pretty(value));
    }
    Ok(())
}

/// Text on standard output, as it is.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A text of an object; empty if it has none.
fn text(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Where a link of an object leads.
fn href(object: &Value, link: &str) -> String {
    object.get(link).map(|link| text(link, "href")).unwrap_or_default()
}
