//! Options as scripts give them: properties of an alert's handler become the options of a topic's handler of that kind.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value, json};

use super::{check, name};
use crate::tick::{pipeline::Setting, value::ScriptValue};

/// Kind and options of the handler that a script's setting names. Nothing: there is no such service.
pub fn of_script(setting: &Setting) -> Option<Result<(&'static str, Value), String>> {
    let kind = match setting.property.name {
        "email" => "smtp".to_owned(),
        method => method.to_lowercase(),
    };
    let kind = name(&kind)?;
    let options = options(kind, setting);
    Some(check(kind, options.clone()).map(|()| (kind, options)))
}

fn options(kind: &str, setting: &Setting) -> Value {
    let mut options = Map::new();
    if kind == "smtp" {
        options.insert("to".to_owned(), setting.arguments.iter().map(json).collect());
    }
    let first = match kind {
        "mqtt" => Some("topic"),
        "snmptrap" => Some("trap-oid"),
        _ => None,
    };
    if let (Some(name), Some(argument)) = (first, setting.arguments.first()) {
        options.insert(name.to_owned(), json(argument));
    }
    for own in &setting.handler {
        let name = option_name(kind, own.property.name);
        let arguments: Vec<Value> = own.arguments.iter().map(json).collect();
        match (name.as_str(), arguments.as_slice()) {
            ("links", [href, text @ ..]) => {
                let text = text.first().cloned().unwrap_or_else(|| json!(""));
                append(&mut options, name, json!({"href": href, "text": text}));
            }
            ("data", [oid, kind, value]) => {
                append(&mut options, "data-list".to_owned(), json!({"oid": oid, "type": kind, "value": value}));
            }
            ("attributes" | "metadata" | "additional-info" | "custom-fields", [key, value]) => {
                let map = options.entry(name).or_insert_with(|| json!({}));
                map[key.as_str().unwrap_or_default()] = value.clone();
            }
            (_, []) if own.property.parameters.rest.is_some() => drop(options.insert(name, json!([]))),
            (_, []) => drop(options.insert(name, json!(true))),
            (_, [one]) if own.property.parameters.rest.is_none() => drop(options.insert(name, one.clone())),
            (_, several) if own.property.adds => {
                several.iter().for_each(|value| append(&mut options, name.clone(), value.clone()));
            }
            (_, several) => drop(options.insert(name, several.into())),
        }
    }
    Value::Object(options)
}

fn append(options: &mut Map<String, Value>, name: String, value: Value) {
    if let Value::Array(list) = options.entry(name).or_insert_with(|| json!([])) {
        list.push(value);
    }
}

fn json(value: &ScriptValue) -> Value {
    match value {
        ScriptValue::Int(value) | ScriptValue::Duration(value) => json!(value),
        ScriptValue::Float(value) => json!(value),
        ScriptValue::Bool(value) => json!(value),
        ScriptValue::String(value) => json!(value),
        ScriptValue::List(values) => values.iter().map(json).collect(),
        _ => Value::Null,
    }
}

/// The option of a topic's handler that a property sets: mostly the same words, joined by hyphens.
fn option_name(kind: &str, property: &str) -> String {
    match (kind, property) {
        ("alerta", "services") => return "service".to_owned(),
        ("alerta", "correlated") => return "correlate".to_owned(),
        ("alerta" | "bigpanda", "attribute") => return "attributes".to_owned(),
        ("opsgenie" | "opsgenie2", "teams" | "recipients") => return format!("{property}-list"),
        ("kafka", "kafkaTopic") => return "topic".to_owned(),
        ("kafka", "partitionHashAlgorithm") => return "partitionAlgorithm".to_owned(),
        ("kafka", other) => return other.to_owned(),
        ("pagerduty2", "serviceKey") => return "routing-key".to_owned(),
        ("pagerduty2", "link") => return "links".to_owned(),
        ("zenoss", "customField") => return "custom-fields".to_owned(),
        _ => {}
    }
    let mut name = String::new();
    for c in property.replace("URL", "Url").replace("uRL", "url").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// A time in nanoseconds; as an option a number of them, or text such as `24h0m0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duration(pub i64);

impl Duration {
    pub fn parse(text: &str) -> Option<Duration> {
        crate::config::parse_duration(text).ok().map(|time| Duration(time.as_nanos().min(i64::MAX as u128) as i64))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_i64().map(Duration).ok_or_else(|| D::Error::custom("no whole number")),
            Value::String(text) => {
                Duration::parse(&text).ok_or_else(|| D::Error::custom(format!("invalid duration {text:?}")))
            }
            _ => Err(D::Error::custom("invalid duration: expected text such as 24h or nanoseconds")),
        }
    }
}
