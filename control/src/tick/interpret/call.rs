//! Calls in a chain: `|` makes a node, `.` sets a property, `@` calls a UDF (reference: tickscript §5).

use proto::limits::NODES_PER_TASK_MAX;

use super::Interpreter;
use crate::tick::{
    ast::{ChainOp, Node},
    diagnostic::{Diagnostic, suggest},
    literal::parse_duration,
    pipeline::Setting,
    table::{self, Edge, Kind, NodeSpec, On, Parameters, Property, When},
    udf::UdfCall,
    validate,
    value::ScriptValue,
};

/// Most properties that are set on one node.
const SETTINGS_MAX: usize = 10_000;

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
            ChainOp::Udf => self.add_udf(index, place, name, &arguments).map(ScriptValue::Node),
        }
    }

    /// Reads a plain property: `x.measurement`.
    pub(super) fn read(&self, at: usize, index: usize, name: &str) -> Result<ScriptValue, Diagnostic> {
        let node = &self.pipeline.nodes[index];
        let found = node.spec.property(name).filter(|property| property.plain);
        let no_property = || {
            let mut error = self.located_at(at, 1 + name.len(), format!("object {} has no property {name}", node.name));
            let plain = node.spec.properties.iter().filter(|property| property.plain);
            let meant = suggest(name, plain.map(|property| property.name));
            error.help = meant.map(|meant| format!("did you mean .{meant}?"));
            error
        };
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
        let spec = match table::by_method(name) {
            Some(spec) if self.may_follow(spec, parent) => spec,
            _ => return Err(self.unknown(parent, ChainOp::Chaining, place, name)),
        };
        self.may_grow(parent, place, name)?;
        let given = &self.pipeline.nodes[parent];
        if spec.wants != Edge::Same && spec.wants != given.provides {
            let edge = if given.provides == Edge::Batch { "batch" } else { "stream" };
            let verb = format!("{}{}", spec.method[..1].to_uppercase(), &spec.method[1..]);
            return Err(self.failed(place, name, parent, &format!("cannot {verb} {edge} edge")));
        }
        self.check(place, name, parent, &spec.parameters, &arguments)?;
        validate::arguments(spec, &arguments).map_err(|message| self.failed(place, name, parent, &message))?;
        Ok(match spec.method {
            "stats" => self.pipeline.add_stats(spec, parent, arguments, place.at),
            "deadman" => self.pipeline.add_deadman(parent, arguments, place.at),
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

    /// Whether a node takes one more child.
    fn may_grow(&self, parent: usize, place: &Node, name: &str) -> Result<(), Diagnostic> {
        let given = &self.pipeline.nodes[parent];
        if given.spec.ends {
            let message = format!("no method or property {name:?} on {}: nothing can follow it", given.name);
            return Err(self.located(place, message));
        }
        if self.pipeline.nodes.len() >= NODES_PER_TASK_MAX {
            return Err(self.located(place, format!("a task has at most {NODES_PER_TASK_MAX} nodes")));
        }
        Ok(())
    }

    fn add_udf(
        &mut self,
        parent: usize,
        place: &Node,
        name: &str,
        arguments: &[ScriptValue],
    ) -> Result<usize, Diagnostic> {
        let (udf, spec) = match (self.environment.udfs.find(name), table::by_kind("udf")) {
            (Some(udf), Some(spec)) if parent != 0 => (udf, spec),
            _ => return Err(self.unknown(parent, ChainOp::Udf, place, name)),
        };
        self.may_grow(parent, place, name)?;
        self.check(place, name, parent, &spec.parameters, arguments)?;
        let call = UdfCall { name: name.to_owned(), udf, options: Vec::new() };
        Ok(self.pipeline.add_udf(spec, call, parent, place.at))
    }

    fn set(&mut self, index: usize, place: &Node, name: &str, arguments: Vec<ScriptValue>) -> Result<(), Diagnostic> {
        let node = &self.pipeline.nodes[index];
        if node.settings.len() >= SETTINGS_MAX {
            return Err(self.failed(place, name, index, &format!("a node has at most {SETTINGS_MAX} properties")));
        }
        // An option of a UDF wins over a property of its name.
        if let Some(checked) = node.udf.as_ref().and_then(|call| call.udf.check(name, &arguments)) {
            checked.map_err(|message| self.failed(place, name, index, &message))?;
            if let Some(call) = &mut self.pipeline.nodes[index].udf {
                call.options.push((name.to_owned(), arguments));
            }
            return Ok(());
        }
        if table::same_name("quiet", name) && index != 0 {
            self.check(place, name, index, &table::fixed(&[]), &arguments)?;
            self.pipeline.nodes[index].quiet = true;
            return Ok(());
        }
        if let Some((handler, property)) = self.handler_property(index, name, arguments.len()) {
            self.check(place, name, index, &property.parameters, &arguments)?;
            validate::handler_property(property, &arguments)
                .map_err(|message| self.failed(place, name, index, &message))?;
            let settings = &mut self.pipeline.nodes[index].settings[handler].handler;
            if !property.adds {
                settings.retain(|setting| setting.property.name != property.name);
            }
            settings.push(Setting { property, arguments, handler: Vec::new() });
            return Ok(());
        }
        let Some(property) = self.pipeline.nodes[index].spec.property(name) else {
            return Err(self.unknown(index, ChainOp::Property, place, name));
        };
        self.check(place, name, index, &property.parameters, &arguments)?;
        let limit = property.limit.check(property.name, &arguments, When::Define);
        limit
            .and_then(|()| validate::property(self.pipeline.nodes[index].spec, property, &arguments))
            .map_err(|message| self.failed(place, name, index, &message))?;
        let settings = &mut self.pipeline.nodes[index].settings;
        if !property.adds {
            settings.retain(|setting| setting.property.name != property.name);
        }
        settings.push(Setting { property, arguments, handler: Vec::new() });
        Ok(())
    }

    /// Behind a handler its own properties come first. Of two of one name, that of the handler steps back if only the
    /// node's takes so many arguments.
    fn handler_property(&self, index: usize, name: &str, arguments: usize) -> Option<(usize, &'static Property)> {
        let node = &self.pipeline.nodes[index];
        if node.spec.handlers.is_empty() {
            return None;
        }
        let handler = node.settings.iter().rposition(|setting| setting.property.handler.is_some())?;
        let own = table::find(node.settings[handler].property.handler?, name)?;
        let others = node.spec.property(name).is_some_and(|property| property.parameters.takes(arguments));
        (own.parameters.takes(arguments) || !others).then_some((handler, own))
    }

    fn may_follow(&self, spec: &NodeSpec, index: usize) -> bool {
        let parent = &self.pipeline.nodes[index];
        match spec.on {
            On::Nodes => index != 0,
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
        let (least, most, given) = (parameters.fixed.len(), parameters.most(), arguments.len());
        if !parameters.takes(given) {
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
            error.help = instead(argument, kind);
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
        let handler = node.settings.iter().rev().find_map(|setting| setting.property.handler).unwrap_or_default();
        let properties: Vec<&str> = match &node.udf {
            Some(UdfCall { udf, .. }) => {
                udf.options.iter().flat_map(|options| options.keys()).map(String::as_str).collect()
            }
            None => {
                let own = [handler, node.spec.properties, node.spec.handlers].into_iter().flatten();
                own.map(|property| property.name).collect()
            }
        };
        let methods: Vec<&str> =
            table::nodes().filter(|spec| self.may_follow(spec, index)).map(|spec| spec.method).collect();
        let udfs: Vec<&str> = self.environment.udfs.names().filter(|_| index != 0).collect();
        let kinds = [
            (ChainOp::Property, "property method", properties),
            (ChainOp::Chaining, "chaining method", methods),
            (ChainOp::Udf, "UDF", udfs),
        ];
        let what = kinds.iter().find(|(kind, ..)| *kind == operator).map_or("method", |(_, what, _)| what);
        let has = |(kind, _, names): &&(ChainOp, &str, Vec<&str>)| {
            *kind != operator && names.iter().any(|declared| table::same_name(declared, name))
        };
        if let Some((other, called, _)) = kinds.iter().find(has) {
            let sign = other.as_str();
            let message = format!(
                "no {what} {name:?} on {}, but {called} does exist. Use '{sign}' operator instead: 'node{sign}{name}(..)'.",
                node.name
            );
            return self.located(place, message);
        }
        let mut error = self.located(place, format!("no method or property {name:?} on {}", node.name));
        // The operator that was written says where to look first.
        let (asked, others): (Vec<_>, Vec<_>) = kinds.iter().partition(|(kind, ..)| *kind == operator);
        let near = asked.iter().chain(&others).find_map(|(kind, _, names)| {
            suggest(name, names.iter().copied()).map(|meant| format!("did you mean {}{meant}?", kind.as_str()))
        });
        error.help = near;
        error
    }
}

/// How an argument is written that is of this kind.
fn instead(argument: &ScriptValue, kind: Kind) -> Option<String> {
    Some(match (argument, kind) {
        (ScriptValue::Reference(name), Kind::Lambda) => format!("write lambda: \"{name}\""),
        (_, Kind::Lambda) => "write lambda: in front of an expression".to_owned(),
        (ScriptValue::Reference(text), _) => format!("write '{text}' for a string"),
        (ScriptValue::Int(x), Kind::Float) => format!("write {x}.0 for a float"),
        (ScriptValue::Int(x), Kind::Duration) => format!("a duration has a unit: {x}s for seconds, {x}m for minutes"),
        (ScriptValue::String(text), Kind::Duration) if parse_duration(text).is_some() => {
            format!("write {text} for a duration")
        }
        (ScriptValue::String(text), Kind::Int) if text.parse::<i64>().is_ok() => format!("write {text} for an integer"),
        (ScriptValue::String(text), Kind::Float) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            format!("write {text}{} for a float", if text.contains('.') { "" } else { ".0" })
        }
        (ScriptValue::String(text), Kind::Bool) if text.eq_ignore_ascii_case("true") => "write TRUE".to_owned(),
        (ScriptValue::String(text), Kind::Bool) if text.eq_ignore_ascii_case("false") => "write FALSE".to_owned(),
        _ => return None,
    })
}

fn nodes(arguments: &[ScriptValue]) -> impl Iterator<Item = usize> {
    arguments.iter().filter_map(|argument| match argument {
        ScriptValue::Node(index) => Some(*index),
        _ => None,
    })
}
