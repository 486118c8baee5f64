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
mod condition;
pub mod diagnostic;
pub mod dot;
pub mod format;
mod functions;
mod interpret;
mod lexer;
mod lint;
pub mod literal;
mod lower;
pub mod manual;
pub mod parser;
pub mod pipeline;
pub mod table;
mod template;
#[cfg(test)]
mod tests;
pub mod udf;
mod validate;
pub mod value;
pub mod vars;
mod watch;

pub use compile::{CompileError, Compiled, Options, compile, compile_with_udfs, format_script, settle_script};
pub use condition::condition;
pub use lower::{DeadmanTexts, Endpoint, Global, LowerError, Lowering, NodeHandlers, read_sideload};
pub use template::{Template, TemplateVar, compile_template};
pub use watch::GlobalDeadman;
