//! The messages of the link, both directions.
//!
//! The control plane connects and says [`Hello`] first; the data plane answers with its own. After that each
//! [`Command`] is answered by one [`Report::Reply`] with the same request number, in any order, and the data plane
//! sends the other reports unasked.

use serde::{Deserialize, Serialize};

use crate::{
    limits::FRAME_BYTES_MAX,
    plan::{Dbrp, Plan, SideloadFile},
    profile::{Profile, ProfileKind},
    value::{Level, Value},
};

/// Version of this module; a peer with another one is replaced (control side) or drained (data plane side).
pub const LINK_VERSION: u32 = 7;

/// Number of a request, unique on one connection.
pub type Request = u64;

/// First message of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub link_version: u32,
    /// Version of the product, as `farad version` prints it.
    pub version: String,
    pub pid: u32,
    /// Data plane only: what runs, so that a control plane that took over leaves unchanged tasks alone.
    pub tasks: Vec<RunningTask>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    pub task: String,
    /// As given in [`Command::StartTask`].
    pub fingerprint: u64,
    /// Why it stopped, if it failed while nobody was connected.
    pub error: Option<String>,
}

/// What the data plane needs to know of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Retention policy of writes that name none (reference: http-api §5).
    pub default_retention_policy: String,
    /// `X-Kapacitor-Version` of answers.
    pub version: String,
    /// Writes need credentials, which the control plane is asked about.
    pub auth_enabled: bool,
    /// Another one after each change of the users: what was said of credentials before is void.
    pub users_generation: u64,
    /// Least level of lines in the log: DEBUG, INFO or ERROR. Empty: as the process was started.
    pub log_level: String,
    /// Somebody follows the log: every line is reported, whatever the level.
    pub follow_log: bool,
    /// Inputs beside the public port, opened once.
    pub listeners: Vec<Listener>,
    /// Most groups of one task, and most bytes of their state; 0: no limit. For tasks that start from now on.
    pub task_groups_max: u64,
    pub task_bytes_max: u64,
    /// Writes are logged, a limited number a second.
    pub log_writes: bool,
    /// What writes bring is logged at level debug.
    pub trace_writes: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    Configure {
        request: Request,
        settings: Settings,
    },
    /// Starts a task with fresh state. Answered when its operators stand on all shards and points are routed to them.
    StartTask {
        request: Request,
        /// Tells two starts of one task apart.
        fingerprint: u64,
        plan: Plan,
    },
    /// Answered when every point accepted before has run through the task and its last output is out.
    StopTask {
        request: Request,
        task: String,
    },
    /// The rows that an httpOut node holds.
    HttpOut {
        request: Request,
        task: String,
        endpoint: String,
    },
    /// Of one task alone, or of everything.
    Statistics {
        request: Request,
        task: Option<String>,
    },
    /// Taps the stream of points into a file. Answered when points are routed to it; [`Report::Recorded`] tells the end.
    Record {
        request: Request,
        recording: Box<StreamRecording>,
    },
    /// Ends a recording without keeping its file. Answered when nothing writes any more.
    StopRecording {
        request: Request,
        id: String,
    },
    /// Opens an input beside the public port; one that is open already stays as it is.
    Listen {
        request: Request,
        listener: Listener,
    },
    /// Accept client connections from now on: the tasks run that were wanted at the start, and nobody stands in any more.
    Accept {
        request: Request,
    },
    /// Lines of the control plane's own, taken as if somebody had written them. Answered when a shard has them.
    Write {
        request: Request,
        database: String,
        retention_policy: String,
        lines: String,
    },
    /// The files of a sideload node, read anew. Answered when the shards have them.
    Sideload {
        request: Request,
        task: String,
        node: String,
        files: Vec<SideloadFile>,
    },
    /// Looks where the data plane spends its time or memory. Others are answered meanwhile.
    Profile {
        request: Request,
        kind: ProfileKind,
    },
    /// Stop accepting, finish bodies, stop all tasks; answered when done. The data plane exits afterwards.
    Drain {
        request: Request,
    },
}

impl Command {
    pub fn request(&self) -> Request {
        match self {
            Command::Configure { request, .. }
            | Command::StartTask { request, .. }
            | Command::StopTask { request, .. }
            | Command::HttpOut { request, .. }
            | Command::Listen { request, .. }
            | Command::Write { request, .. }
            | Command::Sideload { request, .. }
            | Command::Profile { request, .. }
            | Command::Statistics { request, .. }
            | Command::Accept { request }
            | Command::Record { request, .. }
            | Command::StopRecording { request, .. }
            | Command::Drain { request } => *request,
        }
    }
}

/// An input of line protocol beside the public port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub endpoint: Endpoint,
    pub database: String,
    pub retention_policy: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// A datagram is a body. `buffer_bytes` of the kernel's buffer, 0: the system's default.
    Udp {
        address: String,
        buffer_bytes: u64,
    },
    /// Lines, one after the other.
    Tcp {
        address: String,
    },
    Unix {
        path: String,
    },
}

impl Endpoint {
    pub fn protocol(&self) -> &'static str {
        match self {
            Endpoint::Udp { .. } => "UDP",
            Endpoint::Tcp { .. } => "TCP",
            Endpoint::Unix { .. } => "UNIX",
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Endpoint::Udp { address: place, .. } | Endpoint::Tcp { address: place } | Endpoint::Unix { path: place }) =
            self;
        write!(f, "{} {place}", self.protocol())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    Reply {
        request: Request,
        result: Result<Reply, Refusal>,
    },
    /// A task stopped because a node of it failed.
    TaskFailed {
        task: String,
        fingerprint: u64,
        error: String,
    },
    Alert(Box<AlertEvent>),
    /// A line of the data plane's log, for those who follow it.
    Log(String),
    /// A recording ended: the bytes of its file, which is complete and in place, or why there is none.
    Recorded {
        id: String,
        result: Result<u64, String>,
    },
}

/// A tap of the stream of points (reference: batch-and-replay §11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecording {
    pub id: String,
    pub dbrps: Vec<Dbrp>,
    /// None: all of them.
    pub measurements: Vec<String>,
    /// The first point later than this ends it. Nanoseconds since 1970.
    pub stop: i64,
    /// The file when it is complete; while it is written its name ends in `.part`.
    pub file: String,
    /// Largest file.
    pub bytes_max: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Done,
    /// JSON rows in order of first appearance of their groups, comma-separated, without brackets; `None` before any.
    HttpOut(Option<String>),
    Statistics(Box<Statistics>),
    /// Where a listener really listens.
    Listening(String),
    Profile(Box<Profile>),
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("no task {0} is running")]
    UnknownTask(String),
    #[error("task {task} has no httpOut endpoint {endpoint}")]
    UnknownEndpoint { task: String, endpoint: String },
    /// The task cannot start: the text that the API shows.
    #[error("{0}")]
    CannotStart(String),
    /// A row holds a value that JSON cannot (NaN, infinities).
    #[error("{0}")]
    NotJson(String),
    #[error("no recording {0} is running")]
    UnknownRecording(String),
    #[error("cannot listen on {0}")]
    CannotListen(String),
    /// What was to cross the link does not fit into a frame.
    #[error("{0} bytes are more than the link between the two processes carries at once ({FRAME_BYTES_MAX})")]
    TooLarge(usize),
    #[error("{0}")]
    NoProfile(String),
    /// No answer of this kind is given there.
    #[error("the command is not carried out here")]
    Elsewhere,
    #[error("the data plane is shutting down")]
    Draining,
}

/// What an alert node sends to its topics (reference: nodes-alert-join-io §2.3, §4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    pub task: String,
    pub node: String,
    /// Topics in the order in which they get the event: the anonymous one first.
    pub topics: Vec<String>,
    pub category: Option<String>,
    pub id: String,
    pub message: String,
    pub details: String,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub level: Level,
    pub recoverable: bool,
    pub name: String,
    /// Text of the group as templates show it.
    pub group: String,
    pub tags: Vec<(String, String)>,
    pub fields: Vec<(String, Value)>,
    /// `{"series":[…]}`, rendered once for all handlers.
    pub data: String,
}

/// Counters since the start of the data plane (tasks: since the start of the task), summed over shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    pub ingress: Vec<IngressStatistics>,
    pub tasks: Vec<TaskStatistics>,
    /// Named counters of the process: connections, bodies, bytes, refusals, everything dropped and why.
    pub counters: Vec<(String, u64)>,
    /// The part of each shard in them.
    pub per_shard: Vec<Vec<(String, u64)>>,
    /// How long writes took on each shard, from the first byte of a body to its answer.
    pub writes: Vec<Times>,
    /// Bounds of the data plane, by name.
    pub limits: Vec<(String, u64)>,
    pub shards: u32,
}

/// How long something took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Of the times up to each of [`TIME_BOUNDS`] how many there were.
    pub up_to: Vec<u64>,
    pub count: u64,
    pub seconds: f64,
}

/// Seconds.
pub const TIME_BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressStatistics {
    pub database: String,
    pub retention_policy: String,
    pub measurement: String,
    pub points: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskStatistics {
    pub task: String,
    pub fingerprint: u64,
    /// Points (batches) a second that the source collected in the last full second.
    pub throughput: f64,
    /// Groups held, over all shards.
    pub groups: u64,
    /// Bytes of their state, about.
    pub bytes: u64,
    /// Messages that were dropped because their group would have been one too many.
    pub groups_refused: u64,
    /// In the order of [`Plan::nodes`].
    pub nodes: Vec<NodeStatistics>,
}

/// reference: nodes-stream §2, http-api §12.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatistics {
    pub name: String,
    pub collected: u64,
    pub emitted: u64,
    pub errors: u64,
    pub working_cardinality: u64,
    /// Nanoseconds; 0 until sampled.
    pub avg_exec_time_ns: u64,
    /// Counters of this kind of node, such as `alerts_triggered`.
    pub extra: Vec<(String, u64)>,
    /// What each child took, in the order of children: index in [`Plan::nodes`] and count.
    pub children: Vec<(usize, u64)>,
}
