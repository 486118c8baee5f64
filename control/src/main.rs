//! `farad`: the server (`farad serve`) and its command line client.

use std::process::ExitCode;

/// The system's, sampled, so that a heap profile can tell who holds memory.
#[global_allocator]
static ALLOCATOR: dataplane::profile::Sampling = dataplane::profile::Sampling;

fn main() -> ExitCode {
    control::cli::main()
}
