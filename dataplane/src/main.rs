//! `farad-dataplane`: started by `farad serve`, or by an init system with the public socket as descriptor 3.

use std::process::ExitCode;

fn main() -> ExitCode {
    dataplane::process::main()
}
