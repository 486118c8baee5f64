//! A lane: a thread of its own for one task instance that is fed by control, not by writers.
//!
//! ```text
//! feed ── text, in order ──► lane thread: lines or JSON ──► points or batches ──► the task's operators
//! ```
//!
//! Replays and batch tasks run here, apart from the shards: whatever they are fed, taking points does not slow down, and
//! a replay of any length is one sequence, exactly as recorded. A lane waits where a shard must not: for room in the
//! queues of alerts and posts. What waits for a lane is bounded by permits for data; everything else is small and asked
//! for one by one.

mod batch;
mod batch_line;
mod outputs;
mod stream;

use std::{collections::VecDeque, rc::Rc, sync::Arc, thread};

use bytes::Bytes;
use proto::{
    Plan,
    feed::{FeedFailure, FeedReport, Piece},
    message::{AlertEvent, NodeStatistics},
    plan::{EdgeType, SideloadFile},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    group::Account,
    io::shards::Shards,
    node::{alert::Inhibitors, udf::UdfEvent},
    routing::Instance,
    scheduling,
    shard::command::HttpOutPart,
};
use outputs::LaneOutputs;
pub use outputs::Queues;

/// Pieces of data that wait for a lane. Full: the feed is not read.
const PIECES: usize = 4;

/// What a lane is asked to do, in order.
pub enum Work {
    Data {
        piece: Piece,
        source: u16,
        bytes: Bytes,
        permit: OwnedSemaphorePermit,
    },
    /// A source has no more.
    End {
        source: u16,
        skip_rest: bool,
        reply: oneshot::Sender<Result<(), FeedFailure>>,
    },
    Clock(i64),
    HttpOut {
        endpoint: String,
        reply: oneshot::Sender<Option<HttpOutPart>>,
    },
    Statistics {
        /// Messages a second, and the counters of the nodes.
        reply: oneshot::Sender<(f64, Vec<NodeStatistics>)>,
    },
    Resume {
        node: String,
        ticket: u64,
        status: u16,
    },
    /// What became of the function that an operator speaks with.
    Udf {
        node: String,
        event: UdfEvent,
    },
    /// So many bytes have been written to functions.
    Written(usize),
    /// A query of this source failed.
    Failed {
        source: u16,
    },
    /// The files of a sideload node, read anew.
    Sideload {
        node: String,
        files: Arc<[SideloadFile]>,
    },
    /// All handles are gone.
    Stop,
    /// Drain: everything that the task still owes is out when the answer comes.
    Finish {
        reply: oneshot::Sender<Result<Vec<NodeStatistics>, FeedFailure>>,
    },
}

/// Answers to what a lane's task asked for.
#[derive(Clone, Debug)]
pub struct Resumes {
    work: mpsc::UnboundedSender<Work>,
    replay: bool,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("work of a lane")
    }
}

impl Resumes {
    pub fn send(&self, node: String, ticket: u64, status: u16) {
        let _ = self.work.send(Work::Resume { node, ticket, status });
    }

    pub fn udf(&self, node: String, event: UdfEvent) {
        let _ = self.work.send(Work::Udf { node, event });
    }

    /// So many bytes of what waits for functions have been written.
    pub fn written(&self, bytes: usize) {
        let _ = self.work.send(Work::Written(bytes));
    }

    pub fn is_replay(&self) -> bool {
        self.replay
    }
}

/// How the instance of a lane treats its data.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Times are moved so that the first point of each source falls here.
    pub first_point_at: Option<i64>,
    pub skip_empty_batches: bool,
    /// The clock follows the data; otherwise it is the wall clock.
    pub follows_data: bool,
}

/// Where alert events of a lane go.
#[derive(Clone)]
pub enum Alerts {
    /// With the feed, so that they stand before the report of its end.
    Feed(mpsc::Sender<FeedReport>),
    Link(mpsc::Sender<Box<AlertEvent>>),
}

/// What a lane starts with.
pub struct Start {
    pub instance: Instance,
    pub plan: Arc<Plan>,
    pub manner: Manner,
    pub alerts: Alerts,
    pub queues: Queues,
    /// Where points go that come back; those of a replay stay in it.
    pub loopback: Option<Shards>,
    pub inhibitors: Arc<Inhibitors>,
    pub account: Arc<Account>,
    /// Told once, when a node fails.
    pub failed: Box<dyn FnOnce(FeedFailure) + Send>,
}

/// Handle of a lane; its thread ends when all handles are gone.
#[derive(Clone)]
pub struct Lane {
    work: Arc<Sender>,
    room: Arc<Semaphore>,
}

/// The way to a lane. The lane itself holds another, for the answers to its posts, so an end must be said.
struct Sender(mpsc::UnboundedSender<Work>);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.send(Work::Stop);
    }
}

impl Lane {
    /// Starts a thread; answers whether the operators stand.
    pub async fn start(start: Start) -> Result<Lane, String> {
        let (work, received) = mpsc::unbounded_channel();
        let (reply, started) = oneshot::channel();
        let name = format!("lane-{}", start.instance);
        let resumes = Resumes { work: work.clone(), replay: start.manner.follows_data };
        let work = Arc::new(Sender(work));
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let _ = scheduling::prefer_throughput();
            run(start, received, resumes, reply)
        });
        spawned.map_err(|error| format!("no thread for the task: {error}"))?;
        started.await.map_err(|_| "the thread of the task ended".to_owned())??;
        Ok(Lane { work, room: Arc::new(Semaphore::new(PIECES)) })
    }

    /// Hands over a piece of data; waits for room.
    pub async fn data(&self, piece: Piece, source: u16, bytes: Bytes) {
        if let Ok(permit) = self.room.clone().acquire_owned().await {
            let _ = self.work.0.send(Work::Data { piece, source, bytes, permit });
        }
    }

    /// A query of this source failed.
    pub fn failed(&self, source: u16) {
        let _ = self.work.0.send(Work::Failed { source });
    }

    pub fn clock(&self, now: i64) {
        let _ = self.work.0.send(Work::Clock(now));
    }

    pub fn sideload(&self, node: String, files: Arc<[SideloadFile]>) {
        let _ = self.work.0.send(Work::Sideload { node, files });
    }

    /// `skip_rest` drops a piece of a line that a broken feed left.
    pub async fn end(&self, source: u16, skip_rest: bool) -> Result<(), FeedFailure> {
        let gone = Err(FeedFailure::Data("the task has ended".to_owned()));
        self.ask(|reply| Work::End { source, skip_rest, reply }).await.unwrap_or(gone)
    }

    pub async fn http_out(&self, endpoint: &str) -> Option<HttpOutPart> {
        self.ask(|reply| Work::HttpOut { endpoint: endpoint.to_owned(), reply }).await?
    }

    /// Messages a second, and the counters of the nodes.
    pub async fn statistics(&self) -> (f64, Vec<NodeStatistics>) {
        self.ask(|reply| Work::Statistics { reply }).await.unwrap_or_default()
    }

    pub async fn finish(&self) -> Result<Vec<NodeStatistics>, FeedFailure> {
        self.ask(|reply| Work::Finish { reply }).await.unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn ask<T>(&self, work: impl FnOnce(oneshot::Sender<T>) -> Work) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.work.0.send(work(reply)).ok()?;
        answer.await.ok()
    }
}

/// The instance of a lane.
enum Instanced {
    Stream(Box<stream::StreamLane>),
    Batch(Box<batch::BatchLane>),
}

impl Instanced {
    fn keep(&mut self, account: Arc<Account>) {
        match self {
            Instanced::Stream(lane) => lane.keep(account),
            Instanced::Batch(lane) => lane.keep(account),
        }
    }

    fn data(&mut self, piece: Piece, source: u16, bytes: &[u8]) -> Result<(), FeedFailure> {
        match (self, piece) {
            (Instanced::Stream(lane), Piece::Stream) => lane.take(bytes),
            (Instanced::Batch(lane), Piece::Batches) => lane.take(source, bytes),
            (Instanced::Stream(_), _) => Err(FeedFailure::Data("a stream task takes no batches".to_owned())),
            (Instanced::Batch(_), _) => Err(FeedFailure::Data("a batch task takes no stream".to_owned())),
        }
    }

    fn resume(&mut self, node: &str, ticket: u64, status: u16) -> Result<(), FeedFailure> {
        match self {
            Instanced::Stream(lane) => lane.resume(node, ticket, status),
            Instanced::Batch(lane) => lane.resume(node, ticket, status),
        }
    }

    fn udf(&mut self, node: &str, event: UdfEvent) -> Result<(), FeedFailure> {
        match self {
            Instanced::Stream(lane) => lane.udf(node, event),
            Instanced::Batch(lane) => lane.udf(node, event),
        }
    }

    fn finish_from(&mut self, first: usize) -> Result<Option<usize>, FeedFailure> {
        match self {
            Instanced::Stream(lane) => lane.finish_from(first),
            Instanced::Batch(lane) => lane.finish_from(first),
        }
    }

    /// Messages a second; nobody asks for that of a replay.
    fn throughput(&mut self) -> f64 {
        match self {
            Instanced::Stream(_) => 0.0,
            Instanced::Batch(lane) => lane.throughput(),
        }
    }

    fn awaits_end(&self, node: usize) -> bool {
        match self {
            Instanced::Stream(lane) => lane.awaits_end(node),
            Instanced::Batch(lane) => lane.awaits_end(node),
        }
    }
}

fn run(
    start: Start,
    mut received: mpsc::UnboundedReceiver<Work>,
    resumes: Resumes,
    reply: oneshot::Sender<Result<(), String>>,
) {
    let follows_data = start.manner.follows_data;
    let waiting = Rc::new(outputs::Waiting::default());
    let returned = start.loopback.map(|shards| Rc::new(outputs::Returned::new(shards, start.instance)));
    let outputs =
        LaneOutputs::new(start.instance, start.alerts, start.queues, resumes, waiting.clone(), returned.clone());
    let built = match start.plan.edge {
        EdgeType::Stream => stream::StreamLane::new(&start.plan, start.manner, Box::new(outputs), &start.inhibitors)
            .map(|lane| Instanced::Stream(Box::new(lane))),
        EdgeType::Batch => batch::BatchLane::new(&start.plan, start.manner, Box::new(outputs), &start.inhibitors)
            .map(|lane| Instanced::Batch(Box::new(lane))),
    };
    let mut instance = match built {
        Ok(mut instance) => {
            instance.keep(start.account);
            let _ = reply.send(Ok(()));
            instance
        }
        Err(error) => return drop(reply.send(Err(error))),
    };
    let mut failed = Some(start.failed);
    let mut failure: Option<FeedFailure> = None;
    // Work that came while posts were waited for.
    let mut later: VecDeque<Work> = VecDeque::new();
    loop {
        let Some(work) = later.pop_front().or_else(|| received.blocking_recv()) else { return };
        // After a failure data is passed over, so that whoever feeds hears of it by its next question.
        let done = match work {
            Work::Data { piece, source, bytes, permit } => {
                let done = match failure {
                    None => instance.data(piece, source, &bytes),
                    Some(_) => Ok(()),
                };
                drop(permit);
                done
            }
            Work::End { source, skip_rest, reply } => {
                let ended = match (&failure, &mut instance) {
                    (Some(failure), _) => Err(failure.clone()),
                    (None, Instanced::Stream(lane)) => lane.end(skip_rest),
                    (None, Instanced::Batch(lane)) => lane.end(source, skip_rest),
                };
                let _ = reply.send(ended.clone());
                if failure.is_some() { Ok(()) } else { ended }
            }
            Work::Clock(now) => match &mut instance {
                Instanced::Stream(lane) => lane.clock(now),
                Instanced::Batch(lane) => lane.clock(now),
            },
            Work::HttpOut { endpoint, reply } => {
                let rows = match &instance {
                    Instanced::Stream(lane) => lane.http_out(&endpoint),
                    Instanced::Batch(lane) => lane.http_out(&endpoint),
                };
                let _ = reply.send(rows);
                Ok(())
            }
            Work::Statistics { reply } => {
                let _ = reply.send((instance.throughput(), statistics(&mut instance)));
                Ok(())
            }
            Work::Resume { node, ticket, status } => {
                waiting.answered();
                instance.resume(&node, ticket, status)
            }
            Work::Udf { node, event } if failure.is_none() => instance.udf(&node, event),
            Work::Udf { .. } => Ok(()),
            Work::Written(bytes) => {
                waiting.written(bytes);
                Ok(())
            }
            Work::Failed { source } => {
                if let Instanced::Batch(lane) = &mut instance {
                    lane.failed(source);
                }
                Ok(())
            }
            Work::Sideload { node, files } => {
                match &mut instance {
                    Instanced::Stream(lane) => lane.sideload(&node, &files),
                    Instanced::Batch(lane) => lane.sideload(&node, &files),
                }
                Ok(())
            }
            Work::Stop => return,
            Work::Finish { reply } => {
                let counted = statistics(&mut instance);
                let ended = match failure {
                    Some(failure) => Err(failure),
                    None => finish(&mut instance, &waiting, follows_data, || received.blocking_recv()),
                };
                if let Some(returned) = &returned {
                    returned.flush();
                }
                // What a replay posted is answered before its end is told.
                while follows_data && waiting.any() {
                    match received.blocking_recv() {
                        Some(Work::Resume { .. }) => waiting.answered(),
                        Some(Work::Stop) | None => return,
                        Some(_) => {}
                    }
                }
                let _ = reply.send(ended.map(|()| counted));
                return;
            }
        };
        if let Some(returned) = &returned {
            returned.flush();
        }
        if let Err(found) = done
            && failure.is_none()
        {
            if let Some(failed) = failed.take() {
                failed(found.clone());
            }
            failure = Some(found);
        }
        // So much may wait outside; then the data does.
        while failure.is_none() && waiting.full() {
            match received.blocking_recv() {
                Some(answer @ (Work::Resume { .. } | Work::Udf { .. } | Work::Written(_))) => {
                    later.push_front(answer);
                    break;
                }
                Some(Work::Stop) | None => return,
                Some(work) => later.push_back(work),
            }
        }
    }
}

/// Ends the task. In a replay a function says all it has to say before the nodes behind it end.
fn finish(
    instance: &mut Instanced,
    waiting: &outputs::Waiting,
    waits: bool,
    mut next: impl FnMut() -> Option<Work>,
) -> Result<(), FeedFailure> {
    let mut first = 0;
    while let Some(behind) = instance.finish_from(first)? {
        while waits && instance.awaits_end(behind - 1) {
            match next() {
                Some(Work::Udf { node, event }) => instance.udf(&node, event)?,
                Some(Work::Resume { node, ticket, status }) => {
                    waiting.answered();
                    instance.resume(&node, ticket, status)?;
                }
                Some(Work::Stop) | None => return Ok(()),
                Some(_) => {}
            }
        }
        first = behind;
    }
    Ok(())
}

fn statistics(instance: &mut Instanced) -> Vec<NodeStatistics> {
    match instance {
        Instanced::Stream(lane) => lane.statistics(),
        Instanced::Batch(lane) => lane.statistics(),
    }
}
