//! `/debug/limits`: every bound of both processes, what happens there, and how often that was.

use dataplane::limits::LIMITS;
use proto::{
    limits::{EXPR_DEPTH_MAX, NODES_PER_TASK_MAX, Settable},
    message::Statistics,
};
use serde_json::{Value, json};

use super::{Api, BODY_BYTES_MAX, answer::Answer};
use crate::{auth, engine, recording, store, tick};

/// A bound as it is in force.
pub struct Limit {
    pub process: &'static str,
    pub name: &'static str,
    pub value: u64,
    unit: &'static str,
    of: &'static str,
    full: &'static str,
    /// Key of the configuration that sets it.
    key: Option<String>,
    /// How much of it is taken, where that is known.
    taken: Option<u64>,
    /// How often it was hit, where that is counted.
    pub hits: Option<u64>,
}

pub async fn get(api: &Api) -> Answer {
    let statistics = api.engine.statistics().await.unwrap_or_default();
    let shown = |limit: &Limit| -> Value {
        json!({
            "process": limit.process,
            "name": limit.name,
            "value": limit.value,
            "unit": limit.unit,
            "of": limit.of,
            "when-full": limit.full,
            "key": limit.key,
            "taken": limit.taken,
            "hits": limit.hits,
        })
    };
    Answer::json(&json!({ "limits": all(api, &statistics).iter().map(shown).collect::<Vec<_>>() }))
}

/// All bounds; those of a data plane that does not answer are missing.
pub fn all(api: &Api, statistics: &Statistics) -> Vec<Limit> {
    let counter = |name: &str| statistics.counters.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
    let dataplane = LIMITS.iter().filter_map(|limit| {
        let (_, value) = statistics.limits.iter().find(|(name, _)| name == limit.name)?;
        Some(Limit {
            process: "dataplane",
            name: limit.name,
            value: *value,
            unit: limit.unit,
            of: limit.of,
            full: limit.full,
            key: Settable::find(limit.name).map(|settable| format!("farad.{}", settable.key)),
            taken: limit.taken.map(counter),
            hits: (!limit.counters.is_empty()).then(|| limit.counters.iter().map(|name| counter(name)).sum()),
        })
    });
    dataplane.chain(tasks(api, statistics)).chain(control(api)).collect()
}

/// Those of each task, which the control plane gives along with its plan.
fn tasks(api: &Api, statistics: &Statistics) -> [Limit; 2] {
    let config = api.live.get();
    let most = |count: fn(&proto::message::TaskStatistics) -> u64| statistics.tasks.iter().map(count).max();
    let limit = |name, value, unit, taken| Limit {
        process: "dataplane",
        name,
        value,
        unit,
        of: "task; taken: by the largest",
        full: "new groups are refused, their points dropped",
        key: Some(format!("farad.{name}")),
        taken,
        hits: Some(statistics.tasks.iter().map(|task| task.groups_refused).sum()),
    };
    [
        limit("task-groups-max", config.farad.task_groups_max, "groups", most(|task| task.groups)),
        limit("task-bytes-max", config.farad.task_bytes_max, "bytes of state, 0: no limit", most(|task| task.bytes)),
    ]
}

fn control(api: &Api) -> Vec<Limit> {
    let config = api.live.get();
    let fixed = |name, value: usize, unit, of, full| Limit {
        process: "control",
        name,
        value: value as u64,
        unit,
        of,
        full,
        key: None,
        taken: None,
        hits: None,
    };
    let dropped = api.alerts.counters().into_iter().find(|(name, _)| *name == "alert_events_dropped");
    vec![
        fixed("request-body-bytes", BODY_BYTES_MAX, "bytes", "request that is no write", "413"),
        fixed("script-bytes", tick::parser::SCRIPT_BYTES_MAX, "bytes", "script", "the definition is refused"),
        fixed("expression-depth", EXPR_DEPTH_MAX, "levels", "expression", "the definition is refused"),
        fixed("task-nodes", NODES_PER_TASK_MAX, "nodes", "task", "the definition is refused"),
        fixed("commands", engine::COMMANDS, "commands", "link to the data plane", "requests wait"),
        Limit {
            key: Some("alert.topic-buffer-length".to_owned()),
            hits: dropped.map(|(_, count)| count),
            ..fixed(
                "topic-buffer-length",
                config.alert.buffer_length(),
                "alert events",
                "handler",
                "the newest are dropped",
            )
        },
        fixed(
            "log-lines",
            dataplane::logging::TAP_LINES,
            "lines",
            "follower of the log",
            "dropped, its log says how many",
        ),
        fixed("passwords-cached", auth::CACHE_MAX, "passwords", "process", "the cache starts over"),
        fixed("store-bytes", store::BYTES_MAX, "bytes", "store", "changes are refused"),
        fixed("recording-id-bytes", recording::ID_BYTES_MAX, "bytes", "id of a recording", "400"),
        Limit {
            value: config.replay.recording_max_size,
            key: Some("replay.recording-max-size".to_owned()),
            ..fixed("recording-max-size", 0, "bytes", "file of a recording", "the recording fails")
        },
        Limit {
            value: config.replay.recording_max_duration.0.as_secs(),
            key: Some("replay.recording-max-duration".to_owned()),
            ..fixed("recording-max-duration", 0, "seconds, 0: no limit", "recording", "the recording fails")
        },
    ]
}
