//! Functions that need no list of values: one accumulator, whatever the number of points.
//!
//! The same accumulators run behind buffered windows and in fused ones. Float sums run from left to right, as the
//! original's do.

use std::cmp::Ordering;

use proto::plan::InfluxQlFunction;
use serde::{Deserialize, Serialize};

use super::{Type, takes};
use crate::value::Value;

/// Whether a function can be worked out by an [`Accumulator`].
pub fn accumulates(function: &InfluxQlFunction) -> bool {
    matches!(
        function,
        InfluxQlFunction::Count | InfluxQlFunction::Sum | InfluxQlFunction::Mean | InfluxQlFunction::Spread
    ) || is_choice(function)
}

/// Whether a function chooses one of the points.
pub fn is_choice(function: &InfluxQlFunction) -> bool {
    matches!(function, InfluxQlFunction::First | InfluxQlFunction::Last | InfluxQlFunction::Min | InfluxQlFunction::Max)
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accumulator {
    /// That of the first usable value.
    pub kind: Option<Type>,
    pub count: u64,
    float: f64,
    int: i64,
    low: Option<Value>,
    high: Option<Value>,
    /// The chosen point.
    chosen: Option<(i64, Value)>,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// It is the point that the function chooses, for now.
    Chosen,
    /// Another type than the first: passed over.
    Skipped,
    /// The function has no use for its type, and no type yet.
    Unsupported,
}

impl Accumulator {
    pub fn push(&mut self, function: &InfluxQlFunction, time: i64, value: &Value) -> Taken {
        let kind = Type::of(value);
        match (self.kind, kind) {
            (Some(known), found) if Some(known) != found => return Taken::Skipped,
            (None, Some(found)) if takes(function, found) => self.kind = Some(found),
            (None, _) => return Taken::Unsupported,
            _ => {}
        }
        self.count += 1;
        match function {
            InfluxQlFunction::Sum | InfluxQlFunction::Mean => match value {
                Value::Float(x) => self.float += x,
                Value::Int(x) => self.int = self.int.wrapping_add(*x),
                _ => {}
            },
            InfluxQlFunction::Spread => {
                if self.low.as_ref().is_none_or(|low| less(value, low)) {
                    self.low = Some(value.clone());
                }
                if self.high.as_ref().is_none_or(|high| less(high, value)) {
                    self.high = Some(value.clone());
                }
            }
            function if is_choice(function) => {
                let better =
                    self.chosen.as_ref().is_none_or(|(at, best)| is_better(function, (time, value), (*at, best)));
                if better {
                    self.chosen = Some((time, value.clone()));
                    return Taken::Chosen;
                }
            }
            _ => {}
        }
        Taken::Yes
    }

    /// The result; `None` where nothing is emitted. Without any usable value a count is 0 and a sum 0.0.
    pub fn result(&self, function: &InfluxQlFunction) -> Option<Value> {
        let is_int = self.kind == Some(Type::Int);
        match function {
            InfluxQlFunction::Count => Some(Value::Int(self.count as i64)),
            InfluxQlFunction::Sum if is_int => Some(Value::Int(self.int)),
            InfluxQlFunction::Sum => Some(Value::Float(self.float)),
            _ if self.count == 0 => None,
            InfluxQlFunction::Mean if is_int => Some(Value::Float(self.int as f64 / self.count as f64)),
            InfluxQlFunction::Mean => Some(Value::Float(self.float / self.count as f64)),
            InfluxQlFunction::Spread => match (&self.low, &self.high) {
                (Some(Value::Int(low)), Some(Value::Int(high))) => Some(Value::Int(high.wrapping_sub(*low))),
                (Some(Value::Float(low)), Some(Value::Float(high))) => Some(Value::Float(high - low)),
                _ => None,
            },
            _ => self.chosen.as_ref().map(|(_, value)| value.clone()),
        }
    }

    /// Time of the chosen point.
    pub fn chosen_time(&self) -> Option<i64> {
        self.chosen.as_ref().map(|(time, _)| *time)
    }
}

fn less(one: &Value, other: &Value) -> bool {
    compare(one, other) == Some(Ordering::Less)
}

/// Order of two values of one type; `None` with a NaN.
pub fn compare(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => None,
    }
}

/// Whether a point takes the place of the one chosen so far (reference: nodes-stream §10.5).
fn is_better(function: &InfluxQlFunction, (time, value): (i64, &Value), (at, best): (i64, &Value)) -> bool {
    let order = compare(value, best);
    match function {
        // Of equal times the larger value counts, of booleans the smaller.
        InfluxQlFunction::First if time == at => match value {
            Value::Bool(_) => order == Some(Ordering::Less),
            _ => order == Some(Ordering::Greater),
        },
        InfluxQlFunction::First => time < at,
        InfluxQlFunction::Last if time == at => order == Some(Ordering::Greater),
        InfluxQlFunction::Last => time > at,
        // Of equal values the earliest counts.
        InfluxQlFunction::Min => order == Some(Ordering::Less) || order == Some(Ordering::Equal) && time < at,
        _ => order == Some(Ordering::Greater) || order == Some(Ordering::Equal) && time < at,
    }
}
