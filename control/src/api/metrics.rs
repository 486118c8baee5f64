//! `/metrics`: the counters of `/debug/vars` for Prometheus, per node and per shard, with latencies.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use dataplane::{io::statistics::LEVELS, latency};
use proto::message::{Statistics, TIME_BOUNDS, TaskStatistics, Times};

use super::{
    Api, VERSION,
    answer::{Answer, Content},
    limits,
};

/// How long requests took.
#[derive(Default)]
pub struct Latency(Mutex<latency::Latency>);

impl Latency {
    pub fn record(&self, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(took);
    }

    fn times(&self) -> Times {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).times()
    }
}

pub async fn get(api: &Api) -> Answer {
    let mut out = String::new();
    let statistics = api.engine.statistics().await;
    let (tasks, enabled) = api.tasks.counts();
    head(&mut out, "farad_info", "gauge", "What runs here.");
    sample(&mut out, "farad_info", &[("version", VERSION), ("host", &api.server.hostname)], 1.0);
    let one = |out: &mut String, name: &str, help: &str, value: f64| {
        head(out, name, "gauge", help);
        sample(out, name, &[], value);
    };
    one(&mut out, "farad_up", "Whether the data plane answers.", f64::from(u8::from(statistics.is_ok())));
    one(&mut out, "farad_uptime_seconds", "Time since the start.", api.started.elapsed().as_secs_f64());
    one(&mut out, "farad_tasks", "Tasks that are defined.", tasks as f64);
    one(&mut out, "farad_tasks_enabled", "Tasks that should run.", enabled as f64);
    let statistics = statistics.unwrap_or_default();
    one(&mut out, "farad_shards", "Threads that take and process points.", f64::from(statistics.shards));

    head(&mut out, "farad_ingress_points_total", "counter", "Points taken, by where they belong.");
    for ingress in &statistics.ingress {
        let labels = [
            ("database", &*ingress.database),
            ("retention_policy", &*ingress.retention_policy),
            ("measurement", &*ingress.measurement),
        ];
        sample(&mut out, "farad_ingress_points_total", &labels, ingress.points as f64);
    }

    let nodes = || statistics.tasks.iter().flat_map(|task| task.nodes.iter().map(move |node| (&*task.task, node)));
    type Read = fn(&proto::message::NodeStatistics) -> f64;
    let columns: [(&str, &str, &str, Read); 5] = [
        ("farad_node_collected_total", "counter", "Messages that a node took.", |node| node.collected as f64),
        ("farad_node_emitted_total", "counter", "Messages that a node's children took.", |node| node.emitted as f64),
        ("farad_node_errors_total", "counter", "Errors of a node.", |node| node.errors as f64),
        ("farad_node_groups", "gauge", "Groups that a node holds.", |node| node.working_cardinality as f64),
        ("farad_node_execution_seconds", "gauge", "Average time of one message in a node.", |node| {
            node.avg_exec_time_ns as f64 / 1e9
        }),
    ];
    for (name, kind, help, read) in columns {
        head(&mut out, name, kind, help);
        for (task, node) in nodes() {
            sample(&mut out, name, &[("task", task), ("node", &node.name)], read(node));
        }
    }
    head(&mut out, "farad_node_events_total", "counter", "What else a node of its kind counts.");
    for (task, node) in nodes() {
        for (event, count) in &node.extra {
            let labels = [("task", task), ("node", &*node.name), ("event", event)];
            sample(&mut out, "farad_node_events_total", &labels, *count as f64);
        }
    }
    head(&mut out, "farad_task_throughput", "gauge", "Points or batches a second that a task's source took.");
    for task in &statistics.tasks {
        sample(&mut out, "farad_task_throughput", &[("task", &task.task)], task.throughput);
    }
    type Count = fn(&TaskStatistics) -> u64;
    let held: [(&str, &str, &str, Count); 3] = [
        ("farad_task_groups", "gauge", "Groups that a task holds.", |task| task.groups),
        ("farad_task_bytes", "gauge", "Bytes of the state of a task's groups, about.", |task| task.bytes),
        ("farad_task_groups_refused_total", "counter", "Messages dropped at a task's limit.", |task| {
            task.groups_refused
        }),
    ];
    for (name, kind, help, count) in held {
        head(&mut out, name, kind, help);
        for task in &statistics.tasks {
            sample(&mut out, name, &[("task", &task.task)], count(task) as f64);
        }
    }

    counters(&mut out, &statistics);
    let name = "farad_write_duration_seconds";
    head(&mut out, name, "histogram", "Time from the first byte of a write's body to its answer, on each shard.");
    for (shard, times) in statistics.writes.iter().enumerate() {
        histogram(&mut out, name, &[("shard", &shard.to_string())], times);
    }
    head(&mut out, "farad_topic_events_total", "counter", "Events that a topic collected.");
    for (topic, collected) in api.alerts.collected() {
        sample(&mut out, "farad_topic_events_total", &[("topic", &topic)], collected as f64);
    }
    for (name, count) in api.alerts.counters() {
        let name = format!("farad_{name}_total");
        head(&mut out, &name, "counter", "Events of handlers.");
        sample(&mut out, &name, &[], count as f64);
    }
    let name = "farad_kafka_records_total";
    head(&mut out, name, "counter", "Records of alert events, by cluster and topic, and whether they were written.");
    for (cluster, topic, (written, failed)) in api.alerts.kafka() {
        for (result, count) in [("written", written), ("failed", failed)] {
            sample(&mut out, name, &[("cluster", &cluster), ("topic", &topic), ("result", result)], count as f64);
        }
    }
    let name = "farad_api_request_duration_seconds";
    head(&mut out, name, "histogram", "Time from the arrival of a request to its answer, writes not counted.");
    histogram(&mut out, name, &[], &api.latency.times());
    let limits = limits::all(api, &statistics);
    head(&mut out, "farad_limit", "gauge", "Bounds, by process and name (see debug/limits).");
    for limit in &limits {
        sample(&mut out, "farad_limit", &[("process", limit.process), ("name", limit.name)], limit.value as f64);
    }
    head(&mut out, "farad_limit_hits_total", "counter", "How often a bound was hit, where that is counted.");
    for limit in &limits {
        if let Some(hits) = limit.hits {
            sample(
                &mut out,
                "farad_limit_hits_total",
                &[("process", limit.process), ("name", limit.name)],
                hits as f64,
            );
        }
    }
    Answer {
        status: StatusCode::OK,
        content: Content::Bytes(out.into_bytes()),
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        headers: Vec::new(),
    }
}

/// What the shards count, each for itself, and what the data plane counts beside them. The names are those of `debug/vars`;
/// what one listener counts bears its address there in brackets.
fn counters(out: &mut String, statistics: &Statistics) {
    let mut families: BTreeMap<String, Vec<(&str, String, u64)>> = BTreeMap::new();
    for (shard, counters) in statistics.per_shard.iter().enumerate() {
        for (name, count) in counters {
            let family = format!("farad_shard_{}", family_of(name.trim_start_matches("shards_")));
            families.entry(family).or_default().push(("shard", shard.to_string(), *count));
        }
    }
    let of_shards = |name: &str| statistics.per_shard.iter().flatten().any(|(known, _)| known == name);
    for (name, count) in statistics.counters.iter().filter(|(name, _)| !of_shards(name)) {
        let (name, address) = name.split_once('[').unwrap_or((name, ""));
        let label = ("address", address.trim_end_matches(']').to_owned(), *count);
        families.entry(format!("farad_{}", family_of(name))).or_default().push(label);
    }
    for (name, samples) in families {
        let (kind, help) = match name.ends_with("_total") {
            true => ("counter", "Since the start of the data plane; see debug/vars."),
            false => ("gauge", "As it is now; see debug/vars."),
        };
        head(out, &name, kind, help);
        for (label, value, count) in samples {
            let labels = [(label, value.as_str())];
            sample(out, &name, if value.is_empty() { &[] } else { &labels }, count as f64);
        }
    }
}

/// A counter's name says that it is one.
fn family_of(name: &str) -> String {
    if LEVELS.contains(&name) { name.to_owned() } else { format!("{name}_total") }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// The samples of a histogram: each bucket holds those before it, too.
fn histogram(out: &mut String, name: &str, labels: &[(&str, &str)], times: &Times) {
    let bucket = format!("{name}_bucket");
    let bounds = TIME_BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (bound, count) in bounds.zip(times.up_to.iter().chain([&times.count])) {
        sample(out, &bucket, &[labels, &[("le", &bound)]].concat(), *count as f64);
    }
    sample(out, &format!("{name}_sum"), labels, times.seconds);
    sample(out, &format!("{name}_count"), labels, times.count as f64);
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    out.push_str(name);
    for (at, (key, value)) in labels.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{key}=\"{value}\"");
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = String::new();
        sample(&mut out, "x", &[("a", "q\"b\\c\n"), ("b", "")], 1.5);
        assert_eq!(out, "x{a=\"q\\\"b\\\\c\\n\",b=\"\"} 1.5\n");
    }

    #[test]
    fn what_is_counted_by_shard_is_not_summed_again() {
        let count = |name: &str, count| (name.to_owned(), count);
        let statistics = Statistics {
            per_shard: vec![
                vec![count("alerts_dropped", 1), count("shards_on_epoll", 1)],
                vec![count("alerts_dropped", 2)],
            ],
            counters: vec![
                count("alerts_dropped", 3),
                count("udp_lost[127.0.0.1:1]", 4),
                count("client_connections", 5),
            ],
            ..Statistics::default()
        };
        let mut out = String::new();
        counters(&mut out, &statistics);
        let samples: Vec<&str> = out.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "farad_client_connections 5",
            "farad_shard_alerts_dropped_total{shard=\"0\"} 1",
            "farad_shard_alerts_dropped_total{shard=\"1\"} 2",
            "farad_shard_on_epoll{shard=\"0\"} 1",
            "farad_udp_lost_total{address=\"127.0.0.1:1\"} 4",
        ];
        assert_eq!(samples, expected);
        assert!(out.contains("# TYPE farad_udp_lost_total counter\n"), "{out}");
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let latency = Latency::default();
        latency.record(Duration::from_millis(2));
        latency.record(Duration::from_secs(600));
        let mut out = String::new();
        histogram(&mut out, "x", &[("a", "b")], &latency.times());
        assert!(out.starts_with("x_bucket{a=\"b\",le=\"0.0001\"} 0\n"), "{out}");
        assert!(out.contains("x_bucket{a=\"b\",le=\"10\"} 1\nx_bucket{a=\"b\",le=\"+Inf\"} 2\n"), "{out}");
        assert!(out.ends_with("x_sum{a=\"b\"} 600.002\nx_count{a=\"b\"} 2\n"), "{out}");
    }
}
