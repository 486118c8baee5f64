//! Names of vars: what a statement uses, and what a name stands for.

use std::collections::BTreeSet;

use super::Interpreter;
use crate::tick::{
    ast::{Node, NodeKind, Statement},
    diagnostic::{Diagnostic, suggest},
    value::ScriptValue,
};

/// Most names that an error lists.
const NAMES_SHOWN_MAX: usize = 50;

/// Most bytes of values that a script may take from its vars: vars in vars could double without end.
const COPIED_BYTES_MAX: usize = 64 << 20;

impl Interpreter<'_> {
    pub(super) fn lookup(&self, name: &str, at: usize) -> Result<ScriptValue, Diagnostic> {
        if let Some(value) = self.scope.get(name) {
            let copied = self.copied.get().saturating_add(value.weight());
            self.copied.set(copied);
            return if copied <= COPIED_BYTES_MAX {
                Ok(value.clone())
            } else {
                Err(self.located_at(at, name.len(), "the values of the script's vars are too large together"))
            };
        }
        let names: Vec<&str> = self.scope.keys().map(String::as_str).collect();
        let mut shown = names[..names.len().min(NAMES_SHOWN_MAX)].join(",");
        if names.len() > NAMES_SHOWN_MAX {
            shown += &format!(" and {} more", names.len() - NAMES_SHOWN_MAX);
        }
        let mut error = Diagnostic::new(format!("name {name:?} is undefined. Names in scope: {shown}"));
        error = error.at(self.source, at, at + name.len());
        error.help = match (name, suggest(name, names.iter().copied())) {
            ("true" | "True", _) => Some("the literal is TRUE".to_owned()),
            ("false" | "False", _) => Some("the literal is FALSE".to_owned()),
            (_, Some(meant)) => Some(format!("did you mean {meant}?")),
            _ => Some(format!("write '{name}' for a string, \"{name}\" for a field or tag in a lambda")),
        };
        Err(error)
    }
}

/// Whether a statement uses one of these names.
pub(super) fn uses_any(statement: &Statement, names: &BTreeSet<String>) -> bool {
    match statement {
        _ if names.is_empty() => false,
        Statement::Declaration { value, .. } => uses(value, names),
        Statement::Expression(node) => uses(node, names),
        Statement::TypedDeclaration { .. } | Statement::Dbrp { .. } => false,
    }
}

fn uses(node: &Node, names: &BTreeSet<String>) -> bool {
    let any = |nodes: &[Node]| nodes.iter().any(|node| uses(node, names));
    match &node.kind {
        NodeKind::Identifier(name) => names.contains(name),
        NodeKind::Chain { head, links } => {
            let arguments = |node: &Node| match &node.kind {
                NodeKind::Call { arguments, .. } => any(arguments),
                // What stands alone behind an operator is a property, not a var.
                _ => false,
            };
            uses(head, names) || links.iter().any(|link| arguments(&link.right))
        }
        NodeKind::Call { arguments, .. } => any(arguments),
        NodeKind::List(items) => any(items),
        NodeKind::Lambda(body) => uses(body, names),
        NodeKind::Binary { left, right, .. } => uses(left, names) || uses(right, names),
        NodeKind::Unary { operand, .. } => uses(operand, names),
        _ => false,
    }
}
