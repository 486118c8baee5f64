//! `/recordings` (reference: http-api §15).

use axum::http::StatusCode;
use dataplane::{http::Query, rfc3339::ZERO_TIME};
use serde_json::{Map, Value, json};

use super::{
    Api,
    answer::{Answer, time},
    listing::{Fields, Listing},
    options::Options,
};
use crate::{
    recording::{Kind, RecordingError, Status},
    store::StoredRecording,
    task::TaskError,
};

const FIELDS: Fields = Fields {
    always: &["id", "link"],
    shown: &["link", "id", "type", "size", "date", "error", "status", "progress"],
    asked: &[],
};

/// Answers a request; `rest` is what stands behind `/recordings`.
pub async fn answer(api: &Api, method: &str, rest: &str, query: Query<'_>, body: &[u8]) -> Answer {
    match (method, rest) {
        ("GET", "") => list(api, query),
        ("POST", "/stream") => begun(stream(api, body).await),
        ("POST", "/batch") => begun(batch(api, body).await),
        ("POST", "/query") => begun(query_of(api, body).await),
        ("GET" | "DELETE", "/") => Answer::error(StatusCode::BAD_REQUEST, "must specify recording id on path"),
        ("GET", rest) => get(api, rest.trim_start_matches('/')),
        ("DELETE", rest) => match api.recordings.delete(rest.trim_start_matches('/')).await {
            Ok(()) => Answer::empty(),
            Err(error) => refuse(&error),
        },
        _ => Answer::not_found(),
    }
}

fn begun(result: Result<StoredRecording, Answer>) -> Answer {
    match result {
        Ok(recording) => Answer { status: StatusCode::CREATED, ..Answer::json(&Value::Object(object(&recording))) },
        Err(answer) => answer,
    }
}

async fn stream(api: &Api, body: &[u8]) -> Result<StoredRecording, Answer> {
    let options = Options::read(body)?;
    let (id, task) = (options.string("id")?, options.string("task")?.unwrap_or_default());
    let stop = options.time("stop")?.unwrap_or(ZERO_TIME);
    let now = dataplane::clock::now();
    api.recordings.stream(id, &task, stop, now).await.map_err(|error| refuse(&error))
}

async fn batch(api: &Api, body: &[u8]) -> Result<StoredRecording, Answer> {
    let options = Options::read(body)?;
    let (id, task) = (options.string("id")?, options.string("task")?.unwrap_or_default());
    let (start, stop) = (options.time("start")?, options.time("stop")?);
    let missing = || Answer::error(StatusCode::BAD_REQUEST, "must provide start time");
    let now = dataplane::clock::now();
    let range = (start.ok_or_else(missing)?, stop.unwrap_or(now));
    api.recordings.batch(id, &task, range, now).map_err(|error| refuse(&error))
}

async fn query_of(api: &Api, body: &[u8]) -> Result<StoredRecording, Answer> {
    let options = Options::read(body)?;
    let bad = |message: &str| Answer::error(StatusCode::BAD_REQUEST, message);
    let kind = match options.string("type")?.as_deref() {
        Some("stream") => Kind::Stream,
        Some("batch") => Kind::Batch,
        other => return Err(bad(&format!("unknown TaskType {}", other.unwrap_or_default()))),
    };
    let query = options.string("query")?.filter(|query| !query.is_empty());
    let query = query.ok_or_else(|| bad("must provide query"))?;
    let cluster = options.string("cluster")?.unwrap_or_default();
    let now = dataplane::clock::now();
    api.recordings.query(options.string("id")?, kind, query, cluster, now).map_err(|error| refuse(&error))
}

fn get(api: &Api, id: &str) -> Answer {
    match api.recordings.get(id) {
        Ok(recording) => {
            let status = if recording.status == Status::Running { StatusCode::ACCEPTED } else { StatusCode::OK };
            Answer { status, ..Answer::json(&Value::Object(object(&recording))) }
        }
        Err(error) => refuse(&error),
    }
}

fn list(api: &Api, query: Query<'_>) -> Answer {
    let elements = || {
        let listing = Listing::read(query, &FIELDS)?;
        let all = api.recordings.list(&listing.page);
        all.iter().map(|recording| listing.element(&object(recording))).collect::<Result<Vec<_>, String>>()
    };
    match elements() {
        Ok(recordings) => Answer::json(&json!({ "recordings": recordings })),
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

fn object(recording: &StoredRecording) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("link", json!({ "rel": "self", "href": format!("/kapacitor/v1/recordings/{}", recording.id) }));
    put("id", json!(recording.id));
    put("type", json!(recording.kind.as_str()));
    put("size", json!(recording.size));
    put("date", json!(time(Some(recording.date))));
    put("error", json!(recording.error));
    put("status", json!(recording.status.as_str()));
    put("progress", json!(recording.progress));
    object
}

fn refuse(error: &RecordingError) -> Answer {
    let status = match error {
        RecordingError::Invalid(_) => StatusCode::BAD_REQUEST,
        RecordingError::Task(TaskError::Missing(_)) => StatusCode::NOT_FOUND,
        RecordingError::Engine(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let answer = Answer::error(status, &error.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE { answer.try_again() } else { answer }
}
