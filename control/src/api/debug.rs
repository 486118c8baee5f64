//! `/debug/vars`, `/:routes`, `/loglevel` (reference: http-api §2, §22, §23).

use axum::http::StatusCode;
use proto::message::{NodeStatistics, Statistics};
use serde_json::{Map, Value, json};

use super::{
    Api, BASE, PREVIEW, VERSION,
    answer::{Answer, compact},
    routes::ROUTES,
};
use crate::{task::request_body, tick::dot::duration};

pub async fn vars(api: &Api) -> Answer {
    let statistics = api.engine.statistics().await.unwrap_or_default();
    let (tasks, enabled) = api.tasks.counts();
    let memory = memory();
    let pairs = [
        ("cluster_id", json!(api.server.cluster_id)),
        (
            "cmdline",
            json!(std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>()),
        ),
        ("host", json!(api.server.hostname)),
        ("kapacitor", Value::Object(all(api, &statistics))),
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

fn all(api: &Api, statistics: &Statistics) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |name: &str, tags: &[(&str, &str)], values: Vec<(String, Value)>| {
        let server = &api.server;
        let ids = [("cluster_id", &server.cluster_id), ("server_id", &server.server_id), ("host", &server.hostname)];
        let mut all: Map<String, Value> = tags.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        all.extend(ids.map(|(key, value)| (key.to_owned(), json!(value))));
        let values: Map<String, Value> = values.into_iter().collect();
        map.insert(uuid::Uuid::new_v4().to_string(), json!({ "name": name, "tags": all, "values": values }));
    };
    let count = |name: &str, count: u64| (name.to_owned(), json!(count));
    for ingress in &statistics.ingress {
        let tags = [
            ("task_master", "main"),
            ("database", &*ingress.database),
            ("retention_policy", &*ingress.retention_policy),
            ("measurement", &*ingress.measurement),
        ];
        put("ingress", &tags, vec![count("points_received", ingress.points)]);
    }
    for task in &statistics.tasks {
        let kind =
            if task.nodes.first().is_some_and(|node| node.name.starts_with("batch")) { "batch" } else { "stream" };
        let held = [("groups", task.groups), ("bytes", task.bytes), ("groups_refused", task.groups_refused)];
        put("tasks", &[("task", &*task.task), ("type", kind)], held.map(|(name, held)| count(name, held)).into());
        for node in &task.nodes {
            let tags = [
                ("task", &*task.task),
                ("node", &*node.name),
                ("type", kind),
                ("kind", node.name.trim_end_matches(|c: char| c.is_ascii_digit())),
            ];
            put("nodes", &tags, node_values(node));
            for (child, taken) in &node.children {
                let child = task.nodes.get(*child).map_or("", |child| &*child.name);
                let tags = [("task", &*task.task), ("parent", &*node.name), ("child", child), ("type", kind)];
                put("edges", &tags, vec![count("collected", *taken), count("emitted", *taken)]);
            }
        }
        if let Some(source) = task.nodes.first() {
            let tags = [("task", &*task.task), ("parent", "stream"), ("child", &*source.name), ("type", kind)];
            put("edges", &tags, vec![count("collected", source.collected), count("emitted", source.collected)]);
        }
    }
    for (topic, collected) in api.alerts.collected() {
        put("topics", &[("id", &*topic)], vec![count("collected", collected)]);
    }
    let mut own: Vec<(String, Value)> = statistics.counters.iter().map(|(name, value)| count(name, *value)).collect();
    own.extend(api.alerts.counters().map(|(name, value)| count(name, value)));
    own.push(("uptime_seconds".to_owned(), json!(api.started.elapsed().as_secs_f64())));
    own.push(count("shards", u64::from(statistics.shards)));
    put("farad", &[], own);
    map
}

fn node_values(node: &NodeStatistics) -> Vec<(String, Value)> {
    let mut values = vec![
        ("avg_exec_time_ns".to_owned(), json!(duration(node.avg_exec_time_ns))),
        ("errors".to_owned(), json!(node.errors)),
        ("working_cardinality".to_owned(), json!(node.working_cardinality)),
    ];
    values.extend(node.extra.iter().map(|(name, count)| (name.clone(), json!(count))));
    values
}

/// Resident bytes of this process.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

pub fn routes() -> Answer {
    let below = ROUTES.iter().map(|(path, methods)| (format!("{BASE}{path}"), json!(methods)));
    let all = json!(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]);
    let others = [
        ("/".to_owned(), all.clone()),
        ("/metrics".to_owned(), json!(["GET"])),
        ("/write".to_owned(), json!(["POST", "OPTIONS"])),
        (format!("{PREVIEW}/"), all),
        (format!("{PREVIEW}/logs"), json!(["GET"])),
    ];
    Answer::json(&Value::Object(below.chain(others).collect()))
}

pub async fn log_level(api: &Api, body: &[u8]) -> Answer {
    let bad = |message: &str| Answer::error(StatusCode::BAD_REQUEST, message);
    let value = match request_body(body) {
        Ok(value) => value,
        Err(error) => return bad(&format!("invalid json: {error}")),
    };
    match value.get("level").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some(level @ ("debug" | "info" | "error")) => {
            dataplane::logging::set_level(level);
            api.engine.configure(|settings| level.clone_into(&mut settings.log_level)).await;
            Answer::empty()
        }
        _ => bad("invalid log level"),
    }
}
