//! `distinct`, `top` and `bottom`: functions that choose several points.

use std::{cmp::Ordering, rc::Rc};

use hashbrown::{HashMap, HashSet};

use super::{Sample, accumulate::compare};
use crate::{name::Name, point::Rows, value::Value};

/// A value as a key: every NaN is a value of its own, `-0` is `0`.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Number(u64),
    Bool(bool),
    String(Rc<str>),
    Other,
}

fn key(value: &Value) -> Key {
    match value {
        Value::Float(x) => Key::Number(if *x == 0.0 { 0 } else { x.to_bits() }),
        Value::Int(x) => Key::Number(x.cast_unsigned()),
        Value::Bool(x) => Key::Bool(*x),
        Value::String(x) => Key::String(x.clone()),
        _ => Key::Other,
    }
}

/// The first arrival of each value, by time; of one time in order of value.
pub fn distinct(samples: &[Sample]) -> Vec<&Sample> {
    let mut seen = HashSet::new();
    let is_nan = |value: &Value| matches!(value, Value::Float(x) if x.is_nan());
    let mut found: Vec<&Sample> =
        samples.iter().filter(|sample| is_nan(&sample.value) || seen.insert(key(&sample.value))).collect();
    let by_value = |one: &Sample, other: &Sample| compare(&one.value, &other.value).unwrap_or(Ordering::Equal);
    found.sort_by(|one, other| one.time.cmp(&other.time).then_with(|| by_value(one, other)));
    found
}

/// The `count` best samples, best first; with `names`, only the best of each combination of these fields and tags takes
/// part. Of equal values the earlier comes first.
pub fn best<'a>(samples: &'a [Sample], rows: Rows<'_>, count: usize, names: &[Name], largest: bool) -> Vec<&'a Sample> {
    let order = |one: &&Sample, other: &&Sample| {
        let by_value = compare(&one.value, &other.value).unwrap_or(Ordering::Equal);
        let by_value = if largest { by_value.reverse() } else { by_value };
        by_value.then(one.time.cmp(&other.time))
    };
    let mut found: Vec<&Sample> = samples.iter().collect();
    found.sort_by(order);
    if !names.is_empty() {
        let mut seen = HashMap::new();
        found.retain(|sample| {
            let row = rows.get(sample.row);
            let of = |name: &Name| {
                let field = row.and_then(|row| row.field(*name).map(|value| key(&value)));
                field.or_else(|| row.and_then(|row| row.tags().get(*name).map(|tag| Key::String(tag.clone()))))
            };
            seen.insert(names.iter().map(of).collect::<Vec<_>>(), ()).is_none()
        });
    }
    found.truncate(count);
    found
}
