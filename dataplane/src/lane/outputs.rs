//! The effects of a lane's task: like those of a shard, but a lane waits for room.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use proto::{feed::FeedReport, message::AlertEvent, plan::LogLevel};
use tokio::sync::{mpsc, oneshot};

use super::{Alerts, Resumes};
use crate::{
    io::shards::Shards,
    logging,
    node::{
        HttpPostRequest, InfluxDbRequest, Outputs, Recorded,
        autoscale::{Asked, AutoscaleRequest},
        influxdb_out::InfluxDbAct,
        udf::{UdfAct, UdfRequest},
    },
    routing::Instance,
    shard::command::{
        Asker, AutoscaleOutput, Command, Effects, InfluxDbOutput, LoopbackBody, Post, ScaleAsker, UdfOutput,
    },
};

/// Posts of a lane that are on the way; at this many its data waits.
const POSTS_MAX: u64 = 4_096;

/// Bytes that have not been written to the functions of a lane; at this many its data waits.
const UDF_BYTES_MAX: usize = 8 << 20;

/// How often and how far apart a live batch task tries to hand over an event, or points that come back.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// Points that come back are handed over from so many bytes on, and after each batch.
const LOOPBACK_BYTES: usize = 64 << 10;

/// What has been asked for outside and is not done.
#[derive(Default)]
pub struct Waiting {
    posts: Cell<u64>,
    udf_bytes: Cell<usize>,
}

impl Waiting {
    pub fn answered(&self) {
        self.posts.set(self.posts.get().saturating_sub(1));
    }

    pub fn written(&self, bytes: usize) {
        self.udf_bytes.set(self.udf_bytes.get().saturating_sub(bytes));
    }

    /// Whether a post has no answer yet.
    pub fn any(&self) -> bool {
        self.posts.get() > 0
    }

    pub fn full(&self) -> bool {
        self.posts.get() >= POSTS_MAX || self.udf_bytes.get() >= UDF_BYTES_MAX
    }
}

/// Points of a live batch task on their way back into the server.
pub struct Returned {
    shards: Shards,
    shard: usize,
    body: RefCell<Option<LoopbackBody>>,
}

impl Returned {
    pub fn new(shards: Shards, instance: Instance) -> Returned {
        let shard = instance as usize % shards.len().max(1);
        Returned { shards, shard, body: RefCell::default() }
    }

    fn push(&self, database: &str, retention_policy: &str, line: &str) {
        let mut body = self.body.borrow_mut();
        match &mut *body {
            Some(last) if *last.database == *database && *last.retention_policy == *retention_policy => {
                last.lines.push_str(line);
            }
            _ => {
                let next = LoopbackBody {
                    database: database.into(),
                    retention_policy: retention_policy.into(),
                    lines: line.to_owned(),
                };
                if let Some(last) = body.replace(next) {
                    self.hand_over(last);
                }
            }
        }
        if body.as_ref().is_some_and(|body| body.lines.len() >= LOOPBACK_BYTES)
            && let Some(full) = body.take()
        {
            self.hand_over(full);
        }
    }

    /// Hands over what has been gathered.
    pub fn flush(&self) {
        let body = self.body.borrow_mut().take();
        if let Some(body) = body {
            self.hand_over(body);
        }
    }

    /// Waits for room, as a lane may.
    fn hand_over(&self, body: LoopbackBody) {
        let mut body = body;
        for _ in 0..TRIES {
            let (reply, answer) = oneshot::channel();
            self.shards.blocking_send(self.shard, Command::Loopback { body, reply });
            match answer.blocking_recv() {
                Ok(Err(back)) => body = back,
                // Taken, or the process is about to end.
                _ => return,
            }
            std::thread::sleep(PAUSE);
        }
        let lines = memchr::memchr_iter(b'\n', body.lines.as_bytes()).count();
        tracing::error!(service = "kapacitor", lines, "points that came back are lost: their queue stays full");
    }
}

/// The ways to the I/O thread.
#[derive(Clone)]
pub struct Queues {
    pub posts: mpsc::Sender<Post>,
    pub influxdb: mpsc::Sender<InfluxDbOutput>,
    pub autoscale: mpsc::Sender<AutoscaleOutput>,
    pub udf: mpsc::Sender<UdfOutput>,
}

impl Queues {
    pub fn of(effects: &Effects) -> Queues {
        let Effects { posts, influxdb, autoscale, udf, .. } = effects.clone();
        Queues { posts, influxdb, autoscale, udf }
    }
}

pub struct LaneOutputs {
    instance: Instance,
    alerts: Alerts,
    posts: mpsc::Sender<Post>,
    influxdb: mpsc::Sender<InfluxDbOutput>,
    autoscale: mpsc::Sender<AutoscaleOutput>,
    udf: mpsc::Sender<UdfOutput>,
    resumes: Resumes,
    waiting: Rc<Waiting>,
    /// `None` in a replay: what it sends back stays in it, and its task may not listen to that.
    returned: Option<Rc<Returned>>,
}

impl LaneOutputs {
    pub fn new(
        instance: Instance,
        alerts: Alerts,
        Queues { posts, influxdb, autoscale, udf }: Queues,
        resumes: Resumes,
        waiting: Rc<Waiting>,
        returned: Option<Rc<Returned>>,
    ) -> Self {
        LaneOutputs { instance, alerts, posts, influxdb, autoscale, udf, resumes, waiting, returned }
    }
}

impl Outputs for LaneOutputs {
    fn alert(&mut self, event: AlertEvent) {
        // Nobody to take it: the feed or the process is ending.
        let event = Box::new(event);
        match &self.alerts {
            Alerts::Feed(reports) => drop(reports.blocking_send(FeedReport::Alert(event))),
            Alerts::Link(alerts) => {
                // Bounded: whoever takes them may be waiting for this lane.
                let mut event = event;
                for _ in 0..TRIES {
                    match alerts.try_send(event) {
                        Err(mpsc::error::TrySendError::Full(back)) => event = back,
                        _ => return,
                    }
                    std::thread::sleep(PAUSE);
                }
                tracing::error!(
                    service = "alert",
                    task = event.task,
                    "an event is lost: the queue of alerts stays full"
                );
            }
        }
    }

    fn http_post(&mut self, request: HttpPostRequest) -> bool {
        let asker = Asker::Lane(self.resumes.clone());
        let post = Post { asker, instance: self.instance, request: Box::new(request) };
        let taken = self.posts.blocking_send(post).is_ok();
        if taken {
            self.waiting.posts.set(self.waiting.posts.get() + 1);
        }
        taken
    }

    fn influxdb(&mut self, request: InfluxDbRequest) -> bool {
        // Only a write is answered.
        let answered = matches!(request.act, InfluxDbAct::Write { .. });
        let asker = Asker::Lane(self.resumes.clone());
        let output = InfluxDbOutput { asker, instance: self.instance, request: Box::new(request) };
        let taken = self.influxdb.blocking_send(output).is_ok();
        if taken && answered {
            self.waiting.posts.set(self.waiting.posts.get() + 1);
        }
        taken
    }

    fn autoscale(&mut self, request: AutoscaleRequest) -> Asked {
        let (reply, answer) = oneshot::channel();
        let output = AutoscaleOutput { asker: ScaleAsker::Lane(reply), request: Box::new(request) };
        if self.autoscale.blocking_send(output).is_err() {
            return Asked::Refused;
        }
        // Gone: the process is about to end.
        answer.blocking_recv().map_or(Asked::Refused, Asked::Answered)
    }

    fn udf(&mut self, request: UdfRequest) -> bool {
        if let UdfAct::Data(data) = &request.act {
            self.waiting.udf_bytes.set(self.waiting.udf_bytes.get() + data.len());
        }
        let asker = Asker::Lane(self.resumes.clone());
        let output = UdfOutput { asker, instance: self.instance, request: Box::new(request) };
        self.udf.blocking_send(output).is_ok()
    }

    fn loopback(&mut self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool {
        if let Some(returned) = &self.returned {
            returned.push(database, retention_policy, line);
        }
        true
    }

    fn record(&mut self, _recorded: Recorded) -> bool {
        false
    }

    fn log(&mut self, level: LogLevel, task: &str, node: &str, message: &str, pairs: &str) {
        let live = self.returned.is_some();
        logging::of_node(level, live.then_some("main"), task, node, message, pairs);
    }
}
