//! Both halves of a shard with one task, without threads and sockets.

use std::{rc::Rc, sync::Arc};

use control::tick::{Lowering, Options, compile, vars::Vars};
use dataplane::{
    block::Block,
    gate::Gate,
    group::Account,
    line::FastReader,
    routing::TaskRoute,
    shard::{
        command::{AutoscaleOutput, Effects, ScaleAsker},
        outputs::{Dropped, ShardOutputs},
        owner::Owner,
        receiver::Receiver,
        reingest::Reingest,
    },
};
use proto::{
    Plan,
    message::Settings,
    plan::{Dbrp, KubernetesAccess, ServerInfo},
};
use tokio::sync::{mpsc, watch};

use crate::staging::{receiver_of, stage};

/// The plan of a stream task on database `db`, retention policy `rp`.
pub fn plan(script: &str) -> Result<Plan, String> {
    let compiled = compile(script, Options { vars: &Vars::default() }).map_err(|error| error.to_string())?;
    let dbrps = [Dbrp { db: "db".into(), rp: "rp".into() }];
    let server = ServerInfo { hostname: "h".into(), cluster_id: "c".into(), server_id: "s".into() };
    let lowering =
        Lowering { kubernetes: &|_| Ok(KubernetesAccess::default()), ..Lowering::bare("t", &dbrps, &server) };
    compiled.pipeline.lower(&lowering).map(|(plan, _)| plan).map_err(|error| error.to_string())
}

pub struct Engine {
    receiver: Receiver,
    owner: Owner,
    scalings: mpsc::Receiver<AutoscaleOutput>,
    /// What the groups of the task take.
    pub account: Arc<Account>,
}

impl Engine {
    /// One that runs this task.
    pub fn new(script: &str) -> Result<Engine, String> {
        let plan = plan(script)?;
        let route = Arc::new(TaskRoute::new(1, &plan, 1));
        let (autoscale, scalings) = mpsc::channel(16);
        let effects = Effects {
            alerts: mpsc::channel(1).0,
            posts: mpsc::channel(1).0,
            influxdb: mpsc::channel(1).0,
            autoscale,
            udf: mpsc::channel(1).0,
            failures: mpsc::unbounded_channel().0,
            relays: mpsc::channel(1).0,
            gate: Arc::new(Gate::new(watch::channel(Settings::default()).1)),
            inhibitors: Arc::default(),
            writes: mpsc::channel(1).0,
            taps: Default::default(),
        };
        let outputs = ShardOutputs {
            shard: 0,
            instance: 1,
            effects,
            dropped: Rc::<Dropped>::default(),
            reingest: Rc::<Reingest>::default(),
        };
        let mut owner = Owner::new(0, 1);
        let account = Arc::<Account>::default();
        owner.start(&plan, route.clone(), 0, outputs, account.clone(), 0)?;
        Ok(Engine { receiver: receiver_of(FastReader::default(), vec![route]), owner, scalings, account })
    }

    /// The blocks of a body, their series known to the owner.
    pub fn stage(&mut self, body: &[u8]) -> Result<Vec<Block>, String> {
        let committed = stage(&mut self.receiver, body, usize::MAX);
        let committed = committed.map_err(|answer| String::from_utf8_lossy(&answer).into_owned())?;
        let mut blocks: Vec<_> = committed.blocks.into_iter().map(|(_, block)| block).collect();
        for block in &mut blocks {
            self.owner.define(0, &mut block.definitions);
        }
        Ok(blocks)
    }

    /// Runs blocks through the task; the error of a task that fails.
    pub fn run(&mut self, blocks: &[Block]) -> Result<(), String> {
        self.run_at(blocks, 0)
    }

    /// The same at a time of the clock, nanoseconds since 1970.
    pub fn run_at(&mut self, blocks: &[Block], now: i64) -> Result<(), String> {
        let mut failure = None;
        for block in blocks {
            self.owner.run(0, block, 0..block.len(), now, |failed| failure = Some(failed.error));
        }
        self.scale(now);
        failure.map_or(Ok(()), Err)
    }

    /// Answers autoscale nodes: of everything there is one copy until they set another number.
    fn scale(&mut self, now: i64) {
        while let Ok(AutoscaleOutput { asker, request }) = self.scalings.try_recv() {
            let ScaleAsker::Shard { instance, .. } = asker else { continue };
            self.owner.scaled(instance, &request.node, request.ticket, Ok(request.set.unwrap_or(1)), now);
        }
    }

    /// The clock comes to `now`, nanoseconds since 1970.
    pub fn advance(&mut self, now: i64) -> Result<(), String> {
        let mut failure = None;
        self.owner.advance(now, |failed| failure = Some(failed.error));
        failure.map_or(Ok(()), Err)
    }
}
