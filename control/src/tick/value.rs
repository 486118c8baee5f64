//! Values while a script runs.

use proto::Expr;

use super::{ast::NodeKind, literal::duration_text, table::Kind};

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
    /// `time(length, offset)` of a query's `groupBy`, in nanoseconds.
    Time {
        length: i64,
        offset: i64,
    },
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
            ScriptValue::Time { .. } => "time dimension",
            ScriptValue::Function(_) => "function",
        }
    }

    /// Bytes that a copy of the value takes, roughly.
    pub fn weight(&self) -> usize {
        let own = size_of::<ScriptValue>();
        match self {
            ScriptValue::String(text)
            | ScriptValue::Regex(text)
            | ScriptValue::Reference(text)
            | ScriptValue::Function(text) => own + text.len(),
            ScriptValue::Lambda(expression) => own + expression_weight(expression),
            ScriptValue::List(items) => own + items.iter().map(ScriptValue::weight).sum::<usize>(),
            _ => own,
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

    /// The value as a script writes it, if it is a literal.
    pub fn literal(&self) -> Option<NodeKind> {
        Some(match self {
            ScriptValue::Int(value) => NodeKind::Int { value: *value, octal: false },
            ScriptValue::Float(value) => NodeKind::Float(*value),
            ScriptValue::Bool(value) => NodeKind::Bool(*value),
            // Only between three quotes a string may end in a backslash.
            ScriptValue::String(value) => NodeKind::String { value: value.clone(), triple: value.contains('\\') },
            ScriptValue::Duration(value) => NodeKind::Duration { value: *value, text: duration_text(*value) },
            ScriptValue::Regex(pattern) => {
                NodeKind::Regex { pattern: pattern.clone(), text: pattern.replace('/', "\\/") }
            }
            ScriptValue::Star => NodeKind::Star,
            _ => return None,
        })
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

/// Bytes that an expression takes, roughly.
pub fn expression_weight(expression: &Expr) -> usize {
    let mut weight = 0;
    expression.walk(&mut |node| {
        weight += size_of::<Expr>();
        match node {
            Expr::Literal(proto::Value::String(text) | proto::Value::Regex(text)) => weight += text.len(),
            Expr::Reference(text) | Expr::Call(text, _) => weight += text.len(),
            _ => {}
        }
    });
    weight
}
