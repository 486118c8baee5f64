//! Structs, times and durations as values of templates.
//!
//! The template crate's values are a closed set without them. A function value carries one instead: nothing but the
//! functions of this module calls it, and everything that prints or compares goes through them (see [`super::rewrite`]).

use std::sync::Arc;

use gotmpl::{TemplateError, Value};

use super::{functions::display, go_text, time_layout};
use crate::{gotime, json};

#[derive(Debug)]
pub enum Object {
    /// A Go struct: its fields in order, how many of them each struct embedded in it has (the innermost first), and all of
    /// it as JSON.
    Struct { type_name: &'static str, fields: Vec<(&'static str, Value)>, embedded: &'static [usize], json: String },
    /// Nanoseconds since 1970.
    Time(i64),
    /// Nanoseconds.
    Duration(i64),
    /// A month or day of the week: a number with a name.
    Named { type_name: &'static str, number: i64, name: &'static str },
}

/// What a carrier is asked: the first argument of its call.
const FIELD: &str = "field";
const TEXT: &str = "text";
const NUMBER: &str = "number";
const JSON: &str = "json";
const TYPE: &str = "type";
const TIME: &str = "time";

pub fn value(object: Object) -> Value {
    let object = Arc::new(object);
    Value::Function(Arc::new(move |arguments| {
        let (question, rest) = match arguments.split_first() {
            Some((Value::String(question), rest)) => (&**question, rest),
            _ => return Err(TemplateError::Exec("a struct, time or duration cannot be called".into())),
        };
        match question {
            FIELD => object.field(rest),
            TEXT => Ok(Value::String(object.text().into())),
            NUMBER => Ok(object.number()),
            JSON => Ok(Value::String(object.json().into())),
            TIME => Ok(match *object {
                Object::Time(time) => Value::Int(time),
                _ => Value::Nil,
            }),
            TYPE => Ok(Value::String(object.type_name().into())),
            _ => Err(TemplateError::Exec("a struct, time or duration cannot be called".into())),
        }
    }))
}

/// `value.name`, with the arguments of a method.
pub fn field(value: &Value, name: &str, arguments: &[Value]) -> gotmpl::Result<Value> {
    match value {
        Value::Function(carrier) => {
            let mut all = vec![Value::String(FIELD.into()), Value::String(name.into())];
            all.extend_from_slice(arguments);
            carrier(&all)
        }
        _ if !arguments.is_empty() => Err(TemplateError::Exec(format!("{name} is not a method but has arguments"))),
        Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Nil)),
        Value::Nil => Err(TemplateError::Exec(format!("nil data; no entry for key {name:?}"))),
        other => Err(TemplateError::Exec(format!("can't evaluate field {name} in type {}", type_of(other)))),
    }
}

/// The value as Go prints it, where it is an object.
pub fn shown(value: &Value) -> Value {
    ask(value, TEXT)
}

/// The value as a number, where it is a duration.
pub fn as_number(value: &Value) -> Value {
    ask(value, NUMBER)
}

/// Go's name of the value's type.
pub fn type_of(value: &Value) -> String {
    match value {
        Value::Function(carrier) => match carrier(&[Value::String(TYPE.into())]) {
            Ok(Value::String(name)) => name.to_string(),
            _ => "func".into(),
        },
        Value::Nil => "<nil>".into(),
        Value::Bool(_) => "bool".into(),
        Value::Int(_) => "int64".into(),
        Value::Uint(_) => "uint64".into(),
        Value::Float(_) => "float64".into(),
        Value::Map(_) => "map[string]interface {}".into(),
        Value::List(_) => "[]interface {}".into(),
        _ => "string".into(),
    }
}

/// Appends the value as JSON.
pub fn to_json(value: &Value, out: &mut String) -> gotmpl::Result<()> {
    match value {
        Value::Function(_) => {
            if let Value::String(text) = ask(value, JSON) {
                out.push_str(text.trim_end());
            }
        }
        Value::Nil => out.push_str("null"),
        Value::Bool(x) => out.push_str(if *x { "true" } else { "false" }),
        Value::Int(x) => json::int(*x, out),
        Value::Uint(x) => out.push_str(&x.to_string()),
        Value::Float(x) => json::float(*x, out).map_err(|error| TemplateError::Exec(error.to_string()))?,
        Value::String(text) | Value::Safe { s: text, .. } => json::string(text, out),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                to_json(value, out)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                json::string(key, out);
                out.push(':');
                to_json(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn ask(value: &Value, question: &str) -> Value {
    match value {
        Value::Function(carrier) => carrier(&[Value::String(question.into())]).unwrap_or(Value::Nil),
        other => other.clone(),
    }
}

impl Object {
    fn type_name(&self) -> &'static str {
        match self {
            Object::Struct { type_name, .. } => type_name,
            Object::Time(_) => "time.Time",
            Object::Duration(_) => "time.Duration",
            Object::Named { type_name, .. } => type_name,
        }
    }

    fn text(&self) -> String {
        match self {
            Object::Struct { fields, embedded, .. } => {
                let mut out = "{".repeat(1 + embedded.len());
                for (index, (_, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    out.push_str(&display(value));
                    if embedded.contains(&(index + 1)) {
                        out.push('}');
                    }
                }
                out.push('}');
                out
            }
            Object::Time(time) => time_layout::default(*time),
            Object::Duration(duration) => go_text::duration(*duration),
            Object::Named { name, .. } => (*name).to_owned(),
        }
    }

    fn number(&self) -> Value {
        match self {
            Object::Duration(number) | Object::Named { number, .. } => Value::Int(*number),
            other => Value::String(other.text().into()),
        }
    }

    fn json(&self) -> String {
        match self {
            Object::Struct { json, .. } => json.clone(),
            Object::Time(time) => {
                let mut out = String::new();
                json::time(*time, &mut out);
                out
            }
            Object::Duration(number) | Object::Named { number, .. } => number.to_string(),
        }
    }

    fn field(&self, arguments: &[Value]) -> gotmpl::Result<Value> {
        let (name, rest) = match arguments.split_first() {
            Some((Value::String(name), rest)) => (&**name, rest),
            _ => return Err(TemplateError::Exec("no field is named".into())),
        };
        let found = match self {
            Object::Struct { fields, .. } => {
                fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
            }
            Object::Time(time) => time_method(*time, name, rest)?,
            Object::Duration(duration) => duration_method(*duration, name, rest),
            Object::Named { name: text, .. } => (name == "String").then(|| Value::String((*text).into())),
        };
        found.ok_or_else(|| TemplateError::Exec(format!("can't evaluate field {name} in type {}", self.type_name())))
    }
}

fn time_method(time: i64, name: &str, arguments: &[Value]) -> gotmpl::Result<Option<Value>> {
    let text = |text: String| Some(Value::String(text.into()));
    let duration = || arguments.first().map(as_number).and_then(|value| value.as_int());
    let other = || arguments.first().map(|other| ask(other, TIME)).and_then(|time| time.as_int());
    let parts = time_layout::Parts::of(time);
    Ok(match (name, arguments) {
        ("Unix", []) => Some(Value::Int(time.div_euclid(1_000_000_000))),
        ("UnixMilli", []) => Some(Value::Int(time.div_euclid(1_000_000))),
        ("UnixMicro", []) => Some(Value::Int(time.div_euclid(1_000))),
        ("UnixNano", []) => Some(Value::Int(time)),
        ("Format", [Value::String(layout)]) => text(time_layout::format(time, layout)),
        ("Format", _) => return Err(TemplateError::Exec("wrong arguments for Format: want 1 string".into())),
        ("String", []) => text(time_layout::default(time)),
        ("UTC" | "Local", []) => Some(value(Object::Time(time))),
        ("Truncate", [_]) => duration().map(|by| value(Object::Time(gotime::truncate(time, by)))),
        ("Round", [_]) => duration().map(|by| value(Object::Time(gotime::round(time, by)))),
        ("Add", [_]) => duration().map(|by| value(Object::Time(time.saturating_add(by)))),
        ("Weekday", []) => {
            let (number, name) = (parts.weekday(), parts.weekday_name());
            Some(value(Object::Named { type_name: "time.Weekday", number, name }))
        }
        ("Month", []) => {
            let (number, name) = (parts.month, parts.month_name());
            Some(value(Object::Named { type_name: "time.Month", number, name }))
        }
        ("Location", []) => text("UTC".to_owned()),
        ("Before", [_]) => other().map(|other| Value::Bool(time < other)),
        ("After", [_]) => other().map(|other| Value::Bool(time > other)),
        ("Equal", [_]) => other().map(|other| Value::Bool(time == other)),
        ("Sub", [_]) => other().map(|other| value(Object::Duration(time.saturating_sub(other)))),
        ("AddDate", [Value::Int(years), Value::Int(months), Value::Int(days)]) => {
            time_layout::add_date(time, *years, *months, *days).map(|time| value(Object::Time(time)))
        }
        ("Year", []) => Some(Value::Int(parts.year)),
        ("Day", []) => Some(Value::Int(parts.day)),
        ("YearDay", []) => Some(Value::Int(parts.day_of_year)),
        ("Hour", []) => Some(Value::Int(parts.hour)),
        ("Minute", []) => Some(Value::Int(parts.minute)),
        ("Second", []) => Some(Value::Int(parts.second)),
        ("Nanosecond", []) => Some(Value::Int(parts.nanosecond)),
        ("IsZero", []) => Some(Value::Bool(false)),
        _ => None,
    })
}

fn duration_method(duration: i64, name: &str, arguments: &[Value]) -> Option<Value> {
    let number = || arguments.first().map(as_number).and_then(|value| value.as_int());
    match (name, arguments) {
        ("Seconds", []) => Some(Value::Float(duration as f64 / 1e9)),
        ("Minutes", []) => Some(Value::Float(duration as f64 / 6e10)),
        ("Hours", []) => Some(Value::Float(duration as f64 / 3.6e12)),
        ("Milliseconds", []) => Some(Value::Int(duration / 1_000_000)),
        ("Microseconds", []) => Some(Value::Int(duration / 1_000)),
        ("Nanoseconds", []) => Some(Value::Int(duration)),
        ("String", []) => Some(Value::String(go_text::duration(duration).into())),
        ("Truncate", [_]) => {
            let by = number()?;
            Some(value(Object::Duration(if by <= 0 { duration } else { duration - duration % by })))
        }
        ("Round", [_]) => {
            let by = number()?;
            if by <= 0 {
                return Some(value(Object::Duration(duration)));
            }
            let beyond = duration % by;
            let down = duration - beyond;
            // Half goes away from zero.
            let far = i128::from(beyond).abs() * 2 >= i128::from(by);
            let rounded = if far { down.saturating_add(if duration < 0 { -by } else { by }) } else { down };
            Some(value(Object::Duration(rounded)))
        }
        _ => None,
    }
}
