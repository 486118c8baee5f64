//! What the value of a property must be beyond its type.

use std::fmt;

use crate::tick::value::ScriptValue;

/// A limit, and when a value beyond it is refused.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    Free,
    /// Numbers and durations above zero.
    Positive(When),
    /// One of these words, where it is a string.
    OneOf(&'static [&'static str], When),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The script is no task (status 400).
    Define,
    /// The task is kept and does not start (status 500).
    Start,
}

impl Limit {
    /// Checks the arguments of the property `name`, if its limit counts at that time.
    pub fn check(self, name: &str, arguments: &[ScriptValue], now: When) -> Result<(), String> {
        match self {
            Limit::Positive(when) if when == now => {
                let positive = |argument: &ScriptValue| match argument {
                    ScriptValue::Int(x) | ScriptValue::Duration(x) => *x > 0,
                    ScriptValue::Float(x) => *x > 0.0,
                    _ => true,
                };
                let fits = arguments.iter().all(positive);
                if fits { Ok(()) } else { Err(format!("{name} must be {self}")) }
            }
            Limit::OneOf(words, when) if when == now => {
                let unknown = arguments.iter().find_map(|argument| match argument {
                    ScriptValue::String(word) if !words.contains(&word.as_str()) => Some(word),
                    _ => None,
                });
                unknown.map_or(Ok(()), |word| Err(format!("unexpected {name} option {word}, it is {self}")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Free => Ok(()),
            Limit::Positive(_) => f.write_str("greater than zero"),
            Limit::OneOf(words, _) => write!(f, "one of {}", words.join(", ")),
        }
    }
}
