//! Bodies of requests for tasks (reference: http-api §1, §8).

use proto::plan::Dbrp;
use serde::Deserialize;
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

/// Body of a definition or of a change; what is absent stays as it is. The type is checked and ignored: the script says
/// it.
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
    /// Reads a body: keys in any case, unknown ones ignored, `null` as absent, text behind the first value ignored.
    pub fn read(body: &[u8]) -> Result<Definition, serde_json::Error> {
        let value = first_value(body)?;
        serde_json::from_value(lower_keys(value))
    }
}

/// Body of a template's definition or change. The type is checked and ignored: the script says it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TemplateDefinition {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub type_word: Option<TypeWord>,
    pub script: Option<String>,
}

impl TemplateDefinition {
    /// Reads a body as [`Definition::read`] does.
    pub fn read(body: &[u8]) -> Result<TemplateDefinition, serde_json::Error> {
        let value = first_value(body)?;
        serde_json::from_value(lower_keys(value))
    }
}

/// The id of a request, or a new one.
pub fn id_or_new(id: Option<String>) -> String {
    id.filter(|id| !id.is_empty()).unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// The first JSON value of a text.
pub fn first_value(body: &[u8]) -> Result<Value, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    match values.next() {
        Some(value) => value,
        // An empty body: the error of a text that ends too early.
        None => serde_json::from_slice(body),
    }
}

/// Keys of the object in lower case, without those whose value is null or empty text where a word is wanted.
fn lower_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let lower = |(key, value): (String, Value)| (key.to_lowercase(), value);
            Value::Object(map.into_iter().map(lower).filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn dbrps<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Dbrp>>, D::Error> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        db: String,
        #[serde(default)]
        rp: String,
    }
    let values = Option::<Vec<Value>>::deserialize(deserializer)?;
    let body = |value| serde_json::from_value::<Body>(lower_keys(value)).map_err(serde::de::Error::custom);
    let bodies = values.map(|values| values.into_iter().map(body).collect::<Result<Vec<_>, _>>()).transpose()?;
    Ok(bodies.map(|bodies| bodies.into_iter().map(|body| Dbrp { db: body.db, rp: body.rp }).collect()))
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
        let body = br#"{"ID":"a","Script":null,"unknown":1,"dbrps":[{"DB":"x"}],"status":"enabled"} rest"#;
        let read = Definition::read(body).unwrap();
        assert_eq!((read.id.as_deref(), read.script, read.status), (Some("a"), None, Some(Status::Enabled)));
        assert_eq!(read.dbrps.unwrap(), [Dbrp { db: "x".into(), rp: String::new() }]);
    }

    #[test]
    fn bad_bodies_are_refused() {
        for body in [
            "",
            "{",
            "[]",
            r#"{"type":""}"#,
            r#"{"type":"x"}"#,
            r#"{"status":1}"#,
            r#"{"vars":{"a":{"type":"int","value":1.5}}}"#,
        ] {
            assert!(Definition::read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
