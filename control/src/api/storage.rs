//! `/storage`: the stores and a copy of them (reference: http-api §21).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
};
use serde_json::{Value, json};

use super::{
    Api,
    answer::{Answer, Content},
};

/// The stores by their names in the original.
const STORES: [&str; 8] =
    ["load", "handler-specs", "topic-states", "tasks", "templates", "recordings", "replays", "overrides"];

const PATH: &str = "/kapacitor/v1/storage/stores";

pub fn stores() -> Answer {
    let link = |href: &str| json!({ "rel": "self", "href": href });
    // What the original keeps with the tasks is no store of its own there.
    let shown = STORES.iter().filter(|name| **name != "templates");
    let stores: Vec<Value> =
        shown.map(|name| json!({ "link": link(&format!("{PATH}/{name}")), "name": name })).collect();
    Answer::json(&json!({ "link": link(PATH), "storage": stores }))
}

/// POST of an action. There are no indexes beside the data: to rebuild a store is to read all of it.
pub async fn act(api: &Api, rest: &str, body: &[u8]) -> Answer {
    let bad = |message: &str| {
        Answer::error(StatusCode::BAD_REQUEST, &format!("failed to unmarshal storage action {message}"))
    };
    let Some(name) = rest.strip_prefix("stores/") else { return Answer::not_found() };
    if !STORES.contains(&name) {
        return Answer::error(StatusCode::NOT_FOUND, &format!("unknown storage {name:?}"));
    }
    let action = match super::body::read::<Value>(body) {
        Ok(value) => value.get("action").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Err(error) => return bad(&error.to_string()),
    };
    if action != "rebuild" {
        return bad(&format!("unknown StorageAction {action}"));
    }
    let store = api.store.clone();
    match tokio::task::spawn_blocking(move || store.verify()).await {
        Ok(Ok(())) => Answer::empty(),
        Ok(Err(error)) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// GET of a consistent copy, made while the server runs.
pub async fn backup(api: &Api) -> Answer {
    let store = api.store.clone();
    let copied = tokio::task::spawn_blocking(move || store.copy()).await;
    let (file, length) = match copied {
        Ok(Ok(copy)) => copy,
        Ok(Err(error)) => return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let (pieces, body) = super::answer::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut file = file;
        let mut piece = vec![0; 256 << 10];
        while let Ok(read @ 1..) = std::io::Read::read(&mut file, &mut piece) {
            let bytes = axum::body::Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
            if pieces.blocking_send(bytes).is_err() {
                return;
            }
        }
    });
    Answer {
        status: StatusCode::OK,
        content: Content::Stream(Body::new(body)),
        content_type: "application/octet-stream",
        headers: vec![
            (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"kapacitor.db\"")),
            (header::CONTENT_LENGTH, HeaderValue::from(length)),
        ],
    }
}
