//! The effects of a lane's task: like those of a shard, but a lane waits for room.

use std::{cell::Cell, rc::Rc, time::Duration};

use proto::{feed::FeedReport, message::AlertEvent, plan::LogLevel};
use tokio::sync::mpsc;

use super::{Alerts, Resumes};
use crate::{
    node::{HttpPostRequest, InfluxDbRequest, Outputs, Recorded, influxdb_out::InfluxDbAct, udf::UdfRequest},
    routing::Instance,
    shard::command::{Asker, InfluxDbOutput, Post},
};

/// Posts of a lane that are on the way; at this many its data waits.
const POSTS_MAX: u64 = 4_096;

/// How often and how far apart a live batch task tries to hand over an event.
const ALERT_TRIES: u32 = 200;
const ALERT_PAUSE: Duration = Duration::from_millis(5);

/// Posts that have no answer yet.
#[derive(Default)]
pub struct Waiting(Cell<u64>);

impl Waiting {
    pub fn answered(&self) {
        self.0.set(self.0.get().saturating_sub(1));
    }

    pub fn any(&self) -> bool {
        self.0.get() > 0
    }

    pub fn full(&self) -> bool {
        self.0.get() >= POSTS_MAX
    }
}

pub struct LaneOutputs {
    instance: Instance,
    alerts: Alerts,
    posts: mpsc::Sender<Post>,
    influxdb: mpsc::Sender<InfluxDbOutput>,
    resumes: Resumes,
    waiting: Rc<Waiting>,
}

impl LaneOutputs {
    pub fn new(
        instance: Instance,
        alerts: Alerts,
        (posts, influxdb): (mpsc::Sender<Post>, mpsc::Sender<InfluxDbOutput>),
        resumes: Resumes,
        waiting: Rc<Waiting>,
    ) -> Self {
        LaneOutputs { instance, alerts, posts, influxdb, resumes, waiting }
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
                for _ in 0..ALERT_TRIES {
                    match alerts.try_send(event) {
                        Err(mpsc::error::TrySendError::Full(back)) => event = back,
                        _ => return,
                    }
                    std::thread::sleep(ALERT_PAUSE);
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
            self.waiting.0.set(self.waiting.0.get() + 1);
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
            self.waiting.0.set(self.waiting.0.get() + 1);
        }
        taken
    }

    /// A lane starts no task with a function.
    fn udf(&mut self, _request: UdfRequest) -> bool {
        false
    }

    /// What a replay sends back stays in the replay, whose task may not listen to it.
    fn loopback(&mut self, _database: &Rc<str>, _retention_policy: &Rc<str>, _line: &str) -> bool {
        matches!(self.alerts, Alerts::Feed(_))
    }

    fn record(&mut self, _recorded: Recorded) -> bool {
        false
    }

    fn log(&mut self, level: LogLevel, task: &str, node: &str, line: &str) {
        match level {
            LogLevel::Debug => tracing::debug!(target: "task", service = "kapacitor", task, node, "{line}"),
            LogLevel::Info => tracing::info!(target: "task", service = "kapacitor", task, node, "{line}"),
            LogLevel::Error => tracing::error!(target: "task", service = "kapacitor", task, node, "{line}"),
        }
    }
}
