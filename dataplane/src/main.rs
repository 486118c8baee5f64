//! `farad-dataplane`: started by `farad serve`, or by an init system with the public socket as descriptor 3.

use std::process::ExitCode;

/// The system's, sampled, so that a heap profile can tell who holds memory.
#[global_allocator]
static ALLOCATOR: dataplane::profile::Sampling = dataplane::profile::Sampling;

fn main() -> ExitCode {
    dataplane::process::main()
}
