//! Rows of the nodes that show, post, write and alert.

use super::{
    DURATION, Edge, FIELD, INT, Kind, LAMBDA, NONE, NodeSpec, PAIR, Property, SAME, STRING, When, adding, alert, fixed,
    flag, handlers::HANDLERS, node, value, variadic,
};

/// A node that writes points away; nothing can follow it.
const fn sink(
    method: &'static str,
    kind: &'static str,
    properties: &'static [Property],
    doc: &'static str,
) -> NodeSpec {
    NodeSpec { ends: true, ..node(method, kind, NONE, SAME, properties, doc) }
}

/// A node that sets the number of running copies of something. It emits a point for each change, also below batches.
const fn autoscale(
    method: &'static str,
    kind: &'static str,
    properties: &'static [Property],
    doc: &'static str,
) -> NodeSpec {
    node(method, kind, NONE, (Edge::Same, Edge::Stream), properties, doc)
}

const CLUSTER: Property = value("cluster", STRING, "name of the section of the configuration");
const REPLICAS: Property = value("replicas", LAMBDA, "how many copies are wanted");
const CURRENT_FIELD: Property = value("currentField", STRING, "field for the current number in replicas");
const MIN: Property = value("min", INT, "fewest copies");
const MAX: Property = value("max", INT, "most copies");
const INCREASE: Property = value("increaseCooldown", DURATION, "shortest time between increases");
const DECREASE: Property = value("decreaseCooldown", DURATION, "shortest time between decreases");

pub(super) const NODES: &[NodeSpec] = &[
    node(
        "log",
        "log",
        NONE,
        SAME,
        &[value("level", STRING, "DEBUG, INFO or ERROR"), value("prefix", STRING, "text in front")],
        "writes points to the server's log",
    ),
    node("httpOut", "http_out", FIELD, SAME, &[], "shows the last row of each group on the API"),
    node(
        "httpPost",
        "http_post",
        variadic(&[], Kind::String),
        SAME,
        &[
            adding("endpoint", fixed(STRING), "name of an [[httppost]] section"),
            adding("header", fixed(PAIR), "a header of the request"),
            value("codeField", STRING, "field for the status of the answer"),
            flag("captureResponse", "log the body of answers that are no success"),
            value("timeout", DURATION, "longest time of a request"),
        ],
        "posts points to a URL",
    ),
    NodeSpec {
        handlers: HANDLERS,
        ..node("alert", "alert", NONE, SAME, alert::PROPERTIES, "triggers events of levels")
    },
    sink(
        "influxDBOut",
        "influxdb_out",
        &[
            value("cluster", STRING, "name of the InfluxDB cluster"),
            value("database", STRING, "database to write to"),
            value("retentionPolicy", STRING, "retention policy to write to"),
            value("measurement", STRING, "measurement to write"),
            value("writeConsistency", STRING, "consistency of writes"),
            value("precision", STRING, "precision of times")
                .one_of(&["", "ns", "n", "us", "u", "ms", "s", "m", "h"], When::Start),
            value("buffer", INT, "points in a write"),
            value("flushInterval", DURATION, "longest time until a write").positive(When::Start),
            flag("create", "create the database"),
            adding("tag", fixed(PAIR), "a tag of every point"),
        ],
        "writes points to InfluxDB",
    ),
    sink(
        "kapacitorLoopback",
        "kapacitor_loopback",
        &[
            value("database", STRING, "database of the points"),
            value("retentionPolicy", STRING, "retention policy of the points"),
            value("measurement", STRING, "measurement of the points"),
            adding("tag", fixed(PAIR), "a tag of every point"),
        ],
        "writes points back into this server",
    ),
    autoscale(
        "k8sAutoscale",
        "k8s_autoscale",
        &[
            CLUSTER,
            REPLICAS,
            CURRENT_FIELD,
            MIN,
            MAX,
            INCREASE,
            DECREASE,
            value("namespace", STRING, "namespace of the resource"),
            value("kind", STRING, "kind of the resource").one_of(
                &["deployments", "replicasets", "replicationcontrollers", "replicationcontroller"],
                When::Define,
            ),
            value("resourceName", STRING, "name of the resource"),
            value("resourceNameTag", STRING, "tag that holds the name of the resource"),
            value("namespaceTag", STRING, "tag for the namespace in what is emitted"),
            value("kindTag", STRING, "tag for the kind in what is emitted"),
            value("resourceTag", STRING, "tag for the resource in what is emitted"),
        ],
        "scales a Kubernetes resource",
    ),
    autoscale(
        "swarmAutoscale",
        "swarm_autoscale",
        &[
            CLUSTER,
            REPLICAS,
            CURRENT_FIELD,
            MIN,
            MAX,
            INCREASE,
            DECREASE,
            value("serviceName", STRING, "name of the service"),
            value("serviceNameTag", STRING, "tag that holds the name of the service"),
            value("outputServiceNameTag", STRING, "tag for the service in what is emitted"),
        ],
        "scales a Docker Swarm service",
    ),
    autoscale(
        "ec2Autoscale",
        "ec2_autoscale",
        &[
            CLUSTER,
            REPLICAS,
            CURRENT_FIELD,
            MIN,
            MAX,
            INCREASE,
            DECREASE,
            value("groupName", STRING, "name of the auto scaling group"),
            value("groupNameTag", STRING, "tag that holds the name of the group"),
            value("outputGroupNameTag", STRING, "tag for the group in what is emitted"),
        ],
        "scales an EC2 auto scaling group",
    ),
];
