//! What the table of nodes says, for people: help on the command line, and the document of all nodes.

use super::table::{self, Edge, Kind, NodeSpec, On, Parameters, Property};

/// Help for a word of the language: `nodes` for all of them, or the name of one.
pub fn about(word: &str) -> Option<String> {
    if word == "nodes" { Some(markdown()) } else { node(word) }
}

/// Help for one node, for a terminal.
pub fn node(method: &str) -> Option<String> {
    let spec = table::by_method(method)?;
    let mut text = format!("|{}{}: {}\n", spec.method, parameters(&spec.parameters), spec.doc);
    text += &format!("  {}\n", edges(spec));
    for property in spec.properties {
        text += &line("  ", property);
    }
    for handler in spec.handlers {
        text += &line("  ", handler);
        for property in handler.handler.unwrap_or_default() {
            text += &line("      ", property);
        }
    }
    Some(text)
}

/// All nodes, as the document `docs/nodes.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Nodes\n\n\
         Every node of TICKscript with its properties; written from the table that also checks scripts. `farad help NODE`\n\
         shows one of them. Arguments in `[…]` may be left out, those with `…` may be repeated; a property marked `+` adds to\n\
         what an earlier call set, any other replaces it. Every node has `.quiet()`, which keeps its errors out of the log.\n",
    );
    for spec in table::nodes().filter(|spec| spec.on != On::Nothing) {
        text += &format!("\n## {}\n\n", spec.method);
        text += &format!("`|{}{}`: {}. {}.\n", spec.method, parameters(&spec.parameters), spec.doc, edges(spec));
        if spec.method == "deadman" {
            text += "\nIts properties are those of [alert](#alert).\n";
            continue;
        }
        if !spec.properties.is_empty() {
            text += "\n| property | |\n|---|---|\n";
            spec.properties.iter().for_each(|property| text += &row(property));
        }
        for handler in spec.handlers {
            text += &format!("\n### {}.{}\n\n", spec.method, handler.name);
            text += &format!("`.{}{}`: {}.\n", handler.name, parameters(&handler.parameters), handler.doc);
            let properties = handler.handler.unwrap_or_default();
            if !properties.is_empty() {
                text += "\n| property | |\n|---|---|\n";
                properties.iter().for_each(|property| text += &row(property));
            }
        }
    }
    text
}

fn line(indentation: &str, property: &Property) -> String {
    let call = format!("{indentation}.{}{}", property.name, parameters(&property.parameters));
    format!("{call:<44} {}\n", meaning(property))
}

fn row(property: &Property) -> String {
    let adds = if property.adds { " +" } else { "" };
    format!("| `.{}{}`{adds} | {} |\n", property.name, parameters(&property.parameters), meaning(property))
}

/// What a property means, and what its value must be.
fn meaning(property: &Property) -> String {
    match property.limit.to_string() {
        limit if limit.is_empty() => property.doc.to_owned(),
        limit => format!("{}; {limit}", property.doc),
    }
}

/// `(string, int…)`
fn parameters(parameters: &Parameters) -> String {
    let mut words: Vec<String> = parameters.fixed.iter().map(|kind| word(*kind).to_owned()).collect();
    match parameters.rest {
        Some(kind) if parameters.rest_max == 1 => words.push(format!("[{}]", word(kind))),
        Some(kind) => words.push(format!("[{}…]", word(kind))),
        None => {}
    }
    format!("({})", words.join(", "))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Int => "int",
        Kind::Float => "float",
        Kind::Duration => "duration",
        Kind::Bool => "bool",
        Kind::Lambda => "lambda",
        Kind::Node => "node",
        Kind::Any => "value",
    }
}

/// What goes in and what comes out.
fn edges(spec: &NodeSpec) -> String {
    let edge = |edge| match edge {
        Edge::Stream => "a stream",
        Edge::Batch => "batches",
        Edge::Same => "a stream or batches",
    };
    let takes = match spec.on {
        On::StreamSource => "Behind `stream`".to_owned(),
        On::BatchSource => "Behind `batch`".to_owned(),
        _ => format!("Takes {}", edge(spec.wants)),
    };
    match spec.provides {
        _ if spec.ends => format!("{takes}, ends a chain"),
        Edge::Same => format!("{takes}, gives the same"),
        provides => format!("{takes}, gives {}", edge(provides)),
    }
}
