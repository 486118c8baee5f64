//! `e2e`: both processes of Farad under load, and the same bytes to a rival.
//!
//! Every scenario starts a fresh server in a folder of its own, defines its tasks over the API, sends bodies that were
//! made ahead from blocking threads on other cores, and tells lines a second, CPU time of both processes a line, their
//! peak memory and the time of a write. The load's own CPU time is not counted. See `--help`.

pub mod accounting;
mod arguments;
mod bodies;
mod http;
pub mod lines;
mod load;
pub mod memory;
mod process;
mod receiver;
pub mod replay;
mod report;
mod requests;
mod rival;
mod run;
mod scenario;
pub mod soak;
mod tasks;

use std::{io, path::PathBuf, process::ExitCode};

use arguments::{Arguments, HELP};
pub use process::Cores;

/// Why a benchmark could not run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0} (see --help)")]
    Usage(String),
    #[error("{program} is not there: build it with `cargo build --release` beside this program")]
    Missing { program: PathBuf },
    #[error("the server did not come up; its log:\n{0}")]
    NotUp(String),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    /// A definition or another call of the API that was refused.
    #[error("{call}: {status} {answer}")]
    Refused { call: String, status: u16, answer: String },
    #[error("not all of {0} points were worked on in a minute")]
    NotDone(u64),
    #[error("{0} scenarios failed; their notes say why")]
    Failed(usize),
}

impl BenchError {
    /// For `map_err`: names what failed.
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
        |error| BenchError::Io { what: what.into(), error }
    }
}

/// The program; its arguments are those of the process.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Arguments::read(&arguments).and_then(|arguments| serve(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), BenchError> {
    if arguments.help {
        print!("{HELP}");
        return Ok(());
    }
    let chosen = scenario::choose(&arguments.names)?;
    if arguments.list {
        for scenario in chosen {
            println!("{:<34} {}", scenario.name, scenario.about);
        }
        return Ok(());
    }
    run::run_all(&chosen, arguments)
}
