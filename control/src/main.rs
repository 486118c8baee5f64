//! `farad`: the server (`farad serve`) and its command line client.

use std::process::ExitCode;

fn main() -> ExitCode {
    control::cli::main()
}
