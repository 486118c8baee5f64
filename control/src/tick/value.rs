//! Values while a script runs.

use proto::Expr;

use super::table::Kind;

#[derive(Clone, Debug, PartialEq)]
pub enum ScriptValue {
    Int(i64),
    Float(f64),
    Bool(bool),
    String(String),
    Duration(i64),
    Regex(String),
    Lambda(Expr),
    List(Vec<ScriptValue>),
    Star,
    /// `"name"` outside of a lambda.
    Reference(String),
    /// Index of a node of the pipeline.
    Node(usize),
    /// A function that was named and not called.
    Function(String),
}

impl ScriptValue {
    /// The word for the type in error texts and in the JSON of vars.
    pub fn type_name(&self) -> &'static str {
        match self {
            ScriptValue::Int(_) => "int",
            ScriptValue::Float(_) => "float",
            ScriptValue::Bool(_) => "bool",
            ScriptValue::String(_) => "string",
            ScriptValue::Duration(_) => "duration",
            ScriptValue::Regex(_) => "regex",
            ScriptValue::Lambda(_) => "lambda",
            ScriptValue::List(_) => "list",
            ScriptValue::Star => "star",
            ScriptValue::Reference(_) => "reference",
            ScriptValue::Node(_) => "node",
            ScriptValue::Function(_) => "function",
        }
    }

    pub fn is(&self, kind: Kind) -> bool {
        match kind {
            Kind::Any => true,
            Kind::String => matches!(self, ScriptValue::String(_)),
            Kind::Int => matches!(self, ScriptValue::Int(_)),
            Kind::Float => matches!(self, ScriptValue::Float(_)),
            Kind::Duration => matches!(self, ScriptValue::Duration(_)),
            Kind::Bool => matches!(self, ScriptValue::Bool(_)),
            Kind::Lambda => matches!(self, ScriptValue::Lambda(_)),
            Kind::Node => matches!(self, ScriptValue::Node(_)),
        }
    }

    /// The value as a constant of an expression.
    pub fn constant(&self) -> Option<proto::Value> {
        Some(match self {
            ScriptValue::Int(x) => proto::Value::Int(*x),
            ScriptValue::Float(x) => proto::Value::Float(*x),
            ScriptValue::Bool(x) => proto::Value::Bool(*x),
            ScriptValue::String(x) => proto::Value::String(x.clone()),
            ScriptValue::Duration(x) => proto::Value::Duration(*x),
            ScriptValue::Regex(x) => proto::Value::Regex(x.clone()),
            _ => return None,
        })
    }
}
