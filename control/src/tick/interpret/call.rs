//! Calls in a chain: `|` makes a node, `.` sets a property, `@` calls a UDF (reference: tickscript §5).

use super::Interpreter;
use crate::tick::{
    ast::{ChainOp, Node},
    diagnostic::{Diagnostic, suggest},
    pipeline::Setting,
    table::{self, Edge, Kind, NodeSpec, On, Parameters},
    validate,
    value::ScriptValue,
};

impl Interpreter<'_> {
    pub(super) fn call(
        &mut self,
        index: usize,
        operator: ChainOp,
        place: &Node,
        name: &str,
        arguments: Vec<ScriptValue>,
    ) -> Result<ScriptValue, Diagnostic> {
        match operator {
            ChainOp::Chaining => self.add(index, place, name, arguments).map(ScriptValue::Node),
            ChainOp::Property => self.set(index, place, name, arguments).map(|()| ScriptValue::Node(index)),
            ChainOp::Udf => Err(self.unknown(index, operator, place, name)),
        }
    }

    /// Reads a plain property: `x.measurement`.
    pub(super) fn read(&self, chain: &Node, index: usize, name: &str) -> Result<ScriptValue, Diagnostic> {
        let node = &self.pipeline.nodes[index];
        let found = node.spec.property(name).filter(|property| property.plain);
        let no_property = || self.located(chain, format!("object {} has no property {name}", node.name));
        let property = found.ok_or_else(no_property)?;
        if let Some([value]) = node.setting(property.name) {
            return Ok(value.clone());
        }
        match property.parameters.fixed {
            [Kind::String] => Ok(ScriptValue::String(String::new())),
            [Kind::Int] => Ok(ScriptValue::Int(0)),
            [Kind::Float] => Ok(ScriptValue::Float(0.0)),
            [Kind::Duration] => Ok(ScriptValue::Duration(0)),
            [Kind::Bool] => Ok(ScriptValue::Bool(false)),
            _ => Err(no_property()),
        }
    }

    fn add(
        &mut self,
        parent: usize,
        place: &Node,
        name: &str,
        arguments: Vec<ScriptValue>,
    ) -> Result<usize, Diagnostic> {
        let spec = match table::node(name) {
            Some(spec) if self.may_follow(spec, parent) => spec,
            _ => return Err(self.unknown(parent, ChainOp::Chaining, place, name)),
        };
        let given = &self.pipeline.nodes[parent];
        if given.spec.ends {
            let message = format!("no method or property {name:?} on {}: nothing can follow it", given.name);
            return Err(self.located(place, message));
        }
        if spec.wants != Edge::Same && spec.wants != given.provides {
            let edge = if given.provides == Edge::Batch { "batch" } else { "stream" };
            let verb = format!("{}{}", spec.method[..1].to_uppercase(), &spec.method[1..]);
            return Err(self.failed(place, name, parent, &format!("cannot {verb} {edge} edge")));
        }
        self.check(place, name, parent, &spec.parameters, &arguments)?;
        validate::arguments(spec, &arguments).map_err(|message| self.failed(place, name, parent, &message))?;
        Ok(match spec.method {
            "stats" => self.add_stats(spec, parent, arguments, place.at),
            "deadman" => self.add_deadman(spec, parent, arguments, place.at),
            // Union counts its arguments before the node that it is called on.
            "union" => {
                let parents = nodes(&arguments).chain([parent]).collect();
                self.pipeline.add(spec, Vec::new(), parents, place.at)
            }
            "join" => {
                let parents = std::iter::once(parent).chain(nodes(&arguments)).collect();
                self.pipeline.add(spec, Vec::new(), parents, place.at)
            }
            _ => self.pipeline.add(spec, arguments, vec![parent], place.at),
        })
    }

    /// A source of its own that shows the counters of a node, which gets a child if it has none.
    fn add_stats(&mut self, spec: &'static NodeSpec, watched: usize, arguments: Vec<ScriptValue>, at: usize) -> usize {
        let stats = self.pipeline.add(spec, arguments, Vec::new(), at);
        self.pipeline.nodes[stats].watches = Some(watched);
        if self.pipeline.nodes[watched].children.is_empty()
            && let Some(noop) = table::source("noop")
        {
            self.pipeline.add(noop, Vec::new(), vec![watched], at);
        }
        stats
    }

    /// Counters, their rate, and an alert on it.
    fn add_deadman(
        &mut self,
        spec: &'static NodeSpec,
        watched: usize,
        arguments: Vec<ScriptValue>,
        at: usize,
    ) -> usize {
        let interval = arguments.get(1).cloned();
        let mut below = watched;
        if let Some(stats) = table::node("stats") {
            below = self.add_stats(stats, watched, interval.into_iter().collect(), at);
        }
        if let Some(derivative) = table::node("derivative") {
            let emitted = vec![ScriptValue::String("emitted".to_owned())];
            below = self.pipeline.add(derivative, emitted, vec![below], at);
        }
        self.pipeline.add(spec, arguments, vec![below], at)
    }

    fn set(&mut self, index: usize, place: &Node, name: &str, arguments: Vec<ScriptValue>) -> Result<(), Diagnostic> {
        if table::same_name("quiet", name) && index != 0 {
            self.check(place, name, index, &table::fixed(&[]), &arguments)?;
            self.pipeline.nodes[index].quiet = true;
            return Ok(());
        }
        // Behind a handler its own properties come first.
        let handler =
            self.pipeline.nodes[index].settings.iter().rposition(|setting| setting.property.handler.is_some());
        if let Some(at) = handler
            && let Some(properties) = self.pipeline.nodes[index].settings[at].property.handler
            && let Some(property) = table::find(properties, name)
        {
            self.check(place, name, index, &property.parameters, &arguments)?;
            validate::handler_property(property, &arguments)
                .map_err(|message| self.failed(place, name, index, &message))?;
            self.pipeline.nodes[index].settings[at].handler.push(Setting { property, arguments, handler: Vec::new() });
            return Ok(());
        }
        let Some(property) = self.pipeline.nodes[index].spec.property(name) else {
            return Err(self.unknown(index, ChainOp::Property, place, name));
        };
        self.check(place, name, index, &property.parameters, &arguments)?;
        validate::property(self.pipeline.nodes[index].spec, property, &arguments)
            .map_err(|message| self.failed(place, name, index, &message))?;
        let settings = &mut self.pipeline.nodes[index].settings;
        if !property.adds {
            settings.retain(|setting| setting.property.name != property.name);
        }
        settings.push(Setting { property, arguments, handler: Vec::new() });
        Ok(())
    }

    fn may_follow(&self, spec: &NodeSpec, parent: usize) -> bool {
        let parent = &self.pipeline.nodes[parent];
        let is_source = parent.spec.on == On::Nothing;
        match spec.on {
            On::Nodes => !is_source,
            On::Everything => true,
            On::StreamSource => parent.spec.method == "stream" || parent.spec.method == "from",
            On::BatchSource => parent.spec.method == "batch",
            On::Nothing => false,
        }
    }

    /// Count and types of arguments.
    fn check(
        &self,
        place: &Node,
        name: &str,
        index: usize,
        parameters: &Parameters,
        arguments: &[ScriptValue],
    ) -> Result<(), Diagnostic> {
        let (least, given) = (parameters.fixed.len(), arguments.len());
        let most = least.saturating_add(parameters.rest.map_or(0, |_| parameters.rest_max));
        if given < least || given > most {
            let wanted = match (least, most) {
                (least, most) if least == most => format!("{least}"),
                (least, usize::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            let plural = if wanted == "1" { "argument" } else { "arguments" };
            return Err(self.failed(place, name, index, &format!("{name} takes {wanted} {plural}, got {given}")));
        }
        let kinds = parameters.fixed.iter().copied().chain(parameters.rest.into_iter().cycle());
        for (nth, (argument, kind)) in arguments.iter().zip(kinds).enumerate() {
            if argument.is(kind) {
                continue;
            }
            let message = match argument {
                ScriptValue::Reference(name) => format!(
                    "argument {} is the reference \"{name}\", expected {}, did you use double quotes instead of single quotes?",
                    nth + 1,
                    kind.name()
                ),
                other => format!("argument {} is of type {}, expected {}", nth + 1, other.type_name(), kind.name()),
            };
            let mut error = self.failed(place, name, index, &message);
            error.help = match argument {
                ScriptValue::Reference(text) => Some(format!("write '{text}' for a string")),
                ScriptValue::Int(x) if kind == Kind::Float => Some(format!("write {x}.0 for a float")),
                _ => None,
            };
            return Err(error);
        }
        Ok(())
    }

    fn failed(&self, place: &Node, name: &str, index: usize, message: &str) -> Diagnostic {
        let node = self.pipeline.nodes.get(index).map_or("", |node| node.name.as_str());
        self.located(place, format!("error calling func {name:?} on {node}: {message}"))
    }

    /// No such thing here; says so if another operator would find it.
    fn unknown(&self, index: usize, operator: ChainOp, place: &Node, name: &str) -> Diagnostic {
        let node = &self.pipeline.nodes[index];
        let property = node.spec.property(name).is_some();
        let method = table::node(name).filter(|spec| self.may_follow(spec, index));
        let (what, other) = match (operator, property, method) {
            (ChainOp::Property, _, Some(_)) => ("property method", Some(("chaining method", "|"))),
            (ChainOp::Chaining, true, _) => ("chaining method", Some(("property method", "."))),
            (ChainOp::Udf, true, _) => ("UDF", Some(("property method", "."))),
            (ChainOp::Udf, _, Some(_)) => ("UDF", Some(("chaining method", "|"))),
            _ => ("method or property", None),
        };
        let mut error = match other {
            Some((other, sign)) => self.located(
                place,
                format!(
                    "no {what} {name:?} on {}, but {other} does exist. Use '{sign}' operator instead: 'node{sign}{name}(..)'.",
                    node.name
                ),
            ),
            None => self.located(place, format!("no {what} {name:?} on {}", node.name)),
        };
        let properties = node.spec.properties.iter().map(|property| property.name);
        let methods = table::NODES.iter().filter(|spec| self.may_follow(spec, index)).map(|spec| spec.method);
        let meant = match operator {
            ChainOp::Property => suggest(name, properties),
            _ => suggest(name, methods),
        };
        error.help = meant.map(|meant| format!("did you mean {}{meant}?", operator.as_str()));
        error
    }
}

fn nodes(arguments: &[ScriptValue]) -> impl Iterator<Item = usize> {
    arguments.iter().filter_map(|argument| match argument {
        ScriptValue::Node(index) => Some(*index),
        _ => None,
    })
}
