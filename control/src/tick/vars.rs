//! Vars of tasks in JSON (reference: tickscript §7, http-api §9).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, ser::SerializeMap};
use serde_json::{Map, Value as Json, json};

use super::{
    literal::{LiteralError, check_regex, parse_duration},
    parser::parse_lambda,
    value::ScriptValue,
};

/// Vars by name.
pub type Vars = BTreeMap<String, Var>;

/// A value that is supplied for a var of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Var {
    pub value: VarValue,
    pub description: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum VarValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    /// Nanoseconds.
    Duration(i64),
    Regex(String),
    /// Text of the expression, without `lambda:`.
    Lambda(String),
    List(Vec<Var>),
    Star,
    /// A value that does not fit its type: the whole set is refused by name when it is used.
    Invalid {
        type_name: &'static str,
        error: String,
    },
}

/// Types in their JSON spelling.
const TYPES: [&str; 9] = ["bool", "int", "float", "string", "regex", "duration", "lambda", "list", "star"];

impl Var {
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            VarValue::Bool(_) => "bool",
            VarValue::Int(_) => "int",
            VarValue::Float(_) => "float",
            VarValue::String(_) => "string",
            VarValue::Duration(_) => "duration",
            VarValue::Regex(_) => "regex",
            VarValue::Lambda(_) => "lambda",
            VarValue::List(_) => "list",
            VarValue::Star => "star",
            VarValue::Invalid { type_name, .. } => type_name,
        }
    }

    /// Why the value cannot be used; checked before the script is looked at.
    pub fn check(&self) -> Result<(), String> {
        match &self.value {
            VarValue::Invalid { error, .. } => Err(error.clone()),
            VarValue::List(items) => items.iter().try_for_each(|item| match &item.value {
                VarValue::String(_) | VarValue::Star | VarValue::Invalid { .. } => item.check(),
                _ => Err(format!("a list holds strings and stars, not {}", item.type_name())),
            }),
            VarValue::Regex(_) | VarValue::Lambda(_) => self.to_value().map(drop),
            _ => Ok(()),
        }
    }

    /// The value for a script. Fails for a lambda or regular expression that does not parse.
    pub fn to_value(&self) -> Result<ScriptValue, String> {
        Ok(match &self.value {
            VarValue::Bool(x) => ScriptValue::Bool(*x),
            VarValue::Int(x) => ScriptValue::Int(*x),
            VarValue::Float(x) => ScriptValue::Float(*x),
            VarValue::String(x) => ScriptValue::String(x.clone()),
            VarValue::Duration(x) => ScriptValue::Duration(*x),
            VarValue::Regex(x) => {
                check_regex(x).map_err(|LiteralError(message)| message)?;
                ScriptValue::Regex(x.clone())
            }
            VarValue::Lambda(x) => {
                let node = parse_lambda(x).map_err(|error| error.message)?;
                ScriptValue::Lambda(super::interpret::supplied_lambda(x, &node)?)
            }
            VarValue::List(items) => ScriptValue::List(items.iter().map(Var::to_value).collect::<Result<_, _>>()?),
            VarValue::Star => ScriptValue::Star,
            VarValue::Invalid { error, .. } => return Err(error.clone()),
        })
    }
}

/// As bodies give it, keys in any case. An unknown type, and a number of the wrong shape, is no JSON of a var at all.
impl<'de> Deserialize<'de> for Var {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body = Map::deserialize(deserializer)?;
        Var::read(lower_keys(body)).map_err(D::Error::custom)
    }
}

fn lower_keys(map: Map<String, Json>) -> Map<String, Json> {
    map.into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect()
}

impl Var {
    fn read(body: Map<String, Json>) -> Result<Var, String> {
        let text = |key: &str| match body.get(key) {
            None | Some(Json::Null) => Ok(""),
            Some(Json::String(text)) => Ok(text.as_str()),
            Some(_) => Err(format!("the {key} of a var is a string")),
        };
        let (named, description) = (text("type")?, text("description")?.to_owned());
        let type_name = TYPES.into_iter().find(|name| *name == named);
        let type_name = type_name.ok_or_else(|| format!("unknown var type {named:?}"))?;
        let shape = |what: &str| format!("a var of type {type_name} wants {what}");
        let value = match (type_name, body.get("value").unwrap_or(&Json::Null)) {
            ("star", _) => VarValue::Star,
            ("bool", Json::Bool(x)) => VarValue::Bool(*x),
            ("int", Json::Number(x)) => VarValue::Int(x.as_i64().ok_or_else(|| shape("an integer"))?),
            ("float", Json::Number(x)) => VarValue::Float(x.as_f64().ok_or_else(|| shape("a number"))?),
            ("string", Json::String(x)) => VarValue::String(x.clone()),
            ("regex", Json::String(x)) => VarValue::Regex(x.clone()),
            ("lambda", Json::String(x)) => VarValue::Lambda(x.clone()),
            ("duration", Json::Number(x)) => VarValue::Duration(x.as_i64().ok_or_else(|| shape("nanoseconds"))?),
            ("duration", Json::String(x)) => {
                VarValue::Duration(parse_duration(x).ok_or_else(|| shape("a duration such as 1h30m"))?)
            }
            ("list", Json::Array(items)) => {
                let item = |item: &Json| {
                    let body = item.as_object().cloned().map(lower_keys).filter(|body| body.contains_key("value"));
                    let body = body.ok_or_else(|| shape("a list of objects with type and value"))?;
                    // Items have no descriptions of their own.
                    Ok::<_, String>(Var { description: String::new(), ..Var::read(body)? })
                };
                VarValue::List(items.iter().map(item).collect::<Result<_, _>>()?)
            }
            (_, Json::Null) => VarValue::Invalid { type_name, error: "unsupported Var type <nil>.".to_owned() },
            ("int" | "float" | "duration" | "list", _) => return Err(shape("another value")),
            (_, other) => {
                let found = match other {
                    Json::Bool(_) => "bool",
                    Json::Number(_) => "number",
                    Json::String(_) => "string",
                    Json::Array(_) => "list",
                    _ => "map",
                };
                VarValue::Invalid { type_name, error: format!("unexpected var type {type_name}, value is a {found}") }
            }
        };
        Ok(Var { value, description })
    }
}

/// As answers show it: all three keys, durations in nanoseconds.
impl Serialize for Var {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match &self.value {
            VarValue::Bool(x) => json!(x),
            VarValue::Int(x) | VarValue::Duration(x) => json!(x),
            VarValue::Float(x) => json!(x),
            VarValue::String(x) | VarValue::Regex(x) | VarValue::Lambda(x) => json!(x),
            VarValue::List(items) => json!(items),
            VarValue::Star | VarValue::Invalid { .. } => Json::Null,
        };
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", self.type_name())?;
        map.serialize_entry("value", &value)?;
        map.serialize_entry("description", &self.description)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Var, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn shapes_that_are_no_var_are_refused_and_values_that_do_not_fit_are_named() {
        assert_eq!(read(r#"{"Type":"duration","VALUE":"1m"}"#).unwrap().value, VarValue::Duration(60_000_000_000));
        assert_eq!(read(r#"{"type":"float","value":3}"#).unwrap().value, VarValue::Float(3.0));
        for bad in [
            r#"{"type":"int","value":5.5}"#,
            r#"{"type":"int","value":"5"}"#,
            r#"{"type":"x","value":1}"#,
            r#"{"value":1}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(r#"{"type":"bool","value":"x"}"#).unwrap().check().is_err());
        assert!(read(r#"{"type":"string"}"#).unwrap().check().is_err());
        assert!(read(r#"{"type":"regex","value":"["}"#).unwrap().check().is_err());
        assert!(read(r#"{"type":"lambda","value":"x >"}"#).unwrap().check().is_err());
        for item in [r#"{"type":"int","value":1}"#, r#"{"type":"list","value":[]}"#, r#"{"type":"bool","value":true}"#]
        {
            let list = read(&format!(r#"{{"type":"list","value":[{item}]}}"#)).unwrap();
            assert!(list.check().is_err(), "{item}");
        }
        assert!(read(r#"{"type":"star"}"#).unwrap().check().is_ok());
    }

    #[test]
    fn a_var_is_shown_with_all_three_keys() {
        let var = read(r#"{"type":"duration","value":"1s"}"#).unwrap();
        assert_eq!(serde_json::to_string(&var).unwrap(), r#"{"type":"duration","value":1000000000,"description":""}"#);
    }
}
