//! Rows of the nodes that points and batches come from.

use super::{
    DURATION, Edge, FIELD, Kind, LAMBDA, NONE, NodeSpec, On, Property, STRING, When, adding, alert, fixed, flag,
    handlers::HANDLERS, method, node, source, value, variadic,
};

/// A node below the `batch` source that queries InfluxDB.
const fn query(method: &'static str, properties: &'static [Property], doc: &'static str) -> NodeSpec {
    NodeSpec { on: On::BatchSource, ..node(method, method, FIELD, (Edge::Batch, Edge::Batch), properties, doc) }
}

pub(super) const NODES: &[NodeSpec] = &[
    source("stream", Edge::Stream, "every point of the task's databases and retention policies"),
    source("batch", Edge::Batch, "the source of queries"),
    source("noop", Edge::Same, "a child of a node whose statistics are watched"),
    source("udf", Edge::Same, "a function of the configuration, called with @"),
    NodeSpec {
        on: On::StreamSource,
        ..node(
            "from",
            "from",
            NONE,
            (Edge::Stream, Edge::Stream),
            &[
                value("database", STRING, "only points of this database"),
                value("retentionPolicy", STRING, "only points of this retention policy"),
                value("measurement", STRING, "only points of this measurement"),
                adding("where", fixed(LAMBDA), "only points for which the lambda is true"),
                value("truncate", DURATION, "cut times to multiples of a duration"),
                value("round", DURATION, "round times to multiples of a duration"),
                method("groupBy", variadic(&[], Kind::Any), "group by tags, or * for all of them"),
                flag("groupByMeasurement", "the measurement is part of the group"),
            ],
            "takes points by database, retention policy, measurement and lambda",
        )
    },
    query(
        "query",
        &[
            value("period", DURATION, "length of time that a query asks for"),
            value("every", DURATION, "how often to query"),
            value("cron", STRING, "when to query, as a cron expression"),
            value("offset", DURATION, "how far in the past a query ends"),
            flag("align", "query at multiples of every"),
            flag("alignGroup", "align the groups of time() with the query's start"),
            method("groupBy", variadic(&[], Kind::Any), "group by tags, time(…), or * for all tags"),
            flag("groupByMeasurement", "the measurement is part of the group"),
            method("fill", fixed(&[Kind::Any]), "what stands for missing values: a number or a word")
                .one_of(&["null", "none", "previous", "linear"], When::Start),
            value("cluster", STRING, "name of the InfluxDB cluster"),
        ],
        "queries InfluxDB on a schedule",
    ),
    query(
        "queryFlux",
        &[
            value("period", DURATION, "has no effect: the query says its range"),
            value("every", DURATION, "how often to query"),
            value("cron", STRING, "when to query, as a cron expression"),
            value("offset", DURATION, "how far in the past a query ends"),
            flag("align", "query at multiples of every"),
            value("cluster", STRING, "name of the InfluxDB cluster"),
            value("org", STRING, "organization of the query, by name"),
            value("orgID", STRING, "organization of the query, by id"),
        ],
        "queries InfluxDB in Flux on a schedule",
    ),
    NodeSpec {
        on: On::Everything,
        ..node(
            "stats",
            "stats",
            fixed(DURATION),
            (Edge::Same, Edge::Stream),
            &[flag("align", "emit at multiples of the interval")],
            "the counters of a node as points",
        )
    },
    NodeSpec {
        on: On::Everything,
        handlers: HANDLERS,
        ..node(
            "deadman",
            "alert",
            variadic(&[Kind::Float, Kind::Duration], Kind::Lambda),
            (Edge::Same, Edge::Stream),
            alert::PROPERTIES,
            "alerts when a node emits too few points",
        )
    },
];
