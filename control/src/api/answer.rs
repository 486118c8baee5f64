//! Answers in the original's style: indented JSON with Go's escapes, and the headers of a routed answer.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use dataplane::{http::Query, json};
use serde::Serialize;
use serde_json::Value;

use crate::{task::TaskError, tick::diagnostic::Diagnostic};

/// An answer before its headers.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
    pub content_type: &'static str,
    pub retry_after: bool,
}

impl Answer {
    /// Indented JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        match serde_json::to_value(value) {
            Ok(value) => Answer { status: StatusCode::OK, body: pretty(&value).into_bytes(), ..Answer::empty() },
            Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// JSON as it is.
    pub fn raw_json(text: String) -> Answer {
        Answer { status: StatusCode::OK, body: text.into_bytes(), ..Answer::empty() }
    }

    /// 204.
    pub fn empty() -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT,
            body: Vec::new(),
            content_type: "application/json; charset=utf-8",
            retry_after: false,
        }
    }

    pub fn error(status: StatusCode, message: &str) -> Answer {
        Answer { status, ..Answer::json(&serde_json::json!({ "error": message })) }
    }

    /// An error with what is wrong with a script beside its one line.
    pub fn script_error(message: &str, diagnostics: &[Diagnostic]) -> Answer {
        let body = serde_json::json!({ "error": message, "diagnostics": diagnostics });
        Answer { status: StatusCode::BAD_REQUEST, ..Answer::json(&body) }
    }

    pub fn not_found() -> Answer {
        Answer::error(StatusCode::NOT_FOUND, "Not Found")
    }

    /// Plain text under the JSON content type, as answers to writes are.
    pub fn write_error(status: StatusCode, message: &str) -> Answer {
        Answer { status, body: format!("{message}\n").into_bytes(), ..Answer::empty() }
    }

    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// RFC 3339; the zero time for a moment that has not come.
pub fn time(nanoseconds: Option<i64>) -> String {
    let mut text = String::new();
    match nanoseconds {
        Some(nanoseconds) => json::rfc3339(nanoseconds, &mut text),
        None => text.push_str("0001-01-01T00:00:00Z"),
    }
    text
}

/// With `diagnostics=true` in the query, all that is wrong with the script stands beside the one-line error.
pub fn refuse_script(error: &TaskError, query: Query<'_>) -> Answer {
    match error {
        TaskError::Invalid { message, diagnostics } if query.get("diagnostics").as_deref() == Some("true") => {
            Answer::script_error(message, diagnostics)
        }
        other => refuse(other),
    }
}

/// A refused operation on tasks or templates.
pub fn refuse(error: &TaskError) -> Answer {
    let status = match error {
        TaskError::Invalid { .. } => StatusCode::BAD_REQUEST,
        TaskError::Missing(_) => StatusCode::NOT_FOUND,
        TaskError::CannotStart(_) | TaskError::Exists(_) | TaskError::Store(_) | TaskError::Interrupted(_) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    Answer::error(status, &error.to_string())
}

/// JSON with four blanks a level, keys in the order of the value.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, true, &mut out);
    out
}

/// JSON on one line.
pub fn compact(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, false, &mut out);
    out
}

fn write(value: &Value, level: usize, indented: bool, out: &mut String) {
    let newline = |level: usize, out: &mut String| {
        if indented {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', 4 * level));
        }
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(x) => out.push_str(if *x { "true" } else { "false" }),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(x), _, _) => json::int(x, out),
            (_, Some(x), _) => out.push_str(&x.to_string()),
            // JSON numbers are finite.
            (_, _, x) => json::float(x.unwrap_or_default(), out).unwrap_or_default(),
        },
        Value::String(text) => json::string(text, out),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(map) if map.is_empty() => out.push_str("{}"),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                newline(level + 1, out);
                write(item, level + 1, indented, out);
            }
            newline(level, out);
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                newline(level + 1, out);
                json::string(key, out);
                out.push_str(if indented { ": " } else { ":" });
                write(item, level + 1, indented, out);
            }
            newline(level, out);
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_indented_and_escaped_as_the_original_does() {
        let value = json!({"b": 1.0, "a": ["<x>", {}, []], "c": null, "d": 1e21});
        assert_eq!(
            pretty(&value),
            "{\n    \"b\": 1,\n    \"a\": [\n        \"\\u003cx\\u003e\",\n        {},\n        []\n    ],\n    \"c\": null,\n    \"d\": 1e+21\n}"
        );
        assert_eq!(compact(&json!({"a": 1})), "{\"a\":1}");
    }
}
