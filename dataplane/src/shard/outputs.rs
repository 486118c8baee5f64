//! The effects of a shard's tasks, on their way to the I/O thread.

use std::{cell::Cell, rc::Rc};

use super::{
    command::{Asker, AutoscaleOutput, Effects, InfluxDbOutput, Post, ScaleAsker, UdfOutput},
    reingest::Reingest,
};
use crate::{
    logging,
    node::{
        HttpPostRequest, InfluxDbRequest, Outputs, Recorded,
        autoscale::{Asked, AutoscaleRequest},
        udf::UdfRequest,
    },
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
    pub scalings: Cell<u64>,
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

    fn autoscale(&mut self, request: AutoscaleRequest) -> Asked {
        let asker = ScaleAsker::Shard { shard: self.shard, instance: self.instance };
        if self.effects.autoscale.try_send(AutoscaleOutput { asker, request: Box::new(request) }).is_ok() {
            return Asked::Waits;
        }
        self.dropped.scalings.set(self.dropped.scalings.get() + 1);
        Asked::Refused
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::{
        plan::{self, UdfFunction, UdfProgram},
        value::Level,
    };
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::{gate::Gate, node::influxdb_out::InfluxDbAct, node::udf::UdfAct};

    const REINGEST_BYTES_MAX: usize = 8 << 20;

    /// Outputs whose queues have room for one of each kind, and the other ends.
    fn outputs() -> (ShardOutputs, impl Sized) {
        let (alerts, posts, influxdb) = (mpsc::channel(1), mpsc::channel(1), mpsc::channel(1));
        let (udf, failures, relays) = (mpsc::channel(1), mpsc::unbounded_channel(), mpsc::channel(1));
        let autoscale = mpsc::channel(1);
        let effects = Effects {
            alerts: alerts.0,
            posts: posts.0,
            influxdb: influxdb.0,
            autoscale: autoscale.0,
            udf: udf.0,
            failures: failures.0,
            relays: relays.0,
            gate: Arc::new(Gate::new(watch::channel(Default::default()).1)),
            inhibitors: Arc::default(),
            taps: Default::default(),
            writes: mpsc::channel(1).0,
        };
        let reingest = Rc::new(Reingest::new(REINGEST_BYTES_MAX));
        let outputs = ShardOutputs { shard: 0, instance: 1, effects, dropped: Rc::default(), reingest };
        (outputs, (alerts.1, posts.1, influxdb.1, autoscale.1, udf.1, failures.1, relays.1))
    }

    fn event() -> AlertEvent {
        AlertEvent {
            task: String::new(),
            node: String::new(),
            topics: vec![],
            category: None,
            id: String::new(),
            message: String::new(),
            details: String::new(),
            time: 0,
            duration: 0,
            level: Level::Critical,
            recoverable: true,
            name: String::new(),
            group: String::new(),
            tags: vec![],
            fields: vec![],
            data: String::new(),
        }
    }

    #[test]
    fn what_finds_a_queue_full_is_dropped_and_counted() {
        let (mut outputs, _others) = outputs();
        let (task, node) = (|| "t".to_owned(), || "n".to_owned());
        let function = UdfFunction { program: UdfProgram::Socket { path: String::new() }, timeout: 0 };
        let function = Arc::new(plan::Udf { function, options: vec![], snapshot_interval: 0 });
        let (access, namespace, kind) = (plan::KubernetesAccess::default(), String::new(), String::new());
        let scaler = plan::Scaler::Kubernetes { access, namespace, kind };
        let replicas = proto::Expr::Literal(proto::Value::Null);
        let resource = plan::ResourceName::Fixed(String::new());
        let scaling = Arc::new(plan::Autoscale::new(scaler, resource, replicas));
        for first in [true, false, false] {
            outputs.alert(event());
            let post = HttpPostRequest {
                task: task(),
                node: node(),
                post: Arc::default(),
                url: String::new(),
                body: String::new(),
                ticket: 0,
            };
            assert_eq!(outputs.http_post(post), first);
            let write = InfluxDbRequest { task: task(), node: node(), plan: Arc::default(), act: InfluxDbAct::Open };
            assert_eq!(outputs.influxdb(write), first);
            let udf = UdfRequest { task: task(), node: node(), plan: function.clone(), act: UdfAct::Close };
            assert_eq!(outputs.udf(udf), first);
            let (task, node, plan, resource) = (task(), node(), scaling.clone(), String::new());
            let asked = outputs.autoscale(AutoscaleRequest { task, node, plan, resource, set: None, ticket: 0 });
            assert_eq!(matches!(asked, Asked::Waits), first);
        }
        let Dropped { alerts, posts, writes, udf, scalings } = &*outputs.dropped;
        assert_eq!([alerts, posts, writes, udf, scalings].map(Cell::get), [2; 5]);
    }

    #[test]
    fn what_loops_back_is_bounded_in_bytes() {
        let (mut outputs, _others) = outputs();
        let (database, policy, line) = (Rc::from("d"), Rc::from("r"), "x".repeat(1 << 20));
        let taken = (0..100).filter(|_| outputs.loopback(&database, &policy, &line)).count();
        assert_eq!((taken << 20, outputs.reingest.dropped.get()), (REINGEST_BYTES_MAX, 100 - taken as u64));
    }
}
