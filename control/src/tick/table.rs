//! The nodes of the language: one table that the checker, the texts of errors and the documentation read.
//!
//! reference: nodes-stream §3, nodes-alert-join-io §1, §2, §6, §7, batch-and-replay. A row says what a node is called, what
//! it takes, and which properties it has; what the values mean is said where they are lowered to the plan.

mod alert;
mod handlers;
mod influxql;
mod limit;
mod output;
mod sources;
mod transform;

pub use limit::{Limit, When};

const STRING: &[Kind] = &[Kind::String];
const INT: &[Kind] = &[Kind::Int];
const DURATION: &[Kind] = &[Kind::Duration];
const BOOL: &[Kind] = &[Kind::Bool];
const LAMBDA: &[Kind] = &[Kind::Lambda];
const PAIR: &[Kind] = &[Kind::String, Kind::String];
const NONE: Parameters = fixed(&[]);
const FIELD: Parameters = fixed(STRING);
const SAME: (Edge, Edge) = (Edge::Same, Edge::Same);
const AS: Property = value("as", STRING, "name of the result");

/// All nodes.
pub fn nodes() -> impl Iterator<Item = &'static NodeSpec> {
    [sources::NODES, transform::NODES, influxql::NODES, output::NODES].into_iter().flatten()
}

/// What an argument may be. Nothing is converted (reference: tickscript §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Int,
    Float,
    Duration,
    Bool,
    Lambda,
    /// Another node.
    Node,
    /// Anything; the node checks by itself.
    Any,
}

impl Kind {
    /// The word for it in error texts.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "a string",
            Kind::Int => "an integer",
            Kind::Float => "a float",
            Kind::Duration => "a duration",
            Kind::Bool => "TRUE or FALSE",
            Kind::Lambda => "a lambda",
            Kind::Node => "a node",
            Kind::Any => "a value",
        }
    }
}

/// Arguments of a method: fixed ones, then any number of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    pub fixed: &'static [Kind],
    pub rest: Option<Kind>,
    /// Most arguments of the variadic part.
    pub rest_max: usize,
}

impl Parameters {
    /// Most arguments.
    pub fn most(&self) -> usize {
        self.fixed.len().saturating_add(self.rest.map_or(0, |_| self.rest_max))
    }

    /// Whether so many arguments fit.
    pub fn takes(&self, arguments: usize) -> bool {
        (self.fixed.len()..=self.most()).contains(&arguments)
    }
}

/// Exactly these arguments.
pub const fn fixed(fixed: &'static [Kind]) -> Parameters {
    Parameters { fixed, rest: None, rest_max: 0 }
}

/// These arguments, and any number of another kind.
pub const fn variadic(fixed: &'static [Kind], rest: Kind) -> Parameters {
    Parameters { fixed, rest: Some(rest), rest_max: usize::MAX }
}

/// At most one argument.
pub const fn optional(kind: Kind) -> Parameters {
    Parameters { fixed: &[], rest: Some(kind), rest_max: 1 }
}

#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    pub parameters: Parameters,
    /// Setting it again adds to what was set.
    pub adds: bool,
    /// A plain value that scripts can read back.
    pub plain: bool,
    /// It names an alert handler with properties of its own.
    pub handler: Option<&'static [Property]>,
    /// What its value must be beyond its type.
    pub limit: Limit,
    pub doc: &'static str,
}

impl Property {
    /// The value must be greater than zero.
    const fn positive(self, when: When) -> Property {
        Property { limit: Limit::Positive(when), ..self }
    }

    /// A string must be one of these words.
    const fn one_of(self, words: &'static [&'static str], when: When) -> Property {
        Property { limit: Limit::OneOf(words, when), ..self }
    }
}

/// A property with one plain value.
pub const fn value(name: &'static str, kind: &'static [Kind], doc: &'static str) -> Property {
    Property { name, parameters: fixed(kind), adds: false, plain: true, handler: None, limit: Limit::Free, doc }
}

/// A property without arguments.
pub const fn flag(name: &'static str, doc: &'static str) -> Property {
    Property { name, parameters: fixed(&[]), adds: false, plain: false, handler: None, limit: Limit::Free, doc }
}

/// A property method whose arguments replace those of an earlier call.
pub const fn method(name: &'static str, parameters: Parameters, doc: &'static str) -> Property {
    Property { name, parameters, adds: false, plain: false, handler: None, limit: Limit::Free, doc }
}

/// A property method that adds to earlier calls.
pub const fn adding(name: &'static str, parameters: Parameters, doc: &'static str) -> Property {
    Property { name, parameters, adds: true, plain: false, handler: None, limit: Limit::Free, doc }
}

/// A property method that adds an alert handler with properties of its own.
pub const fn handler(
    name: &'static str,
    parameters: Parameters,
    properties: &'static [Property],
    doc: &'static str,
) -> Property {
    Property { name, parameters, adds: true, plain: false, handler: Some(properties), limit: Limit::Free, doc }
}

/// What kind of edge a node takes or gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Stream,
    Batch,
    /// As the parent's.
    Same,
}

#[derive(Clone, Copy, Debug)]
pub struct NodeSpec {
    /// The chaining method.
    pub method: &'static str,
    /// The word in node names and DOT.
    pub kind: &'static str,
    pub parameters: Parameters,
    pub wants: Edge,
    pub provides: Edge,
    /// Nothing can follow.
    pub ends: bool,
    pub properties: &'static [Property],
    /// Properties that name alert handlers.
    pub handlers: &'static [Property],
    /// Where it may be called, if not everywhere.
    pub on: On,
    pub doc: &'static str,
}

/// Parents of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Any node but the sources.
    Nodes,
    /// The `stream` source, and other `from` nodes.
    StreamSource,
    /// The `batch` source.
    BatchSource,
    /// Any node and the sources.
    Everything,
    /// Sources of the language; no method makes them.
    Nothing,
}

/// A node between a parent and its children: what it takes and gives, `edges`.
const fn node(
    method: &'static str,
    kind: &'static str,
    parameters: Parameters,
    edges: (Edge, Edge),
    properties: &'static [Property],
    doc: &'static str,
) -> NodeSpec {
    let (wants, provides) = edges;
    NodeSpec { method, kind, parameters, wants, provides, ends: false, properties, handlers: &[], on: On::Nodes, doc }
}

/// A node that no chaining method makes.
const fn source(method: &'static str, edge: Edge, doc: &'static str) -> NodeSpec {
    NodeSpec { on: On::Nothing, ..node(method, method, NONE, (edge, edge), &[], doc) }
}

impl NodeSpec {
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        find(self.properties, name).or_else(|| find(self.handlers, name))
    }
}

/// The alert handlers that a node may have.
pub fn handlers_of(method: &str) -> impl Iterator<Item = &'static Property> {
    by_method(method).into_iter().flat_map(|spec| spec.handlers)
}

/// A property by name; the first letter counts in any case.
pub fn find(properties: &'static [Property], name: &str) -> Option<&'static Property> {
    properties.iter().find(|property| same_name(property.name, name))
}

/// The node that a chaining method makes.
pub fn by_method(method: &str) -> Option<&'static NodeSpec> {
    nodes().find(|spec| spec.on != On::Nothing && same_name(spec.method, method))
}

/// A node that no method makes: `stream`, `batch`, `noop`, `udf`.
pub fn by_kind(kind: &str) -> Option<&'static NodeSpec> {
    nodes().find(|spec| spec.on == On::Nothing && spec.kind == kind)
}

/// Whether two names of methods are the same: the first letter counts in any case, the others as they are.
pub fn same_name(declared: &str, written: &str) -> bool {
    let (mut one, mut other) = (declared.chars(), written.chars());
    match (one.next(), other.next()) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(&b) && one.as_str() == other.as_str(),
        _ => false,
    }
}
