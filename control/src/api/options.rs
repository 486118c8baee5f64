//! Bodies of requests for recordings and replays: one flat object of options (reference: http-api §1, §15, §17).

use axum::http::StatusCode;
use dataplane::rfc3339;
use serde_json::{Map, Value};

use super::answer::Answer;
use crate::task::request_body;

/// The options by their names in lower case; unknown ones are never looked at.
pub struct Options(Map<String, Value>);

/// What is wrong with a body: an answer with status 400.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadOption(String);

impl From<BadOption> for Answer {
    fn from(error: BadOption) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, &error.0)
    }
}

impl Options {
    pub fn read(body: &[u8]) -> Result<Options, BadOption> {
        request_body(body).map(Options).map_err(|error| BadOption(error.to_string()))
    }

    pub fn string(&self, name: &str) -> Result<Option<String>, BadOption> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(wrong(other, name, "string")),
        }
    }

    pub fn boolean(&self, name: &str) -> Result<bool, BadOption> {
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(other) => Err(wrong(other, name, "bool")),
        }
    }

    /// Nanoseconds since 1970.
    pub fn time(&self, name: &str) -> Result<Option<i64>, BadOption> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        let unreadable =
            || BadOption(format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": {name} is no time"));
        rfc3339::parse(&text).map(|time| (time != rfc3339::ZERO_TIME).then_some(time)).ok_or_else(unreadable)
    }
}

fn wrong(found: &Value, name: &str, wanted: &str) -> BadOption {
    BadOption(format!("json: cannot unmarshal {} into field {name} of type {wanted}", kind(found)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_case_and_checked() {
        let options = Options::read(br#"{"ID":"a","stop":"2020-09-13T12:26:40Z","x":1,"task":null} rest"#).unwrap();
        assert_eq!(options.string("id"), Ok(Some("a".to_owned())));
        assert_eq!(options.string("task"), Ok(None));
        assert_eq!(options.time("stop"), Ok(Some(1_600_000_000_000_000_000)));
        assert!(options.string("x").is_err() && options.boolean("x").is_err());
        for bad in [&b""[..], b"{bad", b"[]", b"5"] {
            assert!(Options::read(bad).is_err());
        }
        assert!(Options::read(br#"{"stop":"tomorrow"}"#).unwrap().time("stop").is_err());
    }
}
