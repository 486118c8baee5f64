//! Errors with their place in the script.

use super::Interpreter;
use crate::tick::{
    ast::{Node, NodeKind},
    diagnostic::Diagnostic,
};

impl Interpreter<'_> {
    /// An error with its place in front.
    pub(super) fn located(&self, node: &Node, message: impl Into<String>) -> Diagnostic {
        let width = match &node.kind {
            NodeKind::Call { name, .. } | NodeKind::Identifier(name) => name.len(),
            NodeKind::Reference(name) => name.len() + 2,
            _ => 1,
        };
        self.located_at(node.at, width, message)
    }

    /// An error of `width` bytes with its place in front.
    pub(super) fn located_at(&self, at: usize, width: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(message).located(self.source, at, at + width)
    }
}
