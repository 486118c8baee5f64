//! Answers in the original's style: indented JSON with Go's escapes, and the headers of a routed answer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use dataplane::{http::Query, json};
use http_body::Frame;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{task::TaskError, tick::diagnostic::Diagnostic};

/// An answer before its headers.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content: Content,
    pub content_type: &'static str,
    /// Beside those that every answer has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Sent as it comes, never packed.
    Stream(Body),
}

impl Answer {
    /// Indented JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        match serde_json::to_value(value) {
            Ok(value) => Answer {
                status: StatusCode::OK,
                content: Content::Bytes(pretty(&value).into_bytes()),
                ..Answer::empty()
            },
            Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    /// JSON on one line, with its end.
    pub fn json_line(value: &Value) -> Answer {
        Answer::raw_json(compact(value) + "\n")
    }

    /// JSON as it is.
    pub fn raw_json(text: String) -> Answer {
        Answer { status: StatusCode::OK, content: Content::Bytes(text.into_bytes()), ..Answer::empty() }
    }

    /// 204.
    pub fn empty() -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT,
            content: Content::Bytes(Vec::new()),
            content_type: "application/json; charset=utf-8",
            headers: Vec::new(),
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
        Answer { status, content: Content::Bytes(format!("{message}\n").into_bytes()), ..Answer::empty() }
    }

    /// The same, to be tried again in a second.
    pub fn try_again(mut self) -> Answer {
        self.headers.push((header::RETRY_AFTER, HeaderValue::from_static("1")));
        self
    }

    pub fn into_response(self) -> Response<Body> {
        let body = match self.content {
            Content::Bytes(bytes) => Body::from(bytes),
            Content::Stream(body) => body,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        response.headers_mut().extend(self.headers);
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

/// Whether everything that is to be said of a script is asked for: answers of the original have one line for it.
pub fn wants_diagnostics(query: Query<'_>) -> bool {
    query.get("diagnostics").as_deref() == Some("true")
}

/// With `diagnostics=true` in the query, all that is wrong with the script stands beside the one-line error.
pub fn refuse_script(error: &TaskError, query: Query<'_>) -> Answer {
    match error {
        TaskError::Invalid { message, diagnostics } if wants_diagnostics(query) => {
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

/// A body that is sent piece by piece as a task makes it; at most `pieces` wait.
pub fn channel(
    pieces: usize,
) -> (mpsc::Sender<Bytes>, impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(pieces);
    (sender, Pieces(receiver))
}

struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
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
