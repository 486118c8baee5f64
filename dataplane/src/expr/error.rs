//! What is wrong with an expression, and why an evaluation failed (texts: reference, tickscript §15).
//!
//! Failing points are common (a field that only some points have), so an error keeps what happened as data and becomes
//! text only when somebody reads it.

use std::fmt;

use proto::expr::{BinaryOp, UnaryOp};

use super::{functions::Function, operand::Kind, pattern::BadPattern};
use crate::name::{Name, TooManyNames};

/// Two operands that an operator does not take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OperatorError {
    #[error("mismatched type to binary operator. got {left} {op} {right}. see bool(), int(), float(), string(), duration()", op = .op.as_str())]
    Mismatch { op: BinaryOp, left: Kind, right: Kind },
    #[error("invalid {class} operator {op} for type {kind}", class = class(*.op), op = .op.as_str())]
    Invalid { op: BinaryOp, kind: Kind },
}

impl OperatorError {
    pub fn new(op: BinaryOp, left: Kind, right: Kind) -> Self {
        if left == right {
            OperatorError::Invalid { op, kind: left }
        } else {
            OperatorError::Mismatch { op, left, right }
        }
    }
}

fn class(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => "math",
        BinaryOp::And | BinaryOp::Or => "logical",
        _ => "comparison",
    }
}

/// A lambda that cannot start (reference: tickscript §6).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    #[error(transparent)]
    Names(#[from] TooManyNames),
    #[error("expression is nested deeper than {} levels", proto::limits::EXPR_DEPTH_MAX)]
    TooDeep,
    #[error("Failed to handle {place}: {cause}")]
    Below { place: Place, cause: Box<CompileError> },
}

/// Where in an operator or a call something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Left,
    Right,
    Operand,
    /// Counted from 1.
    Argument(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Left => f.write_str("left node"),
            Place::Right => f.write_str("right node"),
            Place::Operand => f.write_str("node"),
            Place::Argument(number) => write!(f, "{number} argument"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Side::Left { "left" } else { "right" })
    }
}

/// Why an expression has no value for a point.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvalError {
    #[error("cannot have field and tags with same name {0:?}")]
    FieldAndTag(Name),
    #[error("missing value: {0:?}")]
    Missing(Name),
    #[error("{side} reference value {name:?} is missing value")]
    MissingOperand { side: Side, name: Name },
    #[error(transparent)]
    MissingArgument(Box<MissingArgument>),
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error("invalid unary operator {} for type {kind}", if *.op == UnaryOp::Not { "!" } else { "-" })]
    Unary { op: UnaryOp, kind: Kind },
    #[error("TypeGuard: expression returned unexpected type {actual}, expected {expected}")]
    TypeGuard { actual: Kind, expected: Kind },
    #[error("expression returned unexpected type {0}")]
    Result(Kind),
    #[error("runtime error: integer divide by zero")]
    DivideByZero,
    #[error("undefined function: {0:?}")]
    UndefinedFunction(Box<str>),
    #[error(transparent)]
    BadCall(Box<BadCall>),
    #[error("error calling {:?}: {}", .0.function, .0.cause)]
    Failed(Box<FailedCall>),
    #[error("Failed to handle {} argument: {}", .0.number, .0.cause)]
    Argument(Box<FailedArgument>),
}

/// A reference without a value as argument of a function.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("Cannot call function {function:?} argument {name:?} is missing, values in scope are {in_scope:?}")]
pub struct MissingArgument {
    pub function: &'static str,
    pub name: Name,
    /// References of the lambda that have a value.
    pub in_scope: Vec<Name>,
}

/// Arguments that a function does not take.
#[derive(Clone, Debug, PartialEq)]
pub struct BadCall {
    pub function: &'static Function,
    pub arguments: Vec<Kind>,
}

impl std::error::Error for BadCall {}

impl fmt::Display for BadCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cannot call function {:?} with args (", self.function.name)?;
        for (index, kind) in self.arguments.iter().enumerate() {
            write!(f, "{}{}: {kind}", if index > 0 { ", " } else { "" }, index + 1)?;
        }
        f.write_str("), available signatures are [")?;
        for (index, signature) in self.function.signatures.iter().enumerate() {
            write!(f, "{}{signature}", if index > 0 { "," } else { "" })?;
        }
        f.write_str("].")
    }
}

/// A function that took its arguments and failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCall {
    pub function: &'static str,
    pub cause: Failure,
}

/// A failure while the argument with this number, from 1, was evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedArgument {
    pub number: usize,
    pub cause: EvalError,
}

/// Why a function failed on arguments of the right types.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    #[error("cannot convert {text:?} to {to}: invalid syntax")]
    Syntax { text: Box<str>, to: Kind },
    #[error("cannot convert {text:?} to {to}: value out of range")]
    Range { text: Box<str>, to: Kind },
    #[error("cannot convert {0} to boolean, only 0 and 1")]
    BoolOfInt(i64),
    #[error("cannot convert {0} to boolean, only 0.0 and 1.0")]
    BoolOfFloat(f64),
    #[error("found negative index for substring, {0}")]
    NegativeIndex(i64),
    #[error("stop index too large for string in strSubstring, {0}")]
    StopPastEnd(i64),
    #[error("start index {start} is behind stop index {stop}")]
    StartPastStop { start: i64, stop: i64 },
    #[error("invalid argument to rand, {0} is not positive")]
    RandLimit(i64),
}
