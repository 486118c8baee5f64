//! `/config`: options overridden while the server runs (reference: http-api §19, configuration §6).

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use toml::Table;

use super::{Api, answer::Answer, body};
use crate::config::{
    Action, OverrideError,
    services::{Kind, SECTIONS, Section, ServiceOption},
};

const PATH: &str = "/kapacitor/v1/config";

/// GET of everything.
pub fn all(api: &Api) -> Answer {
    if let Some(refusal) = closed(api) {
        return refusal;
    }
    let table = api.live.table();
    let listed = SECTIONS.iter().filter(|section| section.is_listed(&table));
    let sections = listed.map(|section| (section.name.to_owned(), section_json(section, &table)));
    Answer::json_line(&json!({ "link": link(""), "sections": Value::Object(sections.collect()) }))
}

/// GET of a section or an element.
pub fn get(api: &Api, rest: &str) -> Answer {
    if let Some(refusal) = closed(api) {
        return refusal;
    }
    let (name, element) = match split(rest) {
        Some(("", _)) | None => {
            let message = "section not specified, do you have an extra trailing '/'?";
            return Answer::error(StatusCode::BAD_REQUEST, message);
        }
        Some(place) => place,
    };
    let table = api.live.table();
    let section = Section::find(name);
    let Some(element) = element else {
        return match section {
            Some(section) => Answer::json_line(&section_json(section, &table)),
            None => Answer::error(StatusCode::NOT_FOUND, &format!("unknown section: {name}")),
        };
    };
    let found = section.and_then(|section| {
        let elements = elements(section, &table);
        elements.into_iter().find(|(key, _)| *key == element).map(|(key, options)| element_json(section, key, options))
    });
    match found {
        Some(found) => Answer::json_line(&found),
        None => Answer::error(StatusCode::NOT_FOUND, &format!("unknown section/element: {name}/{element}")),
    }
}

/// POST of a change.
pub async fn change(api: &Api, rest: &str, given: &[u8]) -> Answer {
    if let Some(refusal) = closed(api) {
        return refusal;
    }
    let action: Action = match body::read(given) {
        Ok(action) => action,
        Err(error) => return Answer::error(StatusCode::BAD_REQUEST, &format!("failed to decode JSON:{error}")),
    };
    let (section, element) = split(rest).unwrap_or(("", None));
    let (live, section, element) = (api.live.clone(), section.to_owned(), element.map(str::to_owned));
    let change = move || live.change(&section, element.as_deref(), action);
    match tokio::task::spawn_blocking(change).await {
        Ok(Ok(())) => Answer::empty(),
        Ok(Err(error @ OverrideError::Store { .. })) => {
            Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Ok(Err(error)) => Answer::error(StatusCode::BAD_REQUEST, &error.to_string()),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn closed(api: &Api) -> Option<Answer> {
    let enabled = api.live.get().config_override.enabled;
    (!enabled).then(|| Answer::error(StatusCode::FORBIDDEN, "config override service is not enabled"))
}

/// Section and element of a path; `None` for one with more parts.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    match rest.split_once('/') {
        None => Some((rest, None)),
        Some((section, element)) => (!element.contains('/')).then_some((section, Some(element))),
    }
}

fn link(below: &str) -> Value {
    json!({ "rel": "self", "href": format!("{PATH}{below}") })
}

/// The elements of a section with their keys; a section that is no list is one without.
fn elements<'a>(section: &Section, table: &'a Table) -> Vec<(&'a str, &'a Table)> {
    match (table.get(section.name), section.key) {
        (Some(toml::Value::Table(options)), None) => vec![("", options)],
        (Some(toml::Value::Array(elements)), Some(key)) => {
            let named = |element: &'a toml::Value| {
                let options = element.as_table()?;
                Some((options.get(key).and_then(toml::Value::as_str).unwrap_or_default(), options))
            };
            elements.iter().filter_map(named).collect()
        }
        _ => Vec::new(),
    }
}

fn section_json(section: &Section, table: &Table) -> Value {
    let elements = elements(section, table);
    let elements: Vec<Value> = elements.into_iter().map(|(key, options)| element_json(section, key, options)).collect();
    json!({ "link": link(&format!("/{}", section.name)), "elements": elements })
}

fn element_json(section: &Section, key: &str, options: &Table) -> Value {
    let mut shown: Vec<(&str, Value)> = Vec::new();
    let known = || section.options.iter().filter(|option| !option.newer || differs(options.get(option.name), option));
    for option in known() {
        let value = options.get(option.name);
        let value = match (value, option.kind) {
            (value, _) if option.secret => json!(value.is_some_and(is_set)),
            (Some(toml::Value::Array(items)), _) if items.is_empty() => Value::Null,
            (Some(toml::Value::Table(map)), _) if map.is_empty() => Value::Null,
            (Some(toml::Value::String(text)), Kind::Duration) => json!(duration(text)),
            (Some(value), _) => serde_json::to_value(value).unwrap_or_default(),
            (None, _) => Value::Null,
        };
        shown.push((option.name, value));
    }
    shown.sort_by_key(|(name, _)| *name);
    let options: Map<String, Value> = shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let secrets: Vec<&str> = known().filter(|option| option.secret).map(|option| option.name).collect();
    let redacted = if secrets.is_empty() { Value::Null } else { json!(secrets) };
    json!({ "link": link(&format!("/{}/{key}", section.name)), "options": options, "redacted": redacted })
}

fn differs(value: Option<&toml::Value>, option: &ServiceOption) -> bool {
    value.is_some_and(|value| *value != option.value())
}

fn is_set(value: &toml::Value) -> bool {
    match value {
        toml::Value::String(text) => !text.is_empty(),
        toml::Value::Table(map) => map.values().any(is_set),
        _ => true,
    }
}

/// A duration in its standard form.
fn duration(text: &str) -> String {
    let parsed = crate::config::parse_duration(text).unwrap_or_default();
    crate::tick::dot::duration(parsed.as_nanos() as u64)
}
