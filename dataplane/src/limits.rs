//! All bounds of the data plane that an operator may meet: whose they are, and what happens there.

use proto::limits::{FRAME_BYTES_MAX, Limits};

use crate::{
    http::{HEAD_BYTES_MAX, HEADERS_MAX},
    io::listeners::LISTENERS_MAX,
    line::{KEY_BYTES_MAX, TEXT_BYTES_MAX},
    name::NAMES_MAX,
    node::{autoscale, http_post::PARKED_MAX, influxql::holt_winters::INTERVALS_MAX, join, union, window},
    recording::PIECES,
    routing::SHARDS_MAX,
    shard::limits::{COMMANDS, LINE_BYTES_MAX, LOGGED_WRITES, TRACED_BYTES},
};

/// A bound.
pub struct Limit {
    /// What is bounded, its key in `[farad]` if it can be set.
    pub name: &'static str,
    pub value: Value,
    pub unit: &'static str,
    /// What has it to itself.
    pub of: &'static str,
    /// What happens there.
    pub full: &'static str,
    /// The counters that say how often that was, by their names in the statistics.
    pub counters: &'static [&'static str],
    /// The level that says how much is taken, likewise.
    pub taken: Option<&'static str>,
}

pub enum Value {
    Fixed(usize),
    Set(fn(&Limits) -> u64),
}

use Value::{Fixed, Set};

/// All of them.
pub const LIMITS: &[Limit] = &[
    Limit {
        name: "shards",
        value: Fixed(SHARDS_MAX),
        unit: "threads",
        of: "process",
        full: "more are refused at the start",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "connections-max",
        value: Set(|limits| limits.connections_max),
        unit: "connections",
        of: "process",
        full: "a further one is answered 503 and closed",
        counters: &["connections_refused"],
        taken: Some("client_connections"),
    },
    Limit {
        name: "head-bytes",
        value: Fixed(HEAD_BYTES_MAX),
        unit: "bytes",
        of: "request",
        full: "431, and the connection closes",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "headers",
        value: Fixed(HEADERS_MAX),
        unit: "headers",
        of: "request",
        full: "431, and the connection closes",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "body-bytes-max",
        value: Set(|limits| limits.body_bytes_max),
        unit: "bytes",
        of: "write, packed or not",
        full: "413, and the connection closes",
        counters: &["bodies_refused_as_too_large"],
        taken: None,
    },
    Limit {
        name: "staged-bytes-max",
        value: Set(|limits| limits.staged_bytes_max),
        unit: "bytes",
        of: "process, an equal part for each shard",
        full: "the oldest body goes on alone, others are not read; 503 for one that does not move",
        counters: &["bodies_waited_for_room", "bodies_refused_without_progress", "connections_closed_without_room"],
        taken: Some("connections_bytes_held"),
    },
    Limit {
        name: "series-bytes-max",
        value: Set(|limits| limits.series_bytes_max),
        unit: "bytes",
        of: "process, an equal part for each shard",
        full: "the cache of series starts over",
        counters: &["series_cache_restarts"],
        taken: Some("series_cache_bytes"),
    },
    Limit {
        name: "names",
        value: Fixed(NAMES_MAX),
        unit: "names of measurements, tags and fields",
        of: "process",
        full: "the body is refused",
        counters: &["series_without_room_for_names"],
        taken: None,
    },
    Limit {
        name: "key-bytes",
        value: Fixed(KEY_BYTES_MAX),
        unit: "bytes",
        of: "measurement and tags of a line",
        full: "the body is refused",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "error-text-bytes",
        value: Fixed(TEXT_BYTES_MAX),
        unit: "bytes",
        of: "answer to a refused body",
        full: "the answer says how many lines it does not show",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "line-bytes",
        value: Fixed(LINE_BYTES_MAX),
        unit: "bytes",
        of: "line of a [[farad.lines]] stream",
        full: "the connection closes",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "listeners",
        value: Fixed(LISTENERS_MAX),
        unit: "listeners",
        of: "process",
        full: "more are refused, the log says so",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "ring-blocks-max",
        value: Set(|limits| limits.ring_blocks_max),
        unit: "blocks",
        of: "way from one shard to another",
        full: "the body waits for its answer, and its connection is not read",
        counters: &["bodies_waited_for_rings"],
        taken: None,
    },
    Limit {
        name: "commands",
        value: Fixed(COMMANDS),
        unit: "commands",
        of: "shard",
        full: "the I/O thread waits",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "loopback-bytes-max",
        value: Set(|limits| limits.loopback_bytes_max),
        unit: "bytes",
        of: "shard",
        full: "points of kapacitorLoopback are dropped",
        counters: &["loopback_points_dropped"],
        taken: None,
    },
    Limit {
        name: "join-waiting",
        value: Fixed(join::WAITING_MAX),
        unit: "points",
        of: "join node on a shard",
        full: "the oldest are given up, the node's errors count them",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "union-waiting",
        value: Fixed(union::WAITING_MAX),
        unit: "points",
        of: "union node",
        full: "the oldest go on without waiting for their order",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "forecast-intervals",
        value: Fixed(INTERVALS_MAX),
        unit: "intervals",
        of: "series of a holtWinters node",
        full: "nothing is forecast, the node's errors count it",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "window-points",
        value: Fixed(window::POINTS_MAX),
        unit: "points",
        of: "window of a group",
        full: "the oldest points are dropped, the node's errors count them",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "http-post-parked",
        value: Fixed(PARKED_MAX),
        unit: "points",
        of: "httpPost node that waits for answers",
        full: "points are dropped, the node's errors count them",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "autoscale-parked",
        value: Fixed(autoscale::PARKED_MAX),
        unit: "points or batches",
        of: "autoscale node that waits for its service",
        full: "points are dropped, the node's errors count them; replays and batches wait",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "outputs-max",
        value: Set(|limits| limits.outputs_max),
        unit: "alert events, posts, writes, messages, scalings or connections",
        of: "each kind, on the way to the I/O thread",
        full: "dropped",
        counters: &[
            "alerts_dropped",
            "posts_dropped",
            "influxdb_writes_dropped",
            "udf_messages_dropped",
            "scalings_dropped",
            "relays_refused",
        ],
        taken: None,
    },
    Limit {
        name: "alerts-waiting-max",
        value: Set(|limits| limits.alerts_waiting_max),
        unit: "alert events",
        of: "process, while the control plane is away",
        full: "the newest are dropped",
        counters: &["alerts_dropped_without_control"],
        taken: None,
    },
    Limit {
        name: "posts-waiting-max",
        value: Set(|limits| limits.posts_waiting_max),
        unit: "posts",
        of: "httpPost node",
        full: "dropped, and the node hears of a failed post",
        counters: &["http_posts_dropped_by_full_queue"],
        taken: None,
    },
    Limit {
        name: "influxdb-bytes-max",
        value: Set(|limits| limits.influxdb_bytes_max),
        unit: "bytes",
        of: "influxDBOut node",
        full: "a further write is dropped",
        counters: &["influxdb_writes_dropped_by_full_queue"],
        taken: None,
    },
    Limit {
        name: "udf-bytes-max",
        value: Set(|limits| limits.udf_bytes_max),
        unit: "bytes",
        of: "function",
        full: "messages are dropped; replays and batches wait",
        counters: &["udf_messages_dropped_by_full_queue"],
        taken: None,
    },
    Limit {
        name: "http-out-bytes",
        value: Fixed(FRAME_BYTES_MAX),
        unit: "bytes",
        of: "httpOut node",
        full: "the request for it is answered 500",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "recording-pieces",
        value: Fixed(PIECES),
        unit: "pieces of text",
        of: "process",
        full: "the recording fails",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "logged-writes",
        value: Fixed(LOGGED_WRITES as usize),
        unit: "writes a second",
        of: "shard",
        full: "counted, the log says how many",
        counters: &[],
        taken: None,
    },
    Limit {
        name: "traced-bytes",
        value: Fixed(TRACED_BYTES),
        unit: "bytes",
        of: "body in the log",
        full: "the rest is left out, the log says of how many",
        counters: &[],
        taken: None,
    },
];

/// Names and values of all, as they are in force.
pub fn values(set: &Limits) -> Vec<(String, u64)> {
    let value = |limit: &Limit| match limit.value {
        Fixed(value) => value as u64,
        Set(read) => read(set),
    };
    LIMITS.iter().map(|limit| (limit.name.to_owned(), value(limit))).collect()
}

#[cfg(test)]
mod tests {
    use proto::limits::SETTABLE;

    use super::*;

    #[test]
    fn whatever_can_be_set_is_shown() {
        let mut limits = Limits::default();
        for settable in &SETTABLE {
            limits.set(settable.key, settable.least + 7).unwrap();
        }
        let shown = values(&limits);
        for settable in &SETTABLE {
            let found = shown.iter().find(|(name, _)| name == settable.key);
            assert_eq!(found.map(|(_, value)| *value), Some(settable.least + 7), "{}", settable.key);
        }
        let set = LIMITS.iter().filter(|limit| matches!(limit.value, Set(_))).count();
        assert_eq!(set, SETTABLE.len());
    }
}
