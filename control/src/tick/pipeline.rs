//! The graph that a script describes: nodes with their settings, in order of creation.

use super::{
    table::{self, Edge, NodeSpec, Property},
    udf::UdfCall,
    value::ScriptValue,
};

/// Which source a script uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskType {
    Stream,
    Batch,
}

impl TaskType {
    /// The word for it in the language and on the API.
    pub fn word(self) -> &'static str {
        match self {
            TaskType::Stream => "stream",
            TaskType::Batch => "batch",
        }
    }
}

/// A property as it was set.
#[derive(Clone, Debug)]
pub struct Setting {
    pub property: &'static Property,
    pub arguments: Vec<ScriptValue>,
    /// Settings of the handler that the property names.
    pub handler: Vec<Setting>,
}

#[derive(Clone, Debug)]
pub struct PipelineNode {
    pub spec: &'static NodeSpec,
    /// Kind and number.
    pub name: String,
    pub arguments: Vec<ScriptValue>,
    pub settings: Vec<Setting>,
    pub quiet: bool,
    /// In the order in which the node counts them.
    pub parents: Vec<usize>,
    /// In order of creation.
    pub children: Vec<usize>,
    /// What it hands on; `Same` never.
    pub provides: Edge,
    /// The node whose statistics this source shows.
    pub watches: Option<usize>,
    /// What an alert that `deadman` made says by default.
    pub deadman: Option<Deadman>,
    /// The function that a UDF node calls.
    pub udf: Option<UdfCall>,
    /// Place of the call in the script, for errors.
    pub at: usize,
}

/// What the words NODE_NAME and INTERVAL stand for in the id and message of a deadman.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadman {
    /// Name of the watched node.
    pub node: String,
    /// Nanoseconds.
    pub interval: i64,
}

#[derive(Clone, Debug)]
pub struct Pipeline {
    pub task_type: TaskType,
    pub nodes: Vec<PipelineNode>,
    next_number: usize,
}

impl Pipeline {
    /// A pipeline with its source, which bears number 0.
    pub fn new(task_type: TaskType) -> Option<Pipeline> {
        let (method, provides) = match task_type {
            TaskType::Stream => ("stream", Edge::Stream),
            TaskType::Batch => ("batch", Edge::Batch),
        };
        let source = PipelineNode {
            spec: table::by_kind(method)?,
            name: format!("{method}0"),
            arguments: Vec::new(),
            settings: Vec::new(),
            quiet: false,
            parents: Vec::new(),
            children: Vec::new(),
            provides,
            watches: None,
            deadman: None,
            udf: None,
            at: 0,
        };
        Some(Pipeline { task_type, nodes: vec![source], next_number: 1 })
    }

    /// Adds a node below its parents. Each link takes a number, and the node bears the last.
    pub fn add(
        &mut self,
        spec: &'static NodeSpec,
        arguments: Vec<ScriptValue>,
        parents: Vec<usize>,
        at: usize,
    ) -> usize {
        let index = self.nodes.len();
        // A source of its own takes one number, too.
        let links = parents.len().max(1);
        let number = self.next_number + links - 1;
        self.next_number += links;
        let first = parents.first().and_then(|parent| self.nodes.get(*parent));
        let provides = match spec.provides {
            Edge::Same => first.map_or(Edge::Stream, |parent| parent.provides),
            edge => edge,
        };
        for parent in &parents {
            if let Some(parent) = self.nodes.get_mut(*parent) {
                parent.children.push(index);
            }
        }
        self.nodes.push(PipelineNode {
            spec,
            name: format!("{}{number}", spec.kind),
            arguments,
            settings: Vec::new(),
            quiet: false,
            parents,
            children: Vec::new(),
            provides,
            watches: None,
            deadman: None,
            udf: None,
            at,
        });
        index
    }

    /// Adds a node that calls a UDF, whose name it bears.
    pub fn add_udf(&mut self, spec: &'static NodeSpec, call: UdfCall, parent: usize, at: usize) -> usize {
        let index = self.add(spec, Vec::new(), vec![parent], at);
        if let Some(node) = self.nodes.get_mut(index) {
            node.name = format!("{}{}", call.name, self.next_number - 1);
            if call.udf.provides != Edge::Same {
                node.provides = call.udf.provides;
            }
            node.udf = Some(call);
        }
        index
    }

    /// Nodes as DOT lists them: the reverse of the post-order of a walk that takes sources last to first and children in
    /// order of creation (reference: tickscript §14).
    pub fn dot_order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = vec![false; self.nodes.len()];
        let sources = (0..self.nodes.len()).rev().filter(|&index| self.nodes[index].parents.is_empty());
        for source in sources {
            self.visit(source, &mut seen, &mut order);
        }
        order.reverse();
        order
    }

    /// Iterative, because a chain may be as long as a script.
    fn visit(&self, source: usize, seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[source], true) {
            return;
        }
        let mut stack = vec![(source, 0)];
        while let Some((index, next)) = stack.pop() {
            match self.nodes[index].children.get(next) {
                Some(&child) => {
                    stack.push((index, next + 1));
                    if !std::mem::replace(&mut seen[child], true) {
                        stack.push((child, 0));
                    }
                }
                None => order.push(index),
            }
        }
    }
}

impl PipelineNode {
    /// The arguments of the last setting of a property.
    pub fn setting(&self, name: &str) -> Option<&[ScriptValue]> {
        self.settings.iter().rev().find(|setting| setting.property.name == name).map(|setting| &*setting.arguments)
    }

    /// The settings of a property that adds up, in order.
    pub fn settings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.settings.iter().filter(move |setting| setting.property.name == name)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.setting(name).is_some()
    }

    pub fn string(&self, name: &str) -> Option<&str> {
        first_string(self.setting(name)?)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        match self.setting(name)?.first()? {
            ScriptValue::Int(x) => Some(*x),
            _ => None,
        }
    }

    /// `FALSE` if it is not set.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.setting(name), Some([ScriptValue::Bool(true)]))
    }

    /// Nanoseconds.
    pub fn duration(&self, name: &str) -> Option<i64> {
        match self.setting(name)?.first()? {
            ScriptValue::Duration(x) => Some(*x),
            _ => None,
        }
    }

    pub fn lambda(&self, name: &str) -> Option<&proto::Expr> {
        match self.setting(name)?.first()? {
            ScriptValue::Lambda(x) => Some(x),
            _ => None,
        }
    }

    /// All lambdas of the node and its properties.
    pub fn lambdas(&self) -> impl Iterator<Item = &proto::Expr> {
        let settings = self.settings.iter().flat_map(|setting| &setting.arguments);
        self.arguments.iter().chain(settings).filter_map(|argument| match argument {
            ScriptValue::Lambda(lambda) => Some(lambda),
            _ => None,
        })
    }

    /// All string arguments of the last setting.
    pub fn strings(&self, name: &str) -> Option<Vec<String>> {
        Some(strings(self.setting(name)?))
    }

    /// The nth argument of the node itself, as a string.
    pub fn argument(&self, nth: usize) -> &str {
        match self.arguments.get(nth) {
            Some(ScriptValue::String(text)) => text,
            _ => "",
        }
    }
}

/// The first argument, if it is a string.
pub fn first_string(arguments: &[ScriptValue]) -> Option<&str> {
    match arguments.first()? {
        ScriptValue::String(text) => Some(text),
        _ => None,
    }
}

/// The arguments that are strings.
pub fn strings(arguments: &[ScriptValue]) -> Vec<String> {
    let string = |value: &ScriptValue| match value {
        ScriptValue::String(text) => Some(text.clone()),
        _ => None,
    };
    arguments.iter().filter_map(string).collect()
}
