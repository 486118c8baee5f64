//! What a node checks of itself beyond counts and types of arguments: the errors of definition (status 400).
//!
//! reference: nodes-stream §4 to §15, nodes-alert-join-io §1.1, §2.10, §6.3, §7, §9. What only a start finds (status 500) is
//! said where nodes are lowered.

use super::{
    diagnostic::DIAGNOSTICS_MAX,
    pipeline::{Pipeline, PipelineNode, strings},
    table::{NodeSpec, Property},
    value::ScriptValue,
};

/// Arguments of a chaining method.
pub fn arguments(spec: &NodeSpec, arguments: &[ScriptValue]) -> Result<(), String> {
    match spec.method {
        "groupBy" => dimensions(arguments),
        "sample" => match arguments {
            [ScriptValue::Int(_) | ScriptValue::Duration(_)] => Ok(()),
            _ => Err("must pass int64 or duration to new sample node".to_owned()),
        },
        "httpPost" if arguments.len() > 1 => Err(format!("httpPost expects 0 or 1 arguments, got {}", arguments.len())),
        _ => Ok(()),
    }
}

/// Arguments of a property.
pub fn property(spec: &NodeSpec, property: &Property, arguments: &[ScriptValue]) -> Result<(), String> {
    match (spec.method, property.name) {
        ("from", "groupBy") => dimensions(arguments),
        ("default" | "sideload", "field") => match arguments {
            [_, ScriptValue::Float(_) | ScriptValue::Int(_) | ScriptValue::String(_) | ScriptValue::Bool(_)] => Ok(()),
            [ScriptValue::String(name), other] => Err(format!(
                "unsupported type {} for field {name:?}, field default values must be float,int,string or bool",
                other.type_name()
            )),
            _ => Ok(()),
        },
        ("httpPost", "header") => header(arguments),
        (_, "snmpTrap") if strings(arguments).iter().any(String::is_empty) => {
            Err("you must supply a trap Oid".to_owned())
        }
        _ => Ok(()),
    }
}

/// Arguments of a property of an alert handler.
pub fn handler_property(property: &Property, arguments: &[ScriptValue]) -> Result<(), String> {
    match (property.name, strings(arguments).as_slice()) {
        ("header", _) => header(arguments),
        ("data", [_, kind, _]) if !["c", "i", "n", "s", "t"].contains(&kind.as_str()) => {
            Err(format!("invalid data type {kind:?}, must be one of c, i, n, s, t"))
        }
        _ => Ok(()),
    }
}

fn header(arguments: &[ScriptValue]) -> Result<(), String> {
    match arguments.first() {
        Some(ScriptValue::String(name)) if name.eq_ignore_ascii_case("authenticate") => {
            Err("cannot set 'authenticate' header".to_owned())
        }
        _ => Ok(()),
    }
}

fn dimensions(arguments: &[ScriptValue]) -> Result<(), String> {
    let mut star = false;
    for argument in arguments {
        match argument {
            ScriptValue::Star => star = true,
            ScriptValue::String(name) if name.is_empty() => {
                return Err("dimensions cannot not be the empty string".to_owned());
            }
            ScriptValue::String(_) => {}
            other => return Err(format!("invalid dimension object of type {}", other.type_name())),
        }
    }
    if star && arguments.len() > 1 {
        return Err("cannot group by both '*' and named dimensions.".to_owned());
    }
    Ok(())
}

/// Every node of a finished script: those with something wrong, and what it is.
pub fn pipeline(pipeline: &Pipeline) -> Vec<(&PipelineNode, String)> {
    let wrong = |node| check(node).err().map(|message| (node, format!("{}: {message}", node.name)));
    pipeline.nodes.iter().filter_map(wrong).take(DIAGNOSTICS_MAX).collect()
}

fn check(node: &PipelineNode) -> Result<(), String> {
    match node.spec.method {
        "groupBy"
            if node.settings("exclude").any(|setting| !setting.arguments.is_empty())
                && node.arguments != [ScriptValue::Star] =>
        {
            Err("exclude requires '*'".to_owned())
        }
        "eval" => eval(node),
        "window" => window(node),
        "combine" => prefixes(node, node.arguments.len(), "combine", "expressions"),
        "join" => prefixes(node, node.parents.len(), "join", "parents"),
        "httpPost" => http_post(node),
        "barrier" => barrier(node),
        "kapacitorLoopback" => required(node, &["database", "retentionPolicy"]),
        "k8sAutoscale" => autoscale(node, ["resourceName", "resourceNameTag"], "ResourceName or ResourceNameTag"),
        "swarmAutoscale" => autoscale(node, ["serviceName", "serviceNameTag"], "ServiceName or ServiceNameTag"),
        "ec2Autoscale" => autoscale(node, ["groupName", "groupNameTag"], "GroupName or GroupNameTag"),
        _ => Ok(()),
    }
}

fn barrier(node: &PipelineNode) -> Result<(), String> {
    match (node.duration("idle"), node.duration("period")) {
        (None, None) => Err("must specify either idle or period".to_owned()),
        (Some(_), Some(_)) => Err("cannot specify both idle and period".to_owned()),
        _ => Ok(()),
    }
}

fn required(node: &PipelineNode, properties: &[&str]) -> Result<(), String> {
    let lacks = |property: &&&str| node.string(property).is_none_or(str::is_empty);
    match properties.iter().find(lacks) {
        Some(property) => Err(format!("must specify {property}")),
        None => Ok(()),
    }
}

fn autoscale(node: &PipelineNode, names: [&str; 2], shown: &str) -> Result<(), String> {
    let given = |property| node.string(property).is_some_and(|text| !text.is_empty());
    if names.into_iter().filter(|name| given(name)).count() != 1 {
        return Err(format!("must specify exactly one of {shown}"));
    }
    match node.int("min") {
        Some(min @ ..1) => Err(format!("min must be >= 1, got {min}")),
        _ if !node.is_set("replicas") => Err("must provide a replicas lambda expression".to_owned()),
        _ => Ok(()),
    }
}

fn eval(node: &PipelineNode) -> Result<(), String> {
    let names = node.strings("as").unwrap_or_default();
    if names.len() != node.arguments.len() {
        return Err(format!(
            "must specify same number of expressions and .as() names: got {} as names, and {} expressions.",
            names.len(),
            node.arguments.len()
        ));
    }
    let tags = node.strings("tags").unwrap_or_default();
    match tags.iter().find(|tag| !names.contains(tag)) {
        Some(tag) => Err(format!("invalid tag name {tag:?}, name is not present is .as() names")),
        None => Ok(()),
    }
}

fn window(node: &PipelineNode) -> Result<(), String> {
    let period_count = node.int("periodCount").unwrap_or_default();
    let every_count = node.int("everyCount").unwrap_or_default();
    let timed = node.duration("period").unwrap_or_default() != 0;
    if timed && period_count != 0 {
        return Err("cannot specify both period and periodCount".to_owned());
    }
    if period_count != 0 && node.is_set("align") {
        return Err("can only align windows based off time, not count".to_owned());
    }
    if period_count != 0 && every_count <= 0 {
        return Err("everyCount must be greater than zero".to_owned());
    }
    if period_count < 0 {
        return Err("periodCount must be greater than zero".to_owned());
    }
    Ok(())
}

/// Names in front of the fields of what a node combines.
fn prefixes(node: &PipelineNode, wanted: usize, method: &str, of: &str) -> Result<(), String> {
    let names = node.strings("as").unwrap_or_default();
    if names.is_empty() {
        return Err(format!("a call to {method}.as() is required to specify the output stream prefixes."));
    }
    if names.len() != wanted {
        return Err(format!("number of prefixes specified by {method}.as() must match the number of {method} {of}"));
    }
    let delimiter = node.string("delimiter").unwrap_or(".");
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("must provide a prefix name for the {method} node, see .as() property method"));
        }
        // The empty text is in every name; a join takes it nevertheless.
        if name.contains(delimiter) && !(delimiter.is_empty() && method == "join") {
            return Err(format!(
                "cannot use name {name} as field prefix, it contains the delimiter character {delimiter}"
            ));
        }
        if names[..index].contains(name) {
            return Err("cannot use the same prefix name see .as() property method".to_owned());
        }
    }
    Ok(())
}

fn http_post(node: &PipelineNode) -> Result<(), String> {
    let urls = node.arguments.len();
    let endpoints = node.settings("endpoint").count();
    match (urls, endpoints) {
        (_, 2..) => Err(format!("httpPost expects 0 or 1 endpoints, got {endpoints}")),
        (0, 0) => Err("must provide url or endpoint".to_owned()),
        (1, 1) => Err("only one endpoint and url may be specified".to_owned()),
        _ => Ok(()),
    }
}
