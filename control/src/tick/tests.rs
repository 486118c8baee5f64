//! The language as a whole, against the behaviour cases and against hostile input.

mod documented;
mod hints;
mod hostile;
mod nodes;
mod recorded;
mod round_trip;

use super::{CompileError, Compiled, Options, compile, vars::Vars};

/// A script without vars.
fn check(script: &str) -> Result<Compiled, CompileError> {
    compile(script, Options { vars: &Vars::new() })
}
