//! Functions of expressions (reference: tickscript §10): a static table by name, with exact signatures.

mod conversion;
mod math;
mod stateful;
mod strings;
mod time;

use std::fmt;

pub use stateful::{State, random};

use super::{
    error::Failure,
    operand::{Kind, Operand},
};

/// Most arguments that a function takes.
pub const ARGUMENTS_MAX: usize = 4;

pub struct Function {
    pub name: &'static str,
    pub signatures: &'static [Signature],
    pub body: Body,
}

/// How a function is computed. A body gets only arguments that fit a signature.
pub enum Body {
    Float1(fn(f64) -> f64),
    Float2(fn(f64, f64) -> f64),
    /// Depends on the arguments alone. `None` if they fit no signature, which the caller has ruled out.
    Pure(for<'a> fn(&[Operand<'a>]) -> Option<Result<Operand<'a>, Failure>>),
    /// A part of a time in the server's zone.
    TimePart(fn(i64) -> i64),
    Now,
    Random,
    Count,
    Sigma,
    Spread,
}

/// Types of the arguments and of the result.
pub struct Signature {
    pub arguments: &'static [Kind],
    pub result: Kind,
}

const fn signature(arguments: &'static [Kind], result: Kind) -> Signature {
    Signature { arguments, result }
}

/// All functions.
fn all() -> impl Iterator<Item = &'static Function> {
    [conversion::FUNCTIONS, strings::FUNCTIONS, math::FUNCTIONS, time::FUNCTIONS, stateful::FUNCTIONS]
        .into_iter()
        .flatten()
}

/// The names of all functions.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    all().map(|function| function.name)
}

/// How many arguments the function of a name takes: one number a signature; none if there is no such function.
pub fn function_arguments(name: &str) -> impl Iterator<Item = usize> {
    let signatures = Function::find(name).map_or(&[][..], |function| function.signatures);
    signatures.iter().map(|signature| signature.arguments.len())
}

impl Function {
    /// The function of this exact name.
    pub fn find(name: &str) -> Option<&'static Function> {
        all().find(|function| function.name == name)
    }

    /// The type of the result for these arguments, `None` if no signature fits.
    pub fn result_kind(&self, arguments: &[Kind]) -> Option<Kind> {
        self.signatures.iter().find(|signature| signature.arguments == arguments).map(|signature| signature.result)
    }

    /// Whether an argument may be missing.
    pub fn takes_missing(&self) -> bool {
        self.signatures.iter().any(|signature| signature.arguments.contains(&Kind::Missing))
    }

    pub fn is_stateful(&self) -> bool {
        matches!(self.body, Body::Count | Body::Sigma | Body::Spread)
    }

    /// Whether the result depends on the arguments alone.
    pub fn is_pure(&self) -> bool {
        matches!(self.body, Body::Float1(_) | Body::Float2(_) | Body::Pure(_))
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, kind) in self.arguments.iter().enumerate() {
            write!(f, "{}{kind}", if index > 0 { "," } else { "" })?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{operand::Text, pattern::Pattern};

    const KINDS: [Kind; 9] = [
        Kind::Float,
        Kind::Int,
        Kind::Bool,
        Kind::String,
        Kind::Duration,
        Kind::Time,
        Kind::Regex,
        Kind::Missing,
        Kind::Null,
    ];

    #[test]
    fn signatures_are_exactly_what_the_bodies_take() {
        let pattern = std::rc::Rc::new(Pattern::new("1").unwrap());
        let sample = |kind: Kind| match kind {
            Kind::Float => Operand::Float(1.0),
            Kind::Int => Operand::Int(1),
            Kind::Bool => Operand::Bool(true),
            Kind::String => Operand::Text(Text::Slice(b"1")),
            Kind::Duration => Operand::Duration(1),
            Kind::Time => Operand::Time(1),
            Kind::Regex => Operand::Regex(&pattern),
            Kind::Missing => Operand::Missing,
            Kind::Null => Operand::Null,
        };
        let mut combinations: Vec<Vec<Kind>> = vec![vec![]];
        for length in 0..ARGUMENTS_MAX {
            let longer = combinations.iter().filter(|c| c.len() == length);
            let longer = longer.flat_map(|c| KINDS.iter().map(|kind| [c.as_slice(), &[*kind]].concat()));
            combinations.extend(longer.collect::<Vec<_>>());
        }
        let mut checked = 0;
        for function in conversion::FUNCTIONS.iter().chain(strings::FUNCTIONS) {
            let Body::Pure(body) = function.body else { continue };
            for kinds in &combinations {
                let arguments: Vec<_> = kinds.iter().map(|kind| sample(*kind)).collect();
                let result = body(&arguments).map(|result| result.map(|operand| operand.kind()));
                let expected = function.result_kind(kinds);
                match result {
                    Some(Ok(kind)) => assert_eq!(Some(kind), expected, "{function:?} {kinds:?}"),
                    Some(Err(_)) => assert!(expected.is_some(), "{function:?} {kinds:?}"),
                    None => assert_eq!(expected, None, "{function:?} {kinds:?}"),
                }
                checked += 1;
            }
        }
        assert!(checked > 25 * 9 * 9 * 9 * 9);
    }
}
