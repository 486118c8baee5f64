//! `/tasks` (reference: http-api §8, §10, §12).

use axum::http::StatusCode;
use dataplane::http::Query;
use proto::message::{NodeStatistics, TaskStatistics};
use serde_json::{Map, Value, json};

use super::{
    Api,
    answer::{Answer, refuse, refuse_script, time, wants_diagnostics},
    listing::{Fields, Listing, raw_script},
};
use crate::{
    task::{Definition, View},
    tick::{
        dot::{self, View as DotView},
        format_script,
    },
};

const FIELDS: Fields = Fields {
    always: &["id", "link"],
    shown: &[
        "link",
        "id",
        "type",
        "dbrps",
        "script",
        "dot",
        "status",
        "executing",
        "error",
        "stats",
        "created",
        "modified",
        "last-enabled",
        "vars",
    ],
    // Newer than the clients that ask for everything.
    asked: &["template-id"],
};

/// How a task is shown.
#[derive(Clone, Copy, Default)]
struct Shape {
    raw_script: bool,
    dot: DotView,
}

pub async fn define(api: &Api, query: Query<'_>, body: &[u8]) -> Answer {
    let Ok(definition) = Definition::read(body) else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid JSON");
    };
    match api.tasks.define(definition, dataplane::clock::now()).await {
        Ok(view) => show_change(api, &view, query).await,
        Err(error) => refuse_script(&error, query),
    }
}

pub async fn change(api: &Api, id: &str, query: Query<'_>, body: &[u8]) -> Answer {
    let Ok(change) = Definition::read(body) else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid JSON");
    };
    match api.tasks.change(id, change, dataplane::clock::now()).await {
        Ok(view) => show_change(api, &view, query).await,
        Err(error) => refuse_script(&error, query),
    }
}

pub async fn get(api: &Api, id: &str, query: Query<'_>) -> Answer {
    let mut view = match api.tasks.get(id) {
        Ok(view) => view,
        Err(error) => return refuse(&error),
    };
    match shape(query) {
        Ok(shape) => {
            let statistics = match query.get("replay-id").filter(|replay| !replay.is_empty()) {
                None => statistics(api, &view).await,
                Some(replay) => match in_replay(api, &replay, id).await {
                    Ok(counted) => {
                        view.executing = true;
                        Some(counted)
                    }
                    Err(message) => return Answer::error(StatusCode::BAD_REQUEST, &message),
                },
            };
            Answer::json(&Value::Object(object(&view, statistics.as_ref(), shape, false)))
        }
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

pub async fn delete(api: &Api, id: &str) -> Answer {
    match api.tasks.delete(id).await {
        Ok(()) => Answer::empty(),
        Err(error) => refuse(&error),
    }
}

pub async fn list(api: &Api, query: Query<'_>) -> Answer {
    let bad = |message: &str| Answer::error(StatusCode::BAD_REQUEST, message);
    let shape = match shape(query) {
        Ok(shape) => shape,
        Err(message) => return bad(&message),
    };
    let listing = match Listing::read(query, &FIELDS) {
        Ok(listing) => listing,
        Err(message) => return bad(&message),
    };
    let views = api.tasks.list(&listing.page);
    let wants_counters = listing.shows("stats") || listing.shows("dot");
    let statistics = match wants_counters && views.iter().any(|view| view.executing) {
        true => api.engine.statistics().await.unwrap_or_default().tasks,
        false => Vec::new(),
    };
    let mut tasks = Vec::new();
    for view in views {
        let counted = statistics.iter().find(|task| task.task == view.stored.id);
        let mut object = object(&view, counted, shape, true);
        if view.stored.template_id.is_empty() {
            object.remove("template-id");
        }
        match listing.element(&object) {
            Ok(element) => tasks.push(element),
            Err(message) => return bad(&message),
        }
    }
    Answer::json(&json!({ "tasks": tasks }))
}

fn shape(query: Query<'_>) -> Result<Shape, String> {
    let raw_script = raw_script(query)?;
    let dot = match query.get("dot-view").unwrap_or_default().as_ref() {
        "" | "attributes" => DotView::Attributes,
        "labels" => DotView::Labels,
        other => return Err(format!("invalid dot-view parameter {other:?}")),
    };
    Ok(Shape { raw_script, dot })
}

/// A task that was defined or changed, with the warnings about its script where they are asked for.
async fn show_change(api: &Api, view: &View, query: Query<'_>) -> Answer {
    let statistics = statistics(api, view).await;
    let mut object = object(view, statistics.as_ref(), Shape::default(), false);
    if let (true, Ok(compiled)) = (wants_diagnostics(query), &view.compiled) {
        object.insert("diagnostics".to_owned(), json!(compiled.warnings));
    }
    Answer::json(&Value::Object(object))
}

/// The counters of a task that runs.
async fn statistics(api: &Api, view: &View) -> Option<TaskStatistics> {
    if view.executing { api.tasks.statistics(&view.stored.id).await } else { None }
}

/// The counters of a task in a replay that runs.
async fn in_replay(api: &Api, replay: &str, task: &str) -> Result<TaskStatistics, String> {
    let counted = match api.replays.task(replay) {
        Some(played) if played == task => api.replays.statistics(replay).await,
        Some(_) => return Err(format!("replay {replay} is not for task: {task}")),
        None => None,
    };
    counted.ok_or_else(|| format!("no running replay with ID: {replay}"))
}

/// A task with its keys in the order of the answer; `listed` elements show missing statistics as null.
fn object(view: &View, statistics: Option<&TaskStatistics>, shape: Shape, listed: bool) -> Map<String, Value> {
    let stored = &view.stored;
    let none = TaskStatistics::default();
    let counted = statistics.unwrap_or(&none);
    let (word, graph) = match &view.compiled {
        Ok(compiled) => {
            let word = compiled.task_type.word();
            let graph = match view.executing {
                true => dot::running(&stored.id, &compiled.pipeline, counted, shape.dot),
                false => dot::plain(&stored.id, &compiled.pipeline),
            };
            (word, graph)
        }
        Err(_) => ("invalid", String::new()),
    };
    let error = match &view.compiled {
        Err(error) if view.error.is_empty() => error,
        _ => &view.error,
    };
    let stats = match (view.executing, listed) {
        (true, _) => stats(counted),
        (false, true) => Value::Null,
        (false, false) => json!({}),
    };
    let script = if shape.raw_script { stored.script.clone() } else { format_script(&stored.script) };
    let dbrps: Vec<Value> = stored.dbrps.iter().map(|dbrp| json!({ "db": dbrp.db, "rp": dbrp.rp })).collect();
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("link", json!({ "rel": "self", "href": format!("/kapacitor/v1/tasks/{}", stored.id) }));
    put("id", json!(stored.id));
    put("template-id", json!(stored.template_id));
    put("type", json!(word));
    put("dbrps", Value::Array(dbrps));
    put("script", json!(script));
    put("vars", json!(stored.vars));
    put("dot", json!(graph));
    put("status", json!(if stored.enabled { "enabled" } else { "disabled" }));
    put("executing", json!(view.executing));
    put("error", json!(error));
    put("stats", stats);
    put("created", json!(time(Some(stored.created))));
    put("modified", json!(time(Some(stored.modified))));
    put("last-enabled", json!(time(stored.last_enabled)));
    object
}

/// The counters of a task or a replay as answers show them.
pub fn stats(counted: &TaskStatistics) -> Value {
    let mut nodes: Vec<&NodeStatistics> = counted.nodes.iter().collect();
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    let node = |node: &NodeStatistics| {
        let mut pairs = vec![
            ("avg_exec_time_ns", node.avg_exec_time_ns),
            ("collected", node.collected),
            ("emitted", node.emitted),
            ("errors", node.errors),
            ("working_cardinality", node.working_cardinality),
        ];
        pairs.extend(node.extra.iter().map(|(name, count)| (name.as_str(), *count)));
        pairs.sort();
        Value::Object(pairs.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect())
    };
    let nodes: Map<_, _> = nodes.into_iter().map(|counted| (counted.name.clone(), node(counted))).collect();
    json!({ "task-stats": { "throughput": counted.throughput }, "node-stats": nodes })
}
