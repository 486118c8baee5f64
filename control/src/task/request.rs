//! Bodies of requests for tasks (reference: http-api §1, §8).

use proto::plan::Dbrp;
use serde::{Deserialize, de::Error};
use serde_json::{Map, Value};

use crate::tick::vars::Vars;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Enabled,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeWord {
    Stream,
    Batch,
    Invalid,
}

/// Body of a definition or of a change ([`object`]); what is absent stays as it is. The type is checked and ignored: the
/// script says it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Definition {
    pub id: Option<String>,
    pub template_id: Option<String>,
    #[serde(rename = "type")]
    pub type_word: Option<TypeWord>,
    #[serde(default, deserialize_with = "dbrps")]
    pub dbrps: Option<Vec<Dbrp>>,
    pub script: Option<String>,
    pub status: Option<Status>,
    pub vars: Option<Vars>,
}

/// Body of a change.
pub type Change = Definition;

impl Definition {
    pub fn read(body: &[u8]) -> Result<Definition, BodyError> {
        Ok(serde_json::from_value(Value::Object(object(body)?))?)
    }
}

/// Body of a template's definition or change. The script says the type; a change may not say another one.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TemplateDefinition {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub type_word: Option<TypeWord>,
    pub script: Option<String>,
}

impl TemplateDefinition {
    pub fn read(body: &[u8]) -> Result<TemplateDefinition, BodyError> {
        Ok(serde_json::from_value(Value::Object(object(body)?))?)
    }
}

/// The id of a request, or a new one.
pub fn id_or_new(id: Option<String>) -> String {
    id.filter(|id| !id.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// Why a body is not the object that is wanted.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("EOF")]
    Empty,
    #[error("json: cannot unmarshal {0}, an object is wanted")]
    NotAnObject(&'static str),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The first JSON value of a body, an object: keys in lower case, `null` as absent, what follows the value ignored. A
/// body of `null` is an empty object.
pub fn object(body: &[u8]) -> Result<Map<String, Value>, BodyError> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    match values.next().ok_or(BodyError::Empty)?? {
        Value::Object(map) => Ok(lower_keys(map)),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) => Err(BodyError::NotAnObject("bool")),
        Value::Number(_) => Err(BodyError::NotAnObject("number")),
        Value::String(_) => Err(BodyError::NotAnObject("string")),
        Value::Array(_) => Err(BodyError::NotAnObject("array")),
    }
}

/// Keys in lower case, without those whose value is null.
fn lower_keys(map: Map<String, Value>) -> Map<String, Value> {
    map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_lowercase(), value)).collect()
}

fn dbrps<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Dbrp>>, D::Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        db: String,
        #[serde(default)]
        rp: String,
    }
    let dbrp = |given: Map<String, Value>| {
        let Body { db, rp } = serde_json::from_value(Value::Object(lower_keys(given))).map_err(D::Error::custom)?;
        Ok(Dbrp { db, rp })
    };
    let given = Option::<Vec<Map<String, Value>>>::deserialize(deserializer)?;
    given.map(|given| given.into_iter().map(dbrp).collect()).transpose()
}

/// The databases and retention policies of a new task: of its script or of the request, and not of both.
pub fn sole_dbrps(of_script: &[Dbrp], of_request: Vec<Dbrp>) -> Result<Vec<Dbrp>, &'static str> {
    match (of_script.is_empty(), of_request.is_empty()) {
        (true, true) => Err("must specify dbrp"),
        (true, false) => Ok(of_request),
        (false, true) => Ok(of_script.to_vec()),
        (false, false) => Err("cannot specify dbrp in both implicitly and explicitly"),
    }
}

/// Letters of any script, ASCII digits, `-`, `.` and `_`.
pub fn is_valid_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_alphabetic() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_count_in_any_case_and_what_follows_is_ignored() {
        let body = br#"{"ID":"a","Script":null,"unknown":1,"dbrps":[{"DB":"x"}],"status":"enabled",
            "vars":{"X":{"Type":"int","VALUE":1}}} rest"#;
        let read = Definition::read(body).unwrap();
        assert_eq!((read.id.as_deref(), read.script, read.status), (Some("a"), None, Some(Status::Enabled)));
        assert_eq!(read.dbrps.unwrap(), [Dbrp { db: "x".into(), rp: String::new() }]);
        assert_eq!(read.vars.unwrap()["X"].type_name(), "int");
        assert!(Definition::read(b"null").unwrap().id.is_none());
    }

    #[test]
    fn bad_bodies_are_refused() {
        for body in [
            "",
            "{",
            "[]",
            r#"["a","","stream",[],"stream|from()","disabled",{}]"#,
            r#"{"dbrps":[["d","r"]]}"#,
            r#"{"type":""}"#,
            r#"{"type":"x"}"#,
            r#"{"status":1}"#,
            r#"{"vars":{"a":{"type":"int","value":1.5}}}"#,
        ] {
            assert!(Definition::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
