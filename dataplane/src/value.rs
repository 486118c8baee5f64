//! Values of fields inside the data plane.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::name::Name;

/// A bool as Go reads it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Value of a field of a point. Cloning never copies text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    Float(f64),
    Int(i64),
    Bool(bool),
    String(Rc<str>),
    /// Nanoseconds; made by `eval` only (reference: nodes-stream §1).
    Duration(i64),
    /// Made by the fill of a join.
    Null,
    /// What `eval().keep` makes of a name that is nowhere: JSON shows `{}` (reference: nodes-stream §7).
    Missing,
}

impl Value {
    /// The word that error texts use for the type, as Go prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Float(_) => "float64",
            Value::Int(_) => "int64",
            Value::Bool(_) => "bool",
            Value::String(_) => "string",
            Value::Duration(_) => "time.Duration",
            Value::Null => "<nil>",
            Value::Missing => "missing",
        }
    }
}

impl From<&proto::Value> for Value {
    /// Constants of a plan. Times and regular expressions are no field values: they become null, and no plan holds them
    /// where a field value is wanted.
    fn from(value: &proto::Value) -> Self {
        match value {
            proto::Value::Float(x) => Value::Float(*x),
            proto::Value::Int(x) => Value::Int(*x),
            proto::Value::Bool(x) => Value::Bool(*x),
            proto::Value::String(x) => Value::String(x.as_str().into()),
            proto::Value::Duration(x) => Value::Duration(*x),
            proto::Value::Time(_) | proto::Value::Regex(_) | proto::Value::Null => Value::Null,
        }
    }
}

impl From<&Value> for proto::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Float(x) => proto::Value::Float(*x),
            Value::Int(x) => proto::Value::Int(*x),
            Value::Bool(x) => proto::Value::Bool(*x),
            Value::String(x) => proto::Value::String(x.to_string()),
            Value::Duration(x) => proto::Value::Duration(*x),
            Value::Null | Value::Missing => proto::Value::Null,
        }
    }
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    pub name: Name,
    pub value: Value,
}

/// The value of `name` among `fields`, where a name stands at most once.
#[inline]
pub fn field(fields: &[Field], name: Name) -> Option<&Value> {
    fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

/// Sets `name` in a list where a name stands at most once.
pub fn set_field(fields: &mut Vec<Field>, name: Name, value: Value) {
    match fields.iter_mut().find(|field| field.name == name) {
        Some(field) => field.value = value,
        None => fields.push(Field { name, value }),
    }
}
