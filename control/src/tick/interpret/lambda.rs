//! Lambdas as expressions: vars become literals when the statement runs.

use proto::{Expr, limits::EXPR_DEPTH_MAX};

use super::Interpreter;
use crate::tick::{
    ast::{Node, NodeKind},
    diagnostic::Diagnostic,
    value::ScriptValue,
};

/// Most nodes of one expression, with the lambdas that it uses.
const EXPR_NODES_MAX: usize = 10_000;

/// Stands in front of the name of a call that stands for a name without a value: a list, or a name in a lambda that was
/// supplied for a var. No script can write such a call. Only a start refuses it (reference: tickscript §4).
const UNRESOLVED: char = '?';

/// A name in an expression that has no value there.
pub(in crate::tick) fn unresolved(expression: &Expr) -> Option<String> {
    let mut found = None;
    expression.walk(&mut |node| {
        if let Expr::Call(name, _) = node
            && let Some(name) = name.strip_prefix(UNRESOLVED)
        {
            found.get_or_insert_with(|| name.to_owned());
        }
    });
    found
}

impl Interpreter<'_> {
    /// The expression of a lambda's body.
    pub(super) fn lambda(&self, body: &Node) -> Result<Expr, Diagnostic> {
        let expression = self.expression(body)?;
        let mut nodes = 0_usize;
        expression.walk(&mut |_| nodes += 1);
        if nodes > EXPR_NODES_MAX || depth(&expression) > EXPR_DEPTH_MAX {
            return Err(self.located(body, "the lambda is too large with the lambdas that it uses"));
        }
        Ok(expression)
    }

    /// The body of a lambda, or of the lambda that a var holds, with vars put in as literals: how templates show it.
    pub(super) fn lambda_body(&self, node: &Node) -> Result<Option<Node>, Diagnostic> {
        match &node.kind {
            NodeKind::Lambda(body) => self.with_literals(body).map(Some),
            NodeKind::Identifier(name) => Ok(self.lambdas.get(name).cloned()),
            _ => Ok(None),
        }
    }

    fn with_literals(&self, node: &Node) -> Result<Node, Diagnostic> {
        let mut node = node.clone();
        match &mut node.kind {
            NodeKind::Identifier(name) => {
                let value = self.lookup(name, node.at)?;
                if let Some(body) = self.lambdas.get(name) {
                    node.kind = body.kind.clone();
                    if let NodeKind::Binary { parentheses, .. } = &mut node.kind {
                        *parentheses = true;
                    }
                } else if let Some(kind) = value.literal() {
                    node.kind = kind;
                }
            }
            NodeKind::Call { arguments, .. } => {
                for argument in arguments {
                    *argument = self.with_literals(argument)?;
                }
            }
            NodeKind::Binary { left, right, .. } => {
                **left = self.with_literals(left)?;
                **right = self.with_literals(right)?;
            }
            NodeKind::Unary { operand, .. } => **operand = self.with_literals(operand)?,
            _ => {}
        }
        Ok(node)
    }

    fn expression(&self, node: &Node) -> Result<Expr, Diagnostic> {
        Ok(match &node.kind {
            NodeKind::Identifier(name) if self.supplied && !self.scope.contains_key(name) => {
                Expr::Call(format!("{UNRESOLVED}{name}"), Vec::new())
            }
            NodeKind::Identifier(name) => match self.lookup(name, node.at)? {
                ScriptValue::Lambda(inner) => Expr::Lambda(Box::new(inner)),
                ScriptValue::List(_) => Expr::Call(format!("{UNRESOLVED}{name}"), Vec::new()),
                ScriptValue::Star => Expr::Call("*".to_owned(), Vec::new()),
                value => match value.constant() {
                    Some(constant) => Expr::Literal(constant),
                    None => {
                        let message = format!("unsupported literal type {} of {name} in a lambda", value.type_name());
                        return Err(self.located(node, message));
                    }
                },
            },
            NodeKind::Call { name, arguments, .. } => {
                let arguments = arguments.iter().map(|argument| self.expression(argument)).collect::<Result<_, _>>()?;
                Expr::Call(name.clone(), arguments)
            }
            NodeKind::Binary { operator, left, right, .. } => {
                Expr::Binary(*operator, Box::new(self.expression(left)?), Box::new(self.expression(right)?))
            }
            NodeKind::Unary { operator, operand } => Expr::Unary(*operator, Box::new(self.expression(operand)?)),
            NodeKind::Int { value, .. } => Expr::Literal(proto::Value::Int(*value)),
            NodeKind::Float(value) => Expr::Literal(proto::Value::Float(*value)),
            NodeKind::Duration { value, .. } => Expr::Literal(proto::Value::Duration(*value)),
            NodeKind::String { value, .. } => Expr::Literal(proto::Value::String(value.clone())),
            NodeKind::Regex { pattern, .. } => Expr::Literal(proto::Value::Regex(pattern.clone())),
            NodeKind::Bool(value) => Expr::Literal(proto::Value::Bool(*value)),
            NodeKind::Reference(name) => Expr::Reference(name.clone()),
            // A star in a lambda is a value that no operator takes: an error of each point, as in the original.
            NodeKind::Star => Expr::Call("*".to_owned(), Vec::new()),
            NodeKind::Chain { .. } | NodeKind::Lambda(_) | NodeKind::List(_) => {
                return Err(self.located(node, "unsupported literal type in a lambda"));
            }
        })
    }
}

fn depth(expression: &Expr) -> usize {
    1 + match expression {
        Expr::Literal(_) | Expr::Reference(_) => 0,
        Expr::Unary(_, operand) | Expr::Lambda(operand) => depth(operand),
        Expr::Binary(_, left, right) => depth(left).max(depth(right)),
        Expr::Call(_, arguments) => arguments.iter().map(depth).max().unwrap_or_default(),
    }
}
