//! `/alerts/topics` (reference: http-api §18).

use axum::http::StatusCode;
use dataplane::{http::Query, json, template::duration_text};
use proto::value::Level;
use serde_json::{Map, Value, json};

use super::{Api, answer::Answer, body};
use crate::{
    alert::{EventState, HandlerError, SpecError, TopicHandler, TopicView},
    task::{BodyError, Pattern},
};

const PATH: &str = "/kapacitor/v1/alerts/topics";

/// What a path below [`PATH`] names. Anything unknown below a topic is the topic.
enum Place<'a> {
    Topic(&'a str),
    Events(&'a str),
    Event(&'a str, &'a str),
    Handlers(&'a str),
    Handler(&'a str, &'a str),
}

impl<'a> Place<'a> {
    fn of(rest: &'a str) -> Place<'a> {
        let (topic, below) = rest.split_once('/').unwrap_or((rest, ""));
        match below.split_once('/') {
            None if below == "events" => Place::Events(topic),
            None if below == "handlers" => Place::Handlers(topic),
            Some(("events", id)) if !id.contains('/') => Place::Event(topic, id),
            Some(("handlers", id)) if !id.contains('/') => Place::Handler(topic, id),
            _ => Place::Topic(topic),
        }
    }
}

/// GET of the list; `uri` is the request's target.
pub fn list(api: &Api, uri: &str, query: Query<'_>) -> Answer {
    let (pattern, least) = match (pattern(query), least_level(query)) {
        (Ok(pattern), Ok(least)) => (pattern, least),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let shown = |topic: &TopicView| pattern.matches(&topic.id) && topic.level >= least;
    let topics: Vec<Value> = api.alerts.list().iter().filter(|topic| shown(topic)).map(topic_json).collect();
    Answer::json(&json!({ "link": link("self", uri), "topics": topics }))
}

/// GET of anything below.
pub fn get(api: &Api, rest: &str, uri: &str, query: Query<'_>) -> Answer {
    match Place::of(rest) {
        Place::Topic(topic) => match api.alerts.topic(topic) {
            Some(view) => Answer::json(&topic_json(&view)),
            None => Answer::error(StatusCode::NOT_FOUND, &format!("unknown topic: {topic:?}")),
        },
        Place::Events(topic) => {
            let least = match least_level(query) {
                Ok(least) => least,
                Err(answer) => return answer,
            };
            let Some(events) = api.alerts.events(topic, least) else {
                let message = format!("failed to get topic events: unknown topic {topic:?}");
                return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &message);
            };
            let events: Vec<Value> = events.iter().map(|(id, state)| event_json(topic, id, state)).collect();
            Answer::json(&json!({
                "link": link("self", &format!("{PATH}/{topic}/events")),
                "topic": topic,
                "events": events,
            }))
        }
        Place::Event(topic, id) => {
            let events = api.alerts.events(topic, Level::Ok).unwrap_or_default();
            match events.iter().find(|(other, _)| other == id) {
                Some((id, state)) => Answer::json(&event_json(topic, id, state)),
                None => Answer::error(StatusCode::NOT_FOUND, &format!("unknown event {id:?} in topic {topic:?}")),
            }
        }
        Place::Handlers(topic) => {
            let pattern = match pattern(query) {
                Ok(pattern) => pattern,
                Err(answer) => return answer,
            };
            let handlers = api.alerts.handlers(topic);
            let handlers: Vec<Value> =
                handlers.iter().filter(|handler| pattern.matches(&handler.id)).map(handler_json).collect();
            Answer::json(&json!({ "link": link("self", uri), "topic": topic, "handlers": handlers }))
        }
        Place::Handler(topic, id) => match api.alerts.handler(topic, id) {
            Some(handler) => Answer::json(&handler_json(&handler)),
            None => refuse("", &HandlerError::Unknown(id.to_owned())),
        },
    }
}

/// POST: whatever the path below a topic, it makes a handler.
pub async fn create(api: &Api, rest: &str, body: &[u8]) -> Answer {
    let topic = rest.split('/').next().unwrap_or_default();
    let handler = match read(topic, body) {
        Ok(handler) => handler,
        Err(error) => return Answer::error(StatusCode::BAD_REQUEST, &format!("invalid handler json: {error}")),
    };
    let (alerts, made) = (api.alerts.clone(), handler.clone());
    answer("failed to create handler: ", handler, move || alerts.create_handler(made)).await
}

/// PUT: a full replacement.
pub async fn replace(api: &Api, rest: &str, body: &[u8]) -> Answer {
    let Place::Handler(topic, id) = Place::of(rest) else { return Answer::not_found() };
    if api.alerts.handler(topic, id).is_none() {
        return refuse("", &HandlerError::Unknown(id.to_owned()));
    }
    let handler = match read(topic, body) {
        Ok(handler) => handler,
        Err(error) => return Answer::error(StatusCode::BAD_REQUEST, &format!("failed to unmarshal JSON: {error}")),
    };
    update(api, topic, id, handler).await
}

/// PATCH: JSON Patch (RFC 6902).
pub async fn patch(api: &Api, rest: &str, body: &[u8]) -> Answer {
    let Place::Handler(topic, id) = Place::of(rest) else { return Answer::not_found() };
    let Some(before) = api.alerts.handler(topic, id) else {
        return refuse("", &HandlerError::Unknown(id.to_owned()));
    };
    let bad = |message: String| Answer::error(StatusCode::BAD_REQUEST, &message);
    let patch: json_patch::Patch = match serde_json::from_slice(body) {
        Ok(patch) => patch,
        Err(error) => return bad(format!("invalid patch json: {error}")),
    };
    let mut document = json!({
        "topic": before.topic,
        "id": before.id,
        "kind": before.kind,
        "options": before.options,
        "match": before.condition,
    });
    if let Err(error) = json_patch::patch(&mut document, &patch) {
        return bad(format!("failed to apply patch: {error}"));
    }
    match serde_json::from_value::<TopicHandler>(document) {
        Ok(handler) if !matches!(handler.options, Value::Object(_) | Value::Null) => {
            bad("failed to apply patch: options must be an object".to_owned())
        }
        Ok(handler) => update(api, topic, id, handler).await,
        Err(error) => bad(format!("failed to apply patch: {error}")),
    }
}

/// DELETE: a handler, or with any other path the topic.
pub async fn delete(api: &Api, rest: &str) -> Answer {
    let alerts = api.alerts.clone();
    let deleted = match Place::of(rest) {
        Place::Handler(topic, id) => {
            let (topic, id) = (topic.to_owned(), id.to_owned());
            tokio::task::spawn_blocking(move || alerts.delete_handler(&topic, &id)).await
        }
        Place::Topic(topic) | Place::Events(topic) | Place::Event(topic, _) | Place::Handlers(topic) => {
            let topic = topic.to_owned();
            tokio::task::spawn_blocking(move || {
                alerts.delete_topic(&topic);
                Ok(())
            })
            .await
        }
    };
    match deleted {
        Ok(Ok(())) => Answer::empty(),
        Ok(Err(error)) => refuse("failed to delete handler: ", &error),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn update(api: &Api, topic: &str, id: &str, handler: TopicHandler) -> Answer {
    let (alerts, new) = (api.alerts.clone(), handler.clone());
    let (topic, id) = (topic.to_owned(), id.to_owned());
    answer("failed to update handler: ", handler, move || alerts.replace_handler(&topic, &id, new)).await
}

/// Carries out a change where waiting for the disk holds nobody up, and shows the handler.
async fn answer(
    what: &str,
    handler: TopicHandler,
    change: impl FnOnce() -> Result<(), HandlerError> + Send + 'static,
) -> Answer {
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(())) => Answer::json(&handler_json(&handler)),
        Ok(Err(error)) => refuse(what, &error),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn read(topic: &str, body: &[u8]) -> Result<TopicHandler, BodyError> {
    #[derive(serde::Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Body {
        id: String,
        kind: String,
        options: Option<Map<String, Value>>,
        #[serde(rename = "match")]
        condition: String,
    }
    let Body { id, kind, options, condition } = body::read(body)?;
    let options = options.map_or(Value::Null, Value::Object);
    Ok(TopicHandler { topic: topic.to_owned(), id, kind, options, condition })
}

fn refuse(what: &str, error: &HandlerError) -> Answer {
    match error {
        HandlerError::Spec(SpecError::Malformed(_)) => Answer::error(StatusCode::BAD_REQUEST, &error.to_string()),
        HandlerError::Unknown(_) => Answer::error(StatusCode::NOT_FOUND, &error.to_string()),
        error => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("{what}{error}")),
    }
}

fn pattern(query: Query<'_>) -> Result<Pattern, Answer> {
    match Pattern::new(&query.get("pattern").unwrap_or_default()) {
        Pattern::Nothing => Err(Answer::error(StatusCode::BAD_REQUEST, "invalid pattern: syntax error in pattern")),
        pattern => Ok(pattern),
    }
}

/// The beginning of a level's name is enough.
fn least_level(query: Query<'_>) -> Result<Level, Answer> {
    let text = query.get("min-level").unwrap_or_default().to_uppercase();
    let found = Level::ALL.into_iter().find(|level| level.as_str().starts_with(&text));
    found.ok_or_else(|| Answer::error(StatusCode::BAD_REQUEST, &format!("unknown alert level '{text}'")))
}

fn link(rel: &str, href: &str) -> Value {
    json!({ "rel": rel, "href": href })
}

fn topic_json(topic: &TopicView) -> Value {
    let path = format!("{PATH}/{}", topic.id);
    json!({
        "link": link("self", &path),
        "id": topic.id,
        "level": topic.level.as_str(),
        "collected": topic.collected,
        "events-link": link("events", &format!("{path}/events")),
        "handlers-link": link("handlers", &format!("{path}/handlers")),
    })
}

fn event_json(topic: &str, id: &str, state: &EventState) -> Value {
    let mut time = String::new();
    json::rfc3339(state.time, &mut time);
    json!({
        "link": link("self", &format!("{PATH}/{topic}/events/{id}")),
        "id": id,
        "state": {
            "message": state.message,
            "details": state.details,
            "time": time,
            "duration": duration_text(state.duration),
            "level": state.level.as_str(),
        },
    })
}

fn handler_json(handler: &TopicHandler) -> Value {
    json!({
        "link": link("self", &format!("{PATH}/{}/handlers/{}", handler.topic, handler.id)),
        "id": handler.id,
        "kind": handler.kind,
        "options": handler.options,
        "match": handler.condition,
    })
}
