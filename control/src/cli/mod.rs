//! The command line (reference: cli). One verb, one file.

/// A line on standard output. Whoever reads it may have gone (`farad list tasks | head -1`): that is no error.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arguments)*);
    }};
}

mod client;
mod define;
mod delete;
mod flags;
mod list;
mod script;
mod serve;
mod show;
mod status;

use std::process::ExitCode;

/// Why a verb failed, and what the process says by its exit status.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Wrong use: message and usage, 2.
    #[error("{0}")]
    Usage(String),
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
            CliError::Usage(_) => 2,
            CliError::Failed(_) => 3,
            CliError::Address(_) => 4,
        }
    }
}

const USAGE: &str = "Usage: farad [-url URL] COMMAND [arguments]

Server:
  serve [--config FILE] [--shards N]     run the server (both processes)
  config [--config FILE]                 print the effective configuration

Tasks:
  define ID -tick FILE [-dbrp DB.RP]... [-type stream|batch] [-vars FILE] [-no-reload]
  enable ID...        disable ID...        reload ID...
  delete tasks PATTERN...
  list tasks [PATTERN...] [--json]
  show ID [--json]

Scripts:
  check FILE...                          say what is wrong with TICKscripts
  fmt [--check] FILE...                  bring TICKscripts into their standard form

Other:
  vars                                   internal statistics of the server
  version                                print the version
";

/// Runs one verb.
pub fn main() -> ExitCode {
    let mut arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let url = match client::take_url(&mut arguments) {
        Ok(url) => url,
        Err(error) => return fail(&error),
    };
    if arguments.is_empty() {
        eprint!("Error: Must pass a command.\n{USAGE}");
        return ExitCode::from(1);
    }
    let verb = arguments.remove(0);
    let done = match verb.as_str() {
        "serve" | "run" => serve::run(&arguments),
        "config" => serve::config(&arguments),
        "define" => define::run(&url, &arguments),
        "enable" => status::run(&url, &arguments, &["enabled"]),
        "disable" => status::run(&url, &arguments, &["disabled"]),
        "reload" => status::run(&url, &arguments, &["disabled", "enabled"]),
        "delete" => delete::run(&url, &arguments),
        "list" => list::run(&url, &arguments),
        "show" => show::run(&url, &arguments),
        "check" => script::check(&arguments),
        "fmt" => script::fmt(&arguments),
        "vars" => client::Client::new(&url)
            .and_then(|client| client.get("/debug/vars"))
            .map(|text| say!("{}", text.trim_end())),
        "version" => {
            say!("Farad {} (git: none none)", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        "help" => {
            eprint!("{USAGE}");
            Ok(())
        }
        other => {
            eprint!("Unknown command {other}\n{USAGE}");
            return ExitCode::from(1);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &CliError) -> ExitCode {
    eprintln!("{error}");
    if matches!(error, CliError::Usage(_)) {
        eprint!("{USAGE}");
    }
    ExitCode::from(error.status())
}
