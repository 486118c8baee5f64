//! `/debug/vars`, `/:routes`, `/loglevel` (reference: http-api §2, §22, §23).

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Api, BASE, PREVIEW, VERSION,
    answer::{Answer, compact},
    routes::{METHODS, ROUTES},
};
use crate::{
    statistics::{self, Statistic},
    task::request_body,
};

pub async fn vars(api: &Api) -> Answer {
    let counted = api.engine.statistics().await.unwrap_or_default();
    let (tasks, enabled) = api.tasks.counts();
    let memory = statistics::memory();
    let show = |statistic: Statistic| {
        let tags: Map<String, Value> =
            statistic.tags.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let values: Map<String, Value> = statistic.values.into_iter().map(|(key, value)| (key, value.json())).collect();
        let shown = json!({ "name": statistic.name, "tags": tags, "values": values });
        (uuid::Uuid::new_v4().to_string(), shown)
    };
    let kapacitor = statistics::all(api, &counted).into_iter().map(show).collect();
    let pairs = [
        ("cluster_id", json!(api.server.cluster_id)),
        (
            "cmdline",
            json!(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>()),
        ),
        ("host", json!(api.server.hostname)),
        ("kapacitor", Value::Object(kapacitor)),
        ("memstats", json!({ "Sys": memory, "HeapSys": memory, "Alloc": memory })),
        ("num_enabled_tasks", json!(enabled)),
        ("num_subscriptions", json!(api.subscriptions.count())),
        ("num_tasks", json!(tasks)),
        ("platform", json!("OSS")),
        ("product", json!("kapacitor")),
        ("server_id", json!(api.server.server_id)),
        ("version", json!(VERSION)),
    ];
    let lines: Vec<String> = pairs.iter().map(|(key, value)| format!("{key:?}: {}", compact(value))).collect();
    Answer::raw_json(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

pub fn routes(api: &Api) -> Answer {
    let below = ROUTES.iter().map(|(path, methods)| (format!("{BASE}{path}"), json!(methods)));
    let endpoint = |path| (format!("{BASE}/tasks/{path}"), json!(["GET"]));
    let others = [
        ("/".to_owned(), json!(METHODS)),
        ("/metrics".to_owned(), json!(["GET"])),
        ("/write".to_owned(), json!(["POST", "OPTIONS"])),
        (format!("{PREVIEW}/"), json!(METHODS)),
        (format!("{PREVIEW}/logs"), json!(["GET"])),
    ];
    let endpoints = api.tasks.endpoints().into_iter().map(endpoint);
    Answer::json(&Value::Object(below.chain(others).chain(endpoints).collect()))
}

pub async fn log_level(api: &Api, body: &[u8]) -> Answer {
    let bad = |message: &str| Answer::error(StatusCode::BAD_REQUEST, message);
    let options = match request_body(body) {
        Ok(options) => options,
        Err(error) => return bad(&format!("invalid json: {error}")),
    };
    match options.get("level").and_then(Value::as_str).map(str::to_lowercase).as_deref() {
        Some(level @ ("debug" | "info" | "error")) => {
            dataplane::logging::set_level(level);
            api.engine.configure(|settings| level.clone_into(&mut settings.log_level)).await;
            Answer::empty()
        }
        _ => bad("invalid log level"),
    }
}
