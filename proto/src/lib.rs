//! What crosses between Farad's control plane and its data plane.
//!
//! The control plane compiles a TICKscript task to a [`plan::Plan`]; the data plane runs it. Both sides speak
//! [`message`]s in [`frame`]s over a unix stream socket, and bulk data in [`feed`]s.
//!
//! Invariant: this crate depends on neither side and does no I/O.

#![forbid(unsafe_code)]

pub mod expr;
pub mod feed;
pub mod frame;
pub mod limits;
pub mod message;
pub mod plan;
pub mod profile;
pub mod regex_dialect;
pub mod value;

pub use expr::Expr;
pub use plan::Plan;
pub use value::Value;
