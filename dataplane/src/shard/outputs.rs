//! The effects of a shard's tasks, on their way to the I/O thread.

use std::{cell::Cell, rc::Rc};

use super::{
    command::{Asker, Effects, InfluxDbOutput, Post, UdfOutput},
    reingest::Reingest,
};
use crate::{
    logging,
    node::{HttpPostRequest, InfluxDbRequest, Outputs, Recorded, udf::UdfRequest},
    routing::Instance,
};
use proto::{message::AlertEvent, plan::LogLevel};

/// What a full queue cost, per shard.
#[derive(Debug, Default)]
pub struct Dropped {
    pub alerts: Cell<u64>,
    pub posts: Cell<u64>,
    pub writes: Cell<u64>,
    pub udf: Cell<u64>,
}

pub struct ShardOutputs {
    pub shard: usize,
    pub instance: Instance,
    pub effects: Effects,
    pub dropped: Rc<Dropped>,
    pub reingest: Rc<Reingest>,
}

impl Outputs for ShardOutputs {
    fn alert(&mut self, event: AlertEvent) {
        if self.effects.alerts.try_send(Box::new(event)).is_err() {
            self.dropped.alerts.set(self.dropped.alerts.get() + 1);
        }
    }

    fn http_post(&mut self, request: HttpPostRequest) -> bool {
        let post = Post { asker: Asker::Shard(self.shard), instance: self.instance, request: Box::new(request) };
        let taken = self.effects.posts.try_send(post).is_ok();
        if !taken {
            self.dropped.posts.set(self.dropped.posts.get() + 1);
        }
        taken
    }

    fn influxdb(&mut self, request: InfluxDbRequest) -> bool {
        let asker = Asker::Shard(self.shard);
        let output = InfluxDbOutput { asker, instance: self.instance, request: Box::new(request) };
        let taken = self.effects.influxdb.try_send(output).is_ok();
        if !taken {
            self.dropped.writes.set(self.dropped.writes.get() + 1);
        }
        taken
    }

    fn udf(&mut self, request: UdfRequest) -> bool {
        let output = UdfOutput { asker: Asker::Shard(self.shard), instance: self.instance, request: Box::new(request) };
        let taken = self.effects.udf.try_send(output).is_ok();
        if !taken {
            self.dropped.udf.set(self.dropped.udf.get() + 1);
        }
        taken
    }

    fn loopback(&mut self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool {
        self.reingest.push(database, retention_policy, line)
    }

    fn record(&mut self, recorded: Recorded) -> bool {
        self.effects.taps.send(self.instance, recorded)
    }

    fn log(&mut self, level: LogLevel, task: &str, node: &str, message: &str, pairs: &str) {
        logging::of_node(level, Some("main"), task, node, message, pairs);
    }
}
