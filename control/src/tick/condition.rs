//! Conditions outside of scripts: the body of a lambda, without the word in front.

use proto::Expr;

use super::{interpret::lone_lambda, parser::parse_lambda};

/// Reads a condition. `constants` are the names that it may use beside tags and functions.
///
/// The error is one line, for the API.
pub fn condition(source: &str, constants: &[(&str, i64)]) -> Result<Expr, String> {
    let body = parse_lambda(source).map_err(|error| error.message)?;
    lone_lambda(source, &body, constants)
}
