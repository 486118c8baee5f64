//! Functions that need no list of values: one accumulator, whatever the number of points.
//!
//! The same accumulators run behind buffered windows and in fused ones. Float sums run from left to right, as the
//! original's do.

use std::{cmp::Ordering, rc::Rc};

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

/// Four words, whatever the function; what the two in the middle mean depends on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Accumulator {
    taken: Count,
    /// The sum, the least value, or the chosen one.
    low: Bits,
    /// The greatest value, or the time of the chosen one.
    high: Bits,
    /// The chosen value, if it is a text.
    text: Option<Box<Rc<str>>>,
}

/// How many usable values there were, and in the lowest two bits the type of the first.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Count(u64);

impl Count {
    const ONE: u64 = 4;
    const TYPES: [Type; 4] = [Type::Float, Type::Int, Type::String, Type::Bool];

    fn first(kind: Type) -> Count {
        Count(kind as u64)
    }

    #[inline]
    fn kind(self) -> Option<Type> {
        (self.0 >= Count::ONE).then(|| Count::TYPES[(self.0 % Count::ONE) as usize])
    }
}

/// A number or bool without its type.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Bits(u64);

impl Bits {
    fn of(value: &Value) -> Bits {
        Bits(match value {
            Value::Float(x) => x.to_bits(),
            Value::Int(x) => x.cast_unsigned(),
            Value::Bool(x) => u64::from(*x),
            _ => 0,
        })
    }

    fn float(self) -> f64 {
        f64::from_bits(self.0)
    }

    fn int(self) -> i64 {
        self.0.cast_signed()
    }
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
    /// The type of the first usable value.
    #[inline]
    pub fn kind(&self) -> Option<Type> {
        self.taken.kind()
    }

    /// Usable values.
    #[inline]
    pub fn count(&self) -> u64 {
        self.taken.0 / Count::ONE
    }

    #[inline]
    pub fn push(&mut self, function: &InfluxQlFunction, time: i64, value: &Value) -> Taken {
        let kind = Type::of(value);
        match (self.kind(), kind) {
            (Some(known), found) if Some(known) != found => return Taken::Skipped,
            (None, Some(found)) if takes(function, found) => self.taken = Count::first(found),
            (None, _) => return Taken::Unsupported,
            _ => {}
        }
        self.taken.0 += Count::ONE;
        match function {
            InfluxQlFunction::Sum | InfluxQlFunction::Mean => match value {
                Value::Float(x) => self.low = Bits((self.low.float() + x).to_bits()),
                Value::Int(x) => self.low = Bits(self.low.int().wrapping_add(*x).cast_unsigned()),
                _ => {}
            },
            InfluxQlFunction::Spread => {
                if self.count() == 1 || less(value, &self.value(self.low)) {
                    self.low = Bits::of(value);
                }
                if self.count() == 1 || less(&self.value(self.high), value) {
                    self.high = Bits::of(value);
                }
            }
            function
                if is_choice(function)
                    && (self.count() == 1
                        || is_better(function, (time, value), (self.high.int(), &self.value(self.low)))) =>
            {
                self.choose(time, value);
                return Taken::Chosen;
            }
            _ => {}
        }
        Taken::Yes
    }

    fn choose(&mut self, time: i64, value: &Value) {
        self.low = Bits::of(value);
        self.high = Bits(time.cast_unsigned());
        if let Value::String(text) = value {
            self.text = Some(Box::new(text.clone()));
        }
    }

    /// A value of the accumulator's type.
    #[inline]
    fn value(&self, bits: Bits) -> Value {
        match self.kind() {
            Some(Type::Float) => Value::Float(bits.float()),
            Some(Type::Int) => Value::Int(bits.int()),
            Some(Type::Bool) => Value::Bool(bits.0 != 0),
            Some(Type::String) => self.text.as_ref().map_or(Value::Missing, |text| Value::String(Rc::clone(text))),
            None => Value::Missing,
        }
    }

    /// The result; `None` where nothing is emitted. Without any usable value a count is 0 and a sum 0.0.
    pub fn result(&self, function: &InfluxQlFunction) -> Option<Value> {
        let is_int = self.kind() == Some(Type::Int);
        match function {
            InfluxQlFunction::Count => Some(Value::Int(self.count() as i64)),
            InfluxQlFunction::Sum if is_int => Some(Value::Int(self.low.int())),
            InfluxQlFunction::Sum => Some(Value::Float(self.low.float())),
            _ if self.count() == 0 => None,
            InfluxQlFunction::Mean if is_int => Some(Value::Float(self.low.int() as f64 / self.count() as f64)),
            InfluxQlFunction::Mean => Some(Value::Float(self.low.float() / self.count() as f64)),
            InfluxQlFunction::Spread => match self.kind() {
                Some(Type::Int) => Some(Value::Int(self.high.int().wrapping_sub(self.low.int()))),
                Some(Type::Float) => Some(Value::Float(self.high.float() - self.low.float())),
                _ => None,
            },
            _ => Some(self.value(self.low)),
        }
    }

    /// Time of the chosen point, of a function that chooses one.
    pub fn chosen_time(&self) -> Option<i64> {
        (self.count() > 0).then(|| self.high.int())
    }
}

#[inline]
fn less(one: &Value, other: &Value) -> bool {
    compare(one, other) == Some(Ordering::Less)
}

/// Order of two values of one type; `None` with a NaN.
#[inline]
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
#[inline]
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
