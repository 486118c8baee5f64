//! Arithmetic at the top of a script: worked out at once, by the same evaluator that runs lambdas, so that a constant
//! means the same on both sides.

use dataplane::{
    expr::{Lambda, Scope, State},
    tags::TagSet,
    value::Value,
};
use proto::{Expr, expr::UnaryOp};

use super::Interpreter;
use crate::tick::{
    ast::{Node, NodeKind},
    diagnostic::Diagnostic,
    value::ScriptValue,
};

impl Interpreter<'_> {
    /// The value of a unary or binary expression.
    pub(super) fn constant(&self, node: &Node) -> Result<ScriptValue, Diagnostic> {
        if let NodeKind::Unary { operator, operand } = &node.kind {
            self.check_unary(node, *operator, operand)?;
        }
        let expression = self.lambda(node)?;
        if let Some(name) = expression.references().first() {
            let message = format!("unsupported literal type: reference {name:?} outside of a lambda");
            return Err(self.located(node, message).help("write lambda: in front of an expression of fields and tags"));
        }
        let mut lambda = Lambda::compile(&expression).map_err(|error| Diagnostic::new(error.to_string()))?;
        let tags = TagSet::empty();
        let now = dataplane::clock::now();
        let scope = Scope { time: 0, fields: (&[]).into(), tags: &tags, results: &[], now };
        match lambda.eval(&scope, &mut State::default()) {
            Ok(Value::Int(x)) => Ok(ScriptValue::Int(x)),
            Ok(Value::Float(x)) => Ok(ScriptValue::Float(x)),
            Ok(Value::Bool(x)) => Ok(ScriptValue::Bool(x)),
            Ok(Value::Duration(x)) => Ok(ScriptValue::Duration(x)),
            Ok(Value::String(x)) => Ok(ScriptValue::String(x.to_string())),
            Ok(Value::Null | Value::Missing) => Err(self.located(node, "the expression has no value")),
            Err(error) => Err(Diagnostic::new(error.to_string()).at(self.source, node.at, node.at + 1)),
        }
    }

    /// Of a lone operand only these have an operator; in lambdas more do.
    fn check_unary(&self, node: &Node, operator: UnaryOp, operand: &Node) -> Result<(), Diagnostic> {
        let expression = self.lambda(operand)?;
        let Expr::Literal(value) = &expression else { return Ok(()) };
        let fits = match operator {
            UnaryOp::Minus => {
                matches!(value, proto::Value::Int(_) | proto::Value::Float(_) | proto::Value::Duration(_))
            }
            UnaryOp::Not => matches!(value, proto::Value::Bool(_)),
        };
        let sign = if operator == UnaryOp::Minus { "-" } else { "!" };
        if fits { Ok(()) } else { Err(self.located(node, format!("invalid argument to '{sign}'"))) }
    }
}
