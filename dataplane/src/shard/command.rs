//! What the I/O thread asks of a shard, and what a shard tells the I/O thread.

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use proto::{
    Plan,
    message::{AlertEvent, IngressStatistics, NodeStatistics, Times},
    plan::SideloadFile,
};
use tokio::sync::{mpsc, oneshot};

use super::inputs::Input;
use crate::{
    gate::Gate,
    group::Account,
    io::recording::Taps,
    lane::Resumes,
    node::{
        HttpPostRequest, InfluxDbRequest,
        alert::Inhibitors,
        autoscale::{AutoscaleRequest, Scale},
        udf::{UdfEvent, UdfRequest},
    },
    routing::{Instance, Routing, TaskRoute},
};

/// A client connection on its way between threads, with what was read of it and not yet used.
#[derive(Debug)]
pub struct Handover {
    pub stream: std::net::TcpStream,
    pub peer: SocketAddr,
    pub buffered: BytesMut,
    pub seat: Seat,
}

pub enum Command {
    Connection(Handover),
    /// A connection that sends lines without HTTP.
    Lines {
        stream: OwnedFd,
        input: Arc<Input>,
    },
    /// A non-blocking socket that receives datagrams.
    Datagrams {
        socket: OwnedFd,
        input: Arc<Input>,
    },
    /// Builds the operators of a task; points come with the next [`Command::Route`].
    Start {
        instance: Instance,
        plan: Arc<Plan>,
        route: Arc<TaskRoute>,
        /// First epoch whose points the task sees.
        epoch: u64,
        /// What the task holds, over all shards.
        account: Arc<Account>,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Bodies whose first byte comes from now on are routed by this table.
    Route {
        routing: Arc<Routing>,
        reply: oneshot::Sender<()>,
    },
    /// Ends a task: at once if it was never routed, else once every receiver said that it routes nothing to it any more.
    Stop {
        instance: Instance,
        routed: bool,
        reply: oneshot::Sender<Vec<NodeStatistics>>,
    },
    HttpOut {
        instance: Instance,
        endpoint: String,
        /// `None`: no such endpoint.
        reply: oneshot::Sender<Option<HttpOutPart>>,
    },
    /// Of one task alone, or of everything.
    Statistics {
        of: Option<Instance>,
        reply: oneshot::Sender<ShardStatistics>,
    },
    /// The answer that an operator of a task waits for.
    Resume {
        instance: Instance,
        node: String,
        ticket: u64,
        status: u16,
    },
    /// The answer about a resource that an autoscale node waits for.
    Scaled {
        instance: Instance,
        node: String,
        ticket: u64,
        scale: Scale,
    },
    /// What became of the function that an operator of a task speaks with.
    Udf {
        instance: Instance,
        node: String,
        event: UdfEvent,
    },
    /// Lines that come back from a batch task; answered whether there was room.
    Loopback {
        body: LoopbackBody,
        reply: oneshot::Sender<Result<(), LoopbackBody>>,
    },
    /// Lines that come in without a connection.
    Write {
        database: String,
        retention_policy: String,
        lines: String,
    },
    /// The files of a sideload node, read anew.
    Sideload {
        instance: Instance,
        node: String,
        files: Arc<[SideloadFile]>,
    },
    /// Closes connections that are between requests, and every other one after its answer; answered when none is left.
    Drain {
        reply: oneshot::Sender<()>,
    },
}

/// Line protocol on its way back into the server.
#[derive(Debug)]
pub struct LoopbackBody {
    pub database: Arc<str>,
    pub retention_policy: Arc<str>,
    pub lines: String,
}

/// Rows of an httpOut node on one shard: place in the order of first appearance, JSON or the reason why there is none.
pub type HttpOutPart = Vec<(u64, Result<String, String>)>;

#[derive(Debug, Default)]
pub struct ShardStatistics {
    pub tasks: Vec<(Instance, f64, Vec<NodeStatistics>)>,
    pub ingress: Vec<IngressStatistics>,
    pub counters: Vec<(&'static str, u64)>,
    pub writes: Times,
}

/// What a shard sends to the I/O thread.
#[derive(Clone)]
pub struct Effects {
    pub alerts: mpsc::Sender<Box<AlertEvent>>,
    pub posts: mpsc::Sender<Post>,
    pub influxdb: mpsc::Sender<InfluxDbOutput>,
    pub autoscale: mpsc::Sender<AutoscaleOutput>,
    pub udf: mpsc::Sender<UdfOutput>,
    /// One a task and shard at most, so it needs no bound.
    pub failures: mpsc::UnboundedSender<Failure>,
    /// Connections whose next request is not a write, or one that the gate does not let in.
    pub relays: mpsc::Sender<Handover>,
    pub gate: Arc<Gate>,
    /// What alerts silence, shared by all tasks and shards.
    pub inhibitors: Arc<Inhibitors>,
    /// Text of stream recordings.
    pub taps: Taps,
    /// Writes for the log.
    pub writes: mpsc::Sender<WriteLog>,
}

/// What the log says of a write.
#[derive(Debug)]
pub enum WriteLog {
    /// `begun` is in nanoseconds since 1970.
    Answered {
        head: Box<[u8]>,
        peer: Option<SocketAddr>,
        begun: i64,
        took: Duration,
        status: u16,
        request_id: Option<uuid::Uuid>,
    },
    /// What it brought: the first of so many bytes.
    Body { text: Vec<u8>, bytes: usize },
    /// There were so many more than may be logged.
    LeftOut(u64),
}

/// Places for client connections, shared by all threads.
#[derive(Clone, Debug, Default)]
pub struct Seats(Arc<AtomicU64>);

/// One client's place, for as long as it is held.
#[derive(Debug)]
pub struct Seat(Arc<AtomicU64>);

impl Seats {
    /// A place, unless `most` are taken.
    pub fn take(&self, most: u64) -> Option<Seat> {
        // One thread takes them, so that nobody comes in between.
        if self.taken() >= most {
            return None;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Seat(self.0.clone()))
    }

    pub fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One POST of an httpPost node, and where its answer goes.
#[derive(Debug)]
pub struct Post {
    pub asker: Asker,
    pub instance: Instance,
    pub request: Box<HttpPostRequest>,
}

/// What an influxDBOut node asks for, and where the answer goes.
#[derive(Debug)]
pub struct InfluxDbOutput {
    pub asker: Asker,
    pub instance: Instance,
    pub request: Box<InfluxDbRequest>,
}

/// What an autoscale node asks for, and where the answer goes.
#[derive(Debug)]
pub struct AutoscaleOutput {
    pub asker: ScaleAsker,
    pub request: Box<AutoscaleRequest>,
}

/// Who waits for the answer of what is scaled.
#[derive(Debug)]
pub enum ScaleAsker {
    Shard {
        shard: usize,
        instance: Instance,
    },
    /// The thread of a lane does nothing until it comes.
    Lane(oneshot::Sender<Scale>),
}

/// What a UDF node asks for, and where the function's answers go.
#[derive(Debug)]
pub struct UdfOutput {
    pub asker: Asker,
    pub instance: Instance,
    pub request: Box<UdfRequest>,
}

/// Where the task runs that waits for an answer.
#[derive(Clone, Debug)]
pub enum Asker {
    Shard(usize),
    Lane(Resumes),
}

/// A node failed; the shard runs the task no more.
#[derive(Debug)]
pub struct Failure {
    pub instance: Instance,
    pub error: String,
}
