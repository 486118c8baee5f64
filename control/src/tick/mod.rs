//! TICKscript: from the text of a task to its plan.
//!
//! ```text
//! lexer → parser → tree (ast) ─ format
//!                   │ interpret: runs the statements; table, validate: what nodes take
//!                   ▼
//!                pipeline ─ dot
//!                   │ lower
//!                   ▼
//!                proto::Plan, and the alert handlers that stay on this side
//! ```

pub mod ast;
mod compile;
pub mod diagnostic;
pub mod dot;
pub mod format;
mod interpret;
mod lexer;
pub mod literal;
mod lower;
pub mod parser;
pub mod pipeline;
pub mod table;
#[cfg(test)]
mod tests;
mod validate;
mod value;
pub mod vars;

pub use compile::{CompileError, Compiled, Options, compile, format_script};
pub use lower::{Endpoint, LowerError, Lowering, NodeHandlers};
