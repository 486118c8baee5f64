//! User-defined functions as scripts see them (reference: nodes-alert-join-io §8).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    table::{Edge, Kind},
    value::ScriptValue,
};

/// The functions that scripts may call with `@`.
#[derive(Clone, Debug)]
pub enum Udfs {
    /// Those of the configuration, by name, each as its process described itself.
    Known(BTreeMap<String, Arc<Udf>>),
    /// Any name with any options: a check without a server cannot know them.
    Any,
}

impl Default for Udfs {
    fn default() -> Self {
        Udfs::Known(BTreeMap::new())
    }
}

/// What a function says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udf {
    pub wants: Edge,
    pub provides: Edge,
    /// Types of the arguments of each option; `None` takes any option.
    pub options: Option<BTreeMap<String, Vec<Kind>>>,
}

/// A call of a function in a script.
#[derive(Clone, Debug)]
pub struct UdfCall {
    pub name: String,
    pub udf: Arc<Udf>,
    /// Options in the order of their calls; one may be called several times.
    pub options: Vec<(String, Vec<ScriptValue>)>,
}

impl Udfs {
    pub fn find(&self, name: &str) -> Option<Arc<Udf>> {
        match self {
            Udfs::Known(functions) => functions.get(name).cloned(),
            Udfs::Any => Some(Arc::new(Udf { wants: Edge::Same, provides: Edge::Same, options: None })),
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        let known = match self {
            Udfs::Known(functions) => Some(functions.keys().map(String::as_str)),
            Udfs::Any => None,
        };
        known.into_iter().flatten()
    }
}

impl Udf {
    /// Whether an option may be called with these arguments: `None` if there is no such option.
    pub fn check(&self, option: &str, arguments: &[ScriptValue]) -> Option<Result<(), String>> {
        let Some(options) = &self.options else { return Some(Ok(())) };
        let kinds = options.get(option)?;
        if kinds.len() != arguments.len() {
            let (got, expected) = (arguments.len(), kinds.len());
            return Some(Err(format!("unexpected number of args to {option}, got {got} expected {expected}")));
        }
        let wrong = arguments.iter().zip(kinds).find(|(argument, kind)| !argument.is(**kind));
        Some(match wrong {
            Some((argument, kind)) => {
                let got = argument.type_name().to_uppercase();
                Err(format!("unexpected arg to {option}, got {got} expected {}", type_word(*kind)))
            }
            None => Ok(()),
        })
    }
}

/// A type in the words of the protocol.
fn type_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "BOOL",
        Kind::Int => "INT",
        Kind::Float => "DOUBLE",
        Kind::String => "STRING",
        Kind::Duration => "DURATION",
        Kind::Lambda | Kind::Node | Kind::Any => "VALUE",
    }
}
