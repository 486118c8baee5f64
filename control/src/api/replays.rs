//! `/replays` (reference: http-api §17).

use axum::http::StatusCode;
use dataplane::http::Query;
use serde_json::{Map, Value, json};

use super::{
    Api,
    answer::{Answer, time},
    listing::{Fields, Listing},
    options::Options,
};
use crate::{
    recording::Status,
    replay::{Clock, ReplayError, Request},
    store::StoredReplay,
    task::TaskError,
};

/// Elements of lists have no statistics.
const FIELDS: Fields = Fields {
    always: &["id", "link"],
    shown: &["link", "id", "recording", "task", "recording-time", "clock", "date", "error", "status", "progress"],
    asked: &[],
};

/// Answers a request; `rest` is what stands behind `/replays`.
pub async fn answer(api: &Api, method: &str, rest: &str, query: Query<'_>, body: &[u8]) -> Answer {
    match (method, rest) {
        ("GET", "") => list(api, query),
        ("POST", "") => begun(recorded(api, body)),
        ("POST", "/batch") => begun(batch(api, body)),
        ("POST", "/query") => begun(query_of(api, body)),
        ("GET" | "DELETE", "/") => Answer::error(StatusCode::BAD_REQUEST, "must specify replay id on path"),
        ("GET", rest) => get(api, rest.trim_start_matches('/')),
        ("DELETE", rest) => match api.replays.delete(rest.trim_start_matches('/')) {
            Ok(()) => Answer::empty(),
            Err(error) => refuse(&error),
        },
        _ => Answer::not_found(),
    }
}

fn begun(result: Result<StoredReplay, Answer>) -> Answer {
    match result {
        Ok(replay) => Answer { status: StatusCode::CREATED, ..Answer::json(&Value::Object(object(&replay))) },
        Err(answer) => answer,
    }
}

fn request(options: &Options) -> Result<Request, Answer> {
    let clock = match options.string("clock")?.as_deref() {
        None | Some("fast") => Clock::Fast,
        Some("real") => Clock::Real,
        Some(other) => return Err(Answer::error(StatusCode::BAD_REQUEST, &format!("unknown Clock {other}"))),
    };
    Ok(Request {
        id: options.string("id")?,
        task: options.string("task")?.unwrap_or_default(),
        recording_time: options.boolean("recording-time")?,
        clock,
    })
}

fn recorded(api: &Api, body: &[u8]) -> Result<StoredReplay, Answer> {
    let options = Options::read(body)?;
    let (request, recording) = (request(&options)?, options.string("recording")?.unwrap_or_default());
    api.replays.start(request, &recording, dataplane::clock::now()).map_err(|error| refuse(&error))
}

fn batch(api: &Api, body: &[u8]) -> Result<StoredReplay, Answer> {
    let options = Options::read(body)?;
    let (start, stop) = (options.time("start")?, options.time("stop")?);
    let now = dataplane::clock::now();
    api.replays.batch(request(&options)?, start, stop.unwrap_or(now), now).map_err(|error| refuse(&error))
}

fn query_of(api: &Api, body: &[u8]) -> Result<StoredReplay, Answer> {
    let options = Options::read(body)?;
    let (query, cluster) = (options.string("query")?, options.string("cluster")?.unwrap_or_default());
    let (request, query) = (request(&options)?, query.unwrap_or_default());
    api.replays.query(request, query, cluster, dataplane::clock::now()).map_err(|error| refuse(&error))
}

fn get(api: &Api, id: &str) -> Answer {
    match api.replays.get(id) {
        Ok(replay) => {
            let status = if replay.status == Status::Running { StatusCode::ACCEPTED } else { StatusCode::OK };
            Answer { status, ..Answer::json(&Value::Object(object(&replay))) }
        }
        Err(error) => refuse(&error),
    }
}

fn list(api: &Api, query: Query<'_>) -> Answer {
    let elements = || {
        let listing = Listing::read(query, &FIELDS)?;
        let all = api.replays.list(&listing.page);
        all.iter().map(|replay| listing.element(&object(replay))).collect::<Result<Vec<_>, String>>()
    };
    match elements() {
        Ok(replays) => Answer::json(&json!({ "replays": replays })),
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

fn object(replay: &StoredReplay) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("link", json!({ "rel": "self", "href": format!("/kapacitor/v1/replays/{}", replay.id) }));
    put("id", json!(replay.id));
    put("task", json!(replay.task));
    put("recording", json!(replay.recording));
    put("recording-time", json!(replay.recording_time));
    put("clock", json!(replay.clock.as_str()));
    put("date", json!(time(Some(replay.date))));
    put("error", json!(replay.error));
    put("status", json!(replay.status.as_str()));
    put("progress", json!(replay.progress));
    put("stats", replay.stats.clone());
    object
}

fn refuse(error: &ReplayError) -> Answer {
    let status = match error {
        ReplayError::Invalid(_) => StatusCode::BAD_REQUEST,
        ReplayError::Task(TaskError::Missing(_)) | ReplayError::Recording | ReplayError::Missing => {
            StatusCode::NOT_FOUND
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Answer::error(status, &error.to_string())
}
