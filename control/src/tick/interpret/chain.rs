//! Values of expressions at the top of a script and in arguments; chains.

use super::Interpreter;
use crate::tick::{
    ast::{ChainOp, Link, Node, NodeKind},
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic, suggest},
    functions,
    value::ScriptValue,
};

impl Interpreter<'_> {
    /// The value of an expression at the top of a script or as an argument.
    pub(super) fn value(&mut self, node: &Node) -> Result<ScriptValue, Diagnostic> {
        Ok(match &node.kind {
            NodeKind::Chain { head, links } => return self.chain(head, links),
            NodeKind::Call { name, arguments, .. } => return self.global(node, name, arguments),
            NodeKind::Identifier(name) => match self.lookup(name, node.at)? {
                ScriptValue::Function(name) if name != "time" => return Err(self.no_global_function(node, &name)),
                value => value,
            },
            NodeKind::Lambda(body) => ScriptValue::Lambda(self.lambda(body)?),
            NodeKind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                ScriptValue::List(items)
            }
            NodeKind::Binary { .. } | NodeKind::Unary { .. } => self.constant(node)?,
            NodeKind::Int { value, .. } => ScriptValue::Int(*value),
            NodeKind::Float(value) => ScriptValue::Float(*value),
            NodeKind::Duration { value, .. } => ScriptValue::Duration(*value),
            NodeKind::String { value, .. } => ScriptValue::String(value.clone()),
            NodeKind::Reference(name) => ScriptValue::Reference(name.clone()),
            NodeKind::Regex { pattern, .. } => ScriptValue::Regex(pattern.clone()),
            NodeKind::Bool(value) => ScriptValue::Bool(*value),
            NodeKind::Star => ScriptValue::Star,
        })
    }

    /// A call outside of chains and lambdas: only `time` is a function there.
    fn global(&mut self, node: &Node, name: &str, arguments: &[Node]) -> Result<ScriptValue, Diagnostic> {
        if !matches!(self.scope.get(name), Some(ScriptValue::Function(function)) if function == "time") {
            return Err(self.no_global_function(node, name));
        }
        let values = arguments.iter().map(|argument| self.value(argument)).collect::<Result<Vec<_>, _>>()?;
        match values.as_slice() {
            [ScriptValue::Duration(length)] => Ok(ScriptValue::Time { length: *length, offset: 0 }),
            [ScriptValue::Duration(length), ScriptValue::Duration(offset)] => {
                Ok(ScriptValue::Time { length: *length, offset: *offset })
            }
            [_] | [_, _] => Err(self.located(node, "time() wants a length and an offset, both durations such as 1m")),
            _ => Err(self.located(node, format!("time() function expects 1 or 2 args, got {}", values.len()))),
        }
    }

    fn no_global_function(&self, node: &Node, name: &str) -> Diagnostic {
        let mut error = self.located(node, format!("no global function {name:?} defined"));
        if functions::is_known(name) {
            error.help = Some(format!("{name} is a function of lambdas and of arithmetic, as in 0 + {name}(…)"));
        } else if let Some(meant) = suggest(name, ["time", "stream", "batch"]) {
            error.help = Some(format!("did you mean {meant}?"));
        }
        error
    }

    fn chain(&mut self, head: &Node, links: &[Link]) -> Result<ScriptValue, Diagnostic> {
        let mut value = self.value(head)?;
        for link in links {
            let ScriptValue::Node(index) = value else {
                let message = format!("a {} has no methods or properties", value.type_name());
                return Err(self.located(&link.right, message));
            };
            value = match self.link(index, link) {
                // What follows can be looked at all the same.
                Err(error)
                    if link.operator == ChainOp::Property
                        && matches!(link.right.kind, NodeKind::Call { .. })
                        && self.found.len() + 1 < DIAGNOSTICS_MAX =>
                {
                    self.found.push(error);
                    self.meant(index, link)
                }
                linked => linked?,
            };
        }
        Ok(value)
    }

    /// Behind a property that failed: the node that the same name makes behind `|`, if it is no property at all; else the
    /// node itself, which stands whatever its property is.
    fn meant(&mut self, index: usize, link: &Link) -> ScriptValue {
        let known = match &link.right.kind {
            NodeKind::Call { name, .. } => self.pipeline.nodes[index].spec.property(name).is_some(),
            _ => true,
        };
        let chained = Link { operator: ChainOp::Chaining, ..link.clone() };
        let meant = if known { None } else { self.link(index, &chained).ok() };
        meant.unwrap_or(ScriptValue::Node(index))
    }

    fn link(&mut self, index: usize, link: &Link) -> Result<ScriptValue, Diagnostic> {
        match &link.right.kind {
            NodeKind::Call { name, arguments, .. } => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                // One list alone is the list of arguments.
                if let [ScriptValue::List(_)] = values.as_slice()
                    && let Some(ScriptValue::List(items)) = values.pop()
                {
                    values = items;
                }
                self.call(index, link.operator, &link.right, name, values)
            }
            NodeKind::Identifier(name) => self.read(link.at, index, name),
            _ => Err(self.located(&link.right, "expected a method")),
        }
    }
}
