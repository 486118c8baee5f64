//! The server's statistics with Kapacitor's names: what `debug/vars` shows and what goes into the server's own stream as
//! points (reference: http-api §23).

use std::{
    fmt::Write,
    sync::atomic::Ordering,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proto::{
    message::{NodeStatistics, Statistics},
    plan::EdgeType,
};

use crate::{api::Api, tick::dot::duration};

/// A value as points have it, and as JSON has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(u64),
    Float(f64),
    /// Nanoseconds: text in JSON, an integer in points.
    Duration(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Statistic {
    pub name: &'static str,
    pub tags: Vec<(&'static str, String)>,
    pub values: Vec<(String, Number)>,
}

impl Number {
    pub fn json(self) -> serde_json::Value {
        match self {
            Number::Int(count) => count.into(),
            Number::Float(number) => number.into(),
            Number::Duration(nanoseconds) => duration(nanoseconds).into(),
        }
    }
}

/// All of them but those of the process.
pub fn all(api: &Api, statistics: &Statistics) -> Vec<Statistic> {
    let server = &api.server;
    let mut all = Vec::new();
    let mut put = |name, tags: &[(&'static str, &str)], values: Vec<(String, Number)>| {
        let ids = [("cluster_id", &server.cluster_id), ("server_id", &server.server_id), ("host", &server.hostname)];
        let mut tags: Vec<_> = tags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        tags.extend(ids.map(|(key, value)| (key, value.clone())));
        all.push(Statistic { name, tags, values });
    };
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
        let provided = api.tasks.provided(&task.task);
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
                let edge = match provided.get(&*node.name) {
                    Some(EdgeType::Stream) => "stream",
                    Some(EdgeType::Batch) => "batch",
                    None => kind,
                };
                let tags = [("task", &*task.task), ("parent", &*node.name), ("child", child), ("type", edge)];
                put("edges", &tags, vec![count("collected", *taken), count("emitted", *taken)]);
            }
        }
        if let Some(source) = task.nodes.first() {
            let tags = [("task", &*task.task), ("parent", kind), ("child", &*source.name), ("type", kind)];
            put("edges", &tags, vec![count("collected", source.collected), count("emitted", source.collected)]);
        }
    }
    for (topic, collected) in api.alerts.collected() {
        put("topics", &[("id", &*topic)], vec![count("collected", collected)]);
    }
    for (cluster, topic, (written, errors)) in api.alerts.kafka() {
        let values = vec![count("write_errors", errors), count("write_messages", written)];
        put("kafka", &[("cluster", &*cluster), ("topic", &*topic)], values);
    }
    for (bind, values) in udp(statistics) {
        put("udp", &[("bind", &*bind)], values);
    }
    put("load", &[], vec![count("errors", api.loader.errors.load(Ordering::Relaxed))]);
    let mut own: Vec<_> = statistics.counters.iter().map(|(name, value)| count(name, *value)).collect();
    own.extend(api.alerts.counters().map(|(name, value)| count(name, value)));
    own.push(("uptime_seconds".to_owned(), Number::Float(api.started.elapsed().as_secs_f64())));
    own.push(count("shards", u64::from(statistics.shards)));
    put("farad", &[], own);
    all
}

fn count(name: &str, count: u64) -> (String, Number) {
    (name.to_owned(), Number::Int(count))
}

fn node_values(node: &NodeStatistics) -> Vec<(String, Number)> {
    let mut values = vec![
        ("avg_exec_time_ns".to_owned(), Number::Duration(node.avg_exec_time_ns)),
        count("errors", node.errors),
        count("working_cardinality", node.working_cardinality),
    ];
    values.extend(node.extra.iter().map(|(name, value)| count(name, *value)));
    values
}

/// The counters of UDP ports by address; those that stand at zero are left out.
fn udp(statistics: &Statistics) -> Vec<(String, Vec<(String, Number)>)> {
    let mut ports: Vec<(String, Vec<(String, Number)>)> = Vec::new();
    for (name, value) in statistics.counters.iter().filter(|(_, value)| *value > 0) {
        let named = name.strip_prefix("udp_").and_then(|name| name.strip_suffix(']')?.split_once('['));
        let Some((name, bind)) = named else { continue };
        match ports.iter_mut().find(|(known, _)| known == bind) {
            Some((_, values)) => values.push(count(name, *value)),
            None => ports.push((bind.to_owned(), vec![count(name, *value)])),
        }
    }
    ports
}

/// Resident bytes of this process.
pub fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * rustix::param::page_size() as u64
}

/// Statistics of the process, without tags. What only Go's runtime has is zero.
fn process(api: &Api) -> [Statistic; 2] {
    let (tasks, enabled) = api.tasks.counts();
    let kapacitor = vec![
        count("num_enabled_tasks", enabled as u64),
        count("num_subscriptions", api.subscriptions.count() as u64),
        count("num_tasks", tasks as u64),
        ("uptime".to_owned(), Number::Float(api.started.elapsed().as_secs_f64())),
    ];
    let memory = memory();
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let mut runtime: Vec<_> =
        ["Alloc", "HeapAlloc", "HeapInUse", "HeapSys", "Sys"].map(|name| count(name, memory)).into();
    runtime.push(count("NumGoroutine", threads as u64));
    let zero = ["Frees", "HeapObjects", "HeapReleased", "Lookups", "Mallocs", "NumGC", "PauseTotalNs", "TotalAlloc"];
    runtime.extend(zero.map(|name| count(name, 0)));
    [("kapacitor", kapacitor), ("runtime", runtime)].map(|(name, values)| Statistic { name, tags: Vec::new(), values })
}

/// Writes all statistics into the server's own stream, for as long as `[stats]` says so. Never ends.
pub async fn publish(api: Api) {
    let stats = api.live.get().stats.clone();
    if !stats.enabled {
        return;
    }
    let mut ticks = tokio::time::interval(stats.stats_interval.0.max(Duration::from_millis(100)));
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // Without a data plane there is nothing to count.
        let Ok(statistics) = api.engine.statistics().await else { continue };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut lines = String::new();
        for statistic in all(&api, &statistics).iter().chain(&process(&api)) {
            line(statistic, now, &mut lines);
        }
        let _ = api.engine.write(&stats.database, &stats.retention_policy, lines).await;
    }
}

/// A statistic as a line of line protocol. `now` is in nanoseconds since 1970.
fn line(statistic: &Statistic, now: u128, out: &mut String) {
    out.push_str(statistic.name);
    for (key, value) in statistic.tags.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(',');
        escape(key, out);
        out.push('=');
        escape(value, out);
    }
    for (at, (key, value)) in statistic.values.iter().enumerate() {
        out.push(if at == 0 { ' ' } else { ',' });
        escape(key, out);
        // Writing to a String cannot fail.
        let _ = match value {
            Number::Int(count) | Number::Duration(count) => write!(out, "={}i", (*count).min(i64::MAX as u64)),
            Number::Float(number) => write!(out, "={number}"),
        };
    }
    let _ = writeln!(out, " {now}");
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            ',' | '=' | ' ' => out.extend(['\\', c]),
            // What would end the line, or the escape of what follows.
            '\n' | '\r' | '\\' => out.push('_'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_is_a_line() {
        let statistic = Statistic {
            name: "nodes",
            tags: vec![("task", "a b,c=d".into()), ("empty", String::new())],
            values: vec![
                ("avg_exec_time_ns".into(), Number::Duration(1_500)),
                ("uptime".into(), Number::Float(0.5)),
                count("errors", 2),
            ],
        };
        let mut out = String::new();
        line(&statistic, 7, &mut out);
        assert_eq!(out, "nodes,task=a\\ b\\,c\\=d avg_exec_time_ns=1500i,uptime=0.5,errors=2i 7\n");
        assert_eq!(Number::Duration(1_500).json(), "1.5µs");
    }

    #[test]
    fn ports_are_told_by_their_address() {
        let counters = [("udp_points_rx[127.0.0.1:9]", 3), ("udp_read_fail[127.0.0.1:9]", 0), ("tcp_points_rx[x]", 1)];
        let counters = counters.map(|(name, count)| (name.to_owned(), count)).to_vec();
        let found = udp(&Statistics { counters, ..Statistics::default() });
        assert_eq!(found, [("127.0.0.1:9".to_owned(), vec![count("points_rx", 3)])]);
    }
}
