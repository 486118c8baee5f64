//! `/templates` (reference: http-api §10, §13).

use axum::http::StatusCode;
use dataplane::http::Query;
use serde_json::{Map, Value, json};

use super::{
    Api,
    answer::{Answer, refuse, refuse_script, time, wants_diagnostics},
    listing::{Fields, Listing, raw_script},
};
use crate::{
    task::{TemplateDefinition, TemplateView},
    tick::{dot, format_script},
};

const FIELDS: Fields = Fields {
    always: &["id", "link"],
    shown: &["link", "id", "type", "script", "dot", "error", "created", "modified"],
    asked: &["vars"],
};

pub async fn define(api: &Api, query: Query<'_>, body: &[u8]) -> Answer {
    let Ok(definition) = TemplateDefinition::read(body) else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid JSON");
    };
    match api.tasks.define_template(definition, dataplane::clock::now()).await {
        Ok(view) => show_change(&view, query),
        Err(error) => refuse_script(&error, query),
    }
}

pub async fn change(api: &Api, id: &str, query: Query<'_>, body: &[u8]) -> Answer {
    let Ok(change) = TemplateDefinition::read(body) else {
        return Answer::error(StatusCode::BAD_REQUEST, "invalid JSON");
    };
    match api.tasks.change_template(id, change, dataplane::clock::now()).await {
        Ok(view) => show_change(&view, query),
        Err(error) => refuse_script(&error, query),
    }
}

pub fn get(api: &Api, id: &str, query: Query<'_>) -> Answer {
    let view = match api.tasks.template(id) {
        Ok(view) => view,
        Err(error) => return refuse(&error),
    };
    match raw_script(query) {
        Ok(raw) => Answer::json(&Value::Object(object(&view, raw))),
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

pub async fn delete(api: &Api, id: &str) -> Answer {
    match api.tasks.delete_template(id).await {
        Ok(()) => Answer::empty(),
        Err(error) => refuse(&error),
    }
}

pub fn list(api: &Api, query: Query<'_>) -> Answer {
    match elements(api, query) {
        Ok(templates) => Answer::json(&json!({ "templates": templates })),
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

fn elements(api: &Api, query: Query<'_>) -> Result<Vec<Value>, String> {
    let raw = raw_script(query)?;
    let listing = Listing::read(query, &FIELDS)?;
    let element = |view: &TemplateView| match view.template {
        Ok(_) => listing.element(&object(view, raw)),
        // One that is no template any more has nothing to show.
        Err(_) => Ok(json!({})),
    };
    api.tasks.list_templates(&listing.page).iter().map(element).collect()
}

/// A template that was defined or changed, with the warnings about its script where they are asked for.
fn show_change(view: &TemplateView, query: Query<'_>) -> Answer {
    let mut object = object(view, false);
    if let (true, Ok(template)) = (wants_diagnostics(query), &view.template) {
        object.insert("diagnostics".to_owned(), json!(template.compiled.warnings));
    }
    Answer::json(&Value::Object(object))
}

/// A template with its keys in the order of the answer.
fn object(view: &TemplateView, raw_script: bool) -> Map<String, Value> {
    let stored = &view.stored;
    let (word, vars, graph, error) = match &view.template {
        Ok(template) => {
            let compiled = &template.compiled;
            (compiled.task_type.word(), json!(template.vars), dot::plain(&stored.id, &compiled.pipeline), "")
        }
        Err(error) => ("invalid", json!({}), String::new(), error.as_str()),
    };
    let script = if raw_script { stored.script.clone() } else { format_script(&stored.script) };
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("link", json!({ "rel": "self", "href": format!("/kapacitor/v1/templates/{}", stored.id) }));
    put("id", json!(stored.id));
    put("type", json!(word));
    put("script", json!(script));
    put("vars", vars);
    put("dot", json!(graph));
    put("error", json!(error));
    put("created", json!(time(Some(stored.created))));
    put("modified", json!(time(Some(stored.modified))));
    object
}
