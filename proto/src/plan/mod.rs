//! The plan of a task: a typed graph of nodes that the data plane turns into operators.
//!
//! A plan is self-contained: it names no script, no store and no configuration, so the data plane could run it from a
//! file. Nodes stand in the order of their ids, and every parent stands before its children.

mod alert;
mod autoscale;

use serde::{Deserialize, Serialize};

pub use alert::{Alert, AlertLevel, ServerInfo, StateChangesOnly, TopicLevel};
pub use autoscale::{Autoscale, Ec2Access, KubernetesAccess, ResourceName, Scaler, SwarmAccess};

use crate::{expr::Expr, value::Value};

/// Version of everything in this module; both sides refuse another one.
pub const PLAN_VERSION: u32 = 2;

/// A compiled task. All durations are nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub version: u32,
    /// Id of the task.
    pub task: String,
    pub edge: EdgeType,
    pub dbrps: Vec<Dbrp>,
    /// In the order of ids; `parents` are indices into this list.
    pub nodes: Vec<Node>,
    /// What alert nodes find in their topics when they start.
    pub levels: Vec<TopicLevel>,
}

/// A database and a retention policy that a task listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dbrp {
    pub db: String,
    pub rp: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EdgeType {
    Stream,
    Batch,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Kind and number, as DOT and statistics show it: `window2`.
    pub name: String,
    /// Indices of the parents in [`Plan::nodes`], in the order in which the node counts them.
    pub parents: Vec<usize>,
    /// What the node hands to its children.
    pub provides: EdgeType,
    /// `.quiet()`: errors are counted, not logged.
    pub quiet: bool,
    pub kind: NodeKind,
}

/// What a node does; one variant a node of the language (reference: nodes-stream, nodes-alert-join-io).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NodeKind {
    Stream,
    /// The source of a batch task.
    Batch,
    /// A query of a batch task: where its batches enter. Control asks InfluxDB.
    Query,
    From(From),
    Where {
        predicate: Expr,
    },
    GroupBy(Dimensions),
    Eval(Eval),
    Window(Window),
    InfluxQl(InfluxQl),
    Default {
        fields: Vec<(String, Value)>,
        tags: Vec<(String, String)>,
    },
    Delete {
        fields: Vec<String>,
        tags: Vec<String>,
    },
    Sample(Sample),
    Shift {
        shift: i64,
    },
    Derivative {
        field: String,
        r#as: String,
        unit: i64,
        non_negative: bool,
    },
    ChangeDetect {
        fields: Vec<String>,
    },
    StateDuration {
        predicate: Expr,
        r#as: String,
        unit: i64,
    },
    StateCount {
        predicate: Expr,
        r#as: String,
    },
    Flatten(Flatten),
    Combine(Combine),
    Log {
        level: LogLevel,
        prefix: String,
    },
    HttpOut {
        endpoint: String,
    },
    HttpPost(HttpPost),
    Alert(Box<Alert>),
    Join(Join),
    /// An empty name keeps the names. Parents stand as the node counts them: arguments first, the receiver last.
    Union {
        rename: String,
    },
    Barrier(Barrier),
    Stats(Stats),
    Noop,
    Trickle,
    Loopback(Loopback),
    InfluxDbOut(Box<InfluxDbOut>),
    Autoscale(Box<Autoscale>),
    Sideload(Sideload),
    Udf(Box<Udf>),
    /// Writes every point to the file of a stream recording; control makes no such node from a script.
    Record(Record),
}

/// reference: batch-and-replay §11.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The first point later than this ends the recording. Nanoseconds since 1970.
    pub stop: i64,
}

/// reference: nodes-stream §4. Empty strings match anything; 0 switches truncate and round off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct From {
    pub database: String,
    pub retention_policy: String,
    pub measurement: String,
    /// All `.where` lambdas, joined by AND in order.
    pub filter: Option<Expr>,
    pub truncate: i64,
    pub round: i64,
    pub dimensions: Dimensions,
}

/// How a node groups (reference: nodes-stream §1, §6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimensions {
    /// The measurement is part of the group.
    pub by_measurement: bool,
    pub tags: DimensionTags,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DimensionTags {
    /// Sorted; a name may stand twice (it is not deduplicated).
    Named(Vec<String>),
    /// `*`: all tags of each point but these.
    All { exclude: Vec<String> },
}

impl Default for DimensionTags {
    fn default() -> Self {
        DimensionTags::Named(Vec::new())
    }
}

/// reference: nodes-stream §7.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eval {
    /// Name and lambda, in order of evaluation.
    pub expressions: Vec<(String, Expr)>,
    /// Results that become tags.
    pub tags: Vec<String>,
    pub keep: Keep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// Only the results.
    Results,
    /// All fields and results.
    All,
    /// Exactly these.
    Listed(Vec<String>),
}

/// reference: nodes-stream §9.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// `every` 0 emits at every point.
    Time {
        period: i64,
        every: i64,
        align: bool,
        fill_period: bool,
    },
    Count {
        period: i64,
        every: i64,
        fill_period: bool,
    },
}

/// reference: nodes-stream §10.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfluxQl {
    pub function: InfluxQlFunction,
    pub field: String,
    pub r#as: String,
    pub use_point_times: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InfluxQlFunction {
    Count,
    Sum,
    Mean,
    Median,
    Mode,
    Spread,
    Stddev,
    First,
    Last,
    Min,
    Max,
    /// Bits of the float percentile.
    Percentile(Percent),
    Distinct,
    Top {
        count: i64,
        fields_and_tags: Vec<String>,
    },
    Bottom {
        count: i64,
        fields_and_tags: Vec<String>,
    },
    HoltWinters {
        forecasts: i64,
        season: i64,
        interval: i64,
        with_fit: bool,
    },
    Elapsed {
        unit: i64,
    },
    Difference,
    MovingAverage {
        window: i64,
    },
    CumulativeSum,
}

/// A percentile, comparable by its bits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Percent(pub f64);

impl PartialEq for Percent {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Percent {}

/// reference: nodes-stream §11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sample {
    Count(i64),
    Duration(i64),
}

/// reference: nodes-stream §13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten {
    pub on: Vec<String>,
    pub delimiter: String,
    pub tolerance: i64,
    pub drop_original_field_name: bool,
}

/// reference: nodes-stream §13.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Combine {
    /// Prefix and lambda, in order.
    pub expressions: Vec<(String, Expr)>,
    pub delimiter: String,
    pub tolerance: i64,
    pub max: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Error,
}

/// reference: nodes-stream §15. The endpoint of the configuration is already resolved into url, headers and template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPost {
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// User and password.
    pub basic_auth: Option<(String, String)>,
    pub row_template: Option<String>,
    pub code_field: Option<String>,
    pub capture_response: bool,
    /// 0: none.
    pub timeout: i64,
}

/// reference: nodes-alert-join-io §1. One prefix a parent, in the order of parents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Join {
    pub prefixes: Vec<String>,
    pub delimiter: String,
    pub on: Vec<String>,
    /// Empty: the name of the first parent that is present.
    pub stream_name: String,
    pub tolerance: i64,
    /// What stands for the fields of a missing parent; without it sets that miss one are thrown away.
    pub fill: Option<Value>,
    /// A deleted group resets the marks of all parents.
    pub delete_all: bool,
}

/// reference: nodes-alert-join-io §6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barrier {
    pub clock: BarrierClock,
    /// A barrier deletes its group.
    pub delete: bool,
}

/// When a barrier comes; positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BarrierClock {
    /// So long after the last message.
    Idle(i64),
    /// Every so often.
    Period(i64),
}

/// reference: nodes-alert-join-io §6.2. A source of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Index of the node whose first output is counted; it stands before.
    pub watched: usize,
    /// Positive.
    pub interval: i64,
    pub align: bool,
}

/// reference: nodes-alert-join-io §7.2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loopback {
    pub database: String,
    pub retention_policy: String,
    /// Empty: the name of the point. Batches always keep theirs.
    pub measurement: String,
    pub tags: Vec<(String, String)>,
}

/// reference: nodes-alert-join-io §8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Udf {
    pub function: UdfFunction,
    /// In the order of their calls.
    pub options: Vec<(String, Vec<Value>)>,
    /// How often the function is asked for a snapshot; 0: never.
    pub snapshot_interval: i64,
}

/// A function of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdfFunction {
    pub program: UdfProgram,
    /// How long it may say nothing.
    pub timeout: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UdfProgram {
    /// A process a node, spoken to over its standard input and output.
    Process { program: String, arguments: Vec<String>, environment: Vec<(String, String)> },
    /// A connection a node to a unix socket.
    Socket { path: String },
}

/// reference: nodes-alert-join-io §7.3. The files are already read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sideload {
    /// Templates over the tags; the first file that has a key counts.
    pub order: Vec<String>,
    pub files: Vec<SideloadFile>,
    /// Names with their defaults.
    pub fields: Vec<(String, Value)>,
    pub tags: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SideloadFile {
    /// Below the folder of the source.
    pub path: String,
    pub values: Vec<(String, SideloadValue)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SideloadValue {
    Text(String),
    Number(f64),
    Bool(bool),
    /// The default, whatever later files say.
    Null,
    /// A list or an object, which no default can be.
    Other,
}

/// reference: nodes-alert-join-io §7.1. The cluster of the configuration is already resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfluxDbOut {
    pub target: InfluxDbTarget,
    /// Empty: those of the point.
    pub database: String,
    pub retention_policy: String,
    pub measurement: String,
    pub write_consistency: String,
    /// As the query of a write names it; empty: nanoseconds.
    pub precision: String,
    /// Points in a write; 0 writes each.
    pub buffer: i64,
    /// Positive.
    pub flush_interval: i64,
    pub create: bool,
    pub tags: Vec<(String, String)>,
}

/// Where an InfluxDB is and how it lets us in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfluxDbTarget {
    /// Tried in turn.
    pub urls: Vec<String>,
    pub username: String,
    pub password: String,
    /// Of InfluxDB 2; empty: none.
    pub token: String,
    /// Files; empty: none.
    pub ssl_ca: String,
    pub ssl_cert: String,
    pub ssl_key: String,
    pub insecure_skip_verify: bool,
    /// 0: none.
    pub timeout: i64,
    /// Writes are compressed.
    pub gzip: bool,
}

impl Plan {
    /// Checks what operators rely on: the version, and that parents stand before their children.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.version != PLAN_VERSION {
            return Err(PlanError::Version { found: self.version });
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(&parent) = node.parents.iter().find(|&&parent| parent >= index) {
                return Err(PlanError::Order { node: node.name.clone(), parent });
            }
            if let NodeKind::Stats(Stats { watched, .. }) = node.kind
                && watched >= index
            {
                return Err(PlanError::Order { node: node.name.clone(), parent: watched });
            }
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan has version {found}, this data plane runs version {PLAN_VERSION}")]
    Version { found: u32 },
    #[error("node {node} names parent {parent}, which does not stand before it")]
    Order { node: String, parent: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(parents: Vec<usize>) -> Node {
        Node { name: "n".into(), parents, provides: EdgeType::Stream, quiet: false, kind: NodeKind::Stream }
    }

    #[test]
    fn a_plan_whose_parent_stands_behind_its_child_is_refused() {
        let plan = |nodes| Plan {
            version: PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![],
            nodes,
            levels: vec![],
        };
        assert_eq!(plan(vec![node(vec![]), node(vec![0])]).check(), Ok(()));
        assert_eq!(plan(vec![node(vec![0])]).check(), Err(PlanError::Order { node: "n".into(), parent: 0 }));
        let old = Plan { version: 0, ..plan(vec![]) };
        assert_eq!(old.check(), Err(PlanError::Version { found: 0 }));
    }
}
