//! What Go refuses when it parses a template and the template crate lets pass: variables that nobody has declared, and
//! `break` and `continue` outside of `range`.

use gotmpl::parse::{Expr, ListNode, Node, PipeNode, Pos, SmolStr};

use super::TemplateError;

/// Walks the body of one template.
pub struct Check<'a> {
    /// The template's name in error texts.
    name: &'a str,
    /// Names that are declared, the innermost last.
    variables: Vec<SmolStr>,
    ranges: usize,
}

impl Check<'_> {
    pub fn body(name: &str, list: &ListNode) -> Result<(), TemplateError> {
        Check { name, variables: vec!["$".into()], ranges: 0 }.list(list)
    }

    fn list(&mut self, list: &ListNode) -> Result<(), TemplateError> {
        list.nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node) -> Result<(), TemplateError> {
        let declared = self.variables.len();
        match node {
            Node::List(list) => return self.list(list),
            Node::Action(action) => return self.pipe(&action.pipe),
            Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                let ranges = usize::from(matches!(node, Node::Range(_)));
                self.pipe(&branch.pipe)?;
                self.ranges += ranges;
                self.list(&branch.body)?;
                self.ranges -= ranges;
                branch.else_body.as_ref().map_or(Ok(()), |body| self.list(body))?;
            }
            Node::Template(template) => template.pipe.as_ref().map_or(Ok(()), |pipe| self.pipe(pipe))?,
            Node::Break(pos) if self.ranges == 0 => return Err(self.error(*pos, "{{break}} outside {{range}}")),
            Node::Continue(pos) if self.ranges == 0 => return Err(self.error(*pos, "{{continue}} outside {{range}}")),
            Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
        }
        self.variables.truncate(declared);
        Ok(())
    }

    fn pipe(&mut self, pipe: &PipeNode) -> Result<(), TemplateError> {
        pipe.commands.iter().flat_map(|command| &command.args).try_for_each(|argument| self.expr(argument))?;
        for name in &pipe.decl {
            match pipe.is_assign {
                true => self.variable(pipe.pos, name)?,
                false => self.variables.push(name.clone()),
            }
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), TemplateError> {
        match expr {
            Expr::Variable(pos, name, _) => self.variable(*pos, name),
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Chain(_, inner, _) => self.expr(inner),
            _ => Ok(()),
        }
    }

    fn variable(&self, pos: Pos, name: &SmolStr) -> Result<(), TemplateError> {
        match self.variables.contains(name) {
            true => Ok(()),
            false => Err(self.error(pos, &format!("undefined variable {:?}", name.as_str()))),
        }
    }

    fn error(&self, pos: Pos, text: &str) -> TemplateError {
        TemplateError(format!("template: {}:{}: {text}", self.name, pos.line))
    }
}
