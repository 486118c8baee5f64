//! The running tasks, and the control plane's commands carried out over all shards.
//!
//! Order of a start: every owner builds the operators, then every receiver routes, then the answer goes out. Order of a
//! stop: every receiver stops routing and says so down each ring, then every owner that has heard all of them ends its
//! part (design: epochs). One start or stop runs at a time, so epochs follow each other.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use hashbrown::HashMap;
use proto::{
    Plan,
    message::{NodeStatistics, Refusal, Reply, RunningTask, Settings, Statistics},
    plan::{EdgeType, SideloadFile},
};

use tokio::sync::watch;

use super::{
    feed::{Lanes, rows},
    shards::Shards,
    statistics::{self, Counted},
};
use crate::{
    group::{Account, Limits},
    lane::{Alerts, Lane, Manner, Queues, Start},
    routing::{Instance, Routing, TaskRoute},
    shard::command::{Command, Effects, Failure},
};

struct Task {
    instance: Instance,
    fingerprint: u64,
    route: Arc<TaskRoute>,
    plan: Arc<Plan>,
    /// Why it stopped by itself; it is routed no more.
    error: Option<String>,
    /// Nobody but its starter knows of it: the tap of a recording.
    hidden: bool,
    /// Where a batch task runs.
    lane: Option<Lane>,
    /// Last counters of the lane, for when it is busy.
    counted: Rc<RefCell<(f64, Vec<NodeStatistics>)>>,
    account: Arc<Account>,
}

pub struct Tasks {
    shards: Shards,
    tasks: HashMap<String, Task>,
    epoch: u64,
    next_instance: Instance,
    /// Further counters of the process.
    counters: Box<dyn Fn() -> Vec<(&'static str, u64)>>,
    /// Tells the other tasks of the I/O thread to take nothing new.
    draining: watch::Sender<bool>,
    /// Of batch tasks, for their feeds.
    lanes: Lanes,
    effects: Effects,
    settings: watch::Receiver<Settings>,
}

impl Tasks {
    pub fn new(
        shards: Shards,
        counters: Box<dyn Fn() -> Vec<(&'static str, u64)>>,
        draining: watch::Sender<bool>,
        lanes: Lanes,
        effects: Effects,
        settings: watch::Receiver<Settings>,
    ) -> Self {
        Tasks {
            shards,
            tasks: HashMap::new(),
            epoch: 0,
            next_instance: 1,
            counters,
            draining,
            lanes,
            effects,
            settings,
        }
    }

    /// The number that the next start gets.
    pub fn next_instance(&self) -> Instance {
        self.next_instance
    }

    pub fn running(&self) -> Vec<RunningTask> {
        let running = |(name, task): (&String, &Task)| RunningTask {
            task: name.clone(),
            fingerprint: task.fingerprint,
            error: task.error.clone(),
        };
        self.tasks.iter().filter(|(_, task)| !task.hidden).map(running).collect()
    }

    /// Starts a task with fresh state; one of the same name ends first.
    pub async fn start(&mut self, fingerprint: u64, plan: Plan) -> Result<Reply, Refusal> {
        self.start_as(fingerprint, plan, false).await
    }

    /// Starts a task that is no task of control's.
    pub async fn start_hidden(&mut self, plan: Plan) -> Result<Reply, Refusal> {
        self.start_as(0, plan, true).await
    }

    async fn start_as(&mut self, fingerprint: u64, plan: Plan, hidden: bool) -> Result<Reply, Refusal> {
        let name = plan.task.clone();
        if self.tasks.contains_key(&name) {
            self.stop(&name).await?;
        }
        plan.check().map_err(|error| Refusal::CannotStart(error.to_string()))?;
        let instance = self.next_instance;
        self.next_instance += 1;
        let route = Arc::new(TaskRoute::new(instance, &plan, self.shards.len()));
        let plan = Arc::new(plan);
        let account = Arc::new(Account::new(limits(&self.settings.borrow())));
        let task = |lane| {
            let (route, plan, counted, account) = (route.clone(), plan.clone(), Rc::default(), account.clone());
            Task { instance, fingerprint, route, plan, error: None, hidden, lane, counted, account }
        };
        if plan.edge == EdgeType::Batch {
            let lane = self.lane(instance, plan.clone(), account.clone()).await.map_err(Refusal::CannotStart)?;
            self.lanes.borrow_mut().insert(name.clone(), (fingerprint, lane.clone()));
            self.tasks.insert(name, task(Some(lane)));
            return Ok(Reply::Done);
        }
        let epoch = self.epoch + 1;
        let started = self
            .shards
            .ask(|reply| {
                let (plan, route, account) = (plan.clone(), route.clone(), account.clone());
                Command::Start { instance, plan, route, epoch, account, reply }
            })
            .await;
        if let Some(error) = started.into_iter().find_map(Result::err) {
            self.end(instance, false).await;
            return Err(Refusal::CannotStart(error));
        }
        self.tasks.insert(name, task(None));
        self.route().await;
        Ok(Reply::Done)
    }

    /// Answers when every point accepted before has run through the task.
    pub async fn stop(&mut self, name: &str) -> Result<Reply, Refusal> {
        let Some(task) = self.tasks.remove(name) else { return Err(Refusal::UnknownTask(name.to_owned())) };
        if let Some(lane) = task.lane {
            self.lanes.borrow_mut().remove(name);
            let _ = lane.finish().await;
            return Ok(Reply::Done);
        }
        self.route().await;
        self.end(task.instance, true).await;
        Ok(Reply::Done)
    }

    pub async fn stop_all(&mut self) {
        let names: Vec<String> = self.tasks.keys().cloned().collect();
        for name in names {
            let _ = self.stop(&name).await;
        }
    }

    /// Nothing new is taken: connections end after their answer, then all tasks.
    pub async fn drain(&mut self) {
        self.draining.send_replace(true);
        self.shards.ask(|reply| Command::Drain { reply }).await;
        self.stop_all().await;
    }

    /// A node of the task failed on some shard: the others stop, too. Returns name and fingerprint the first time.
    pub async fn failed(&mut self, instance: Instance, error: String) -> Option<(String, u64)> {
        let (name, task) = self.tasks.iter_mut().find(|(_, task)| task.instance == instance)?;
        if task.error.is_some() {
            return None;
        }
        task.error = Some(error);
        let failed = (name.clone(), task.fingerprint);
        if task.lane.take().is_some() {
            self.lanes.borrow_mut().remove(&failed.0);
            return Some(failed);
        }
        self.route().await;
        self.end(instance, true).await;
        Some(failed)
    }

    /// The rows of an httpOut node; asked for by the returned future, which holds nothing of this.
    pub fn http_out(&self, name: String, endpoint: String) -> impl Future<Output = Result<Reply, Refusal>> + use<> {
        let found = self.tasks.get(&name).filter(|task| task.error.is_none());
        let found = found.map(|task| (task.instance, task.lane.clone()));
        let shards = self.shards.clone();
        async move {
            let (instance, lane) = found.ok_or_else(|| Refusal::UnknownTask(name.clone()))?;
            let parts: Vec<_> = match lane {
                Some(lane) => lane.http_out(&endpoint).await.into_iter().collect(),
                None => {
                    let ask = |reply| Command::HttpOut { instance, endpoint: endpoint.clone(), reply };
                    shards.ask(ask).await.into_iter().flatten().collect()
                }
            };
            if parts.is_empty() {
                return Err(Refusal::UnknownEndpoint { task: name, endpoint });
            }
            Ok(Reply::HttpOut(rows(parts.into_iter().flatten().collect())?))
        }
    }

    /// Gives a sideload node of a task its files anew.
    pub async fn sideload(&self, name: &str, node: &str, files: Vec<SideloadFile>) -> Result<Reply, Refusal> {
        let Some(task) = self.tasks.get(name) else { return Err(Refusal::UnknownTask(name.to_owned())) };
        let files: Arc<[SideloadFile]> = files.into();
        match &task.lane {
            Some(lane) => lane.sideload(node.to_owned(), files),
            None => {
                for shard in 0..self.shards.len() {
                    let (instance, node, files) = (task.instance, node.to_owned(), files.clone());
                    self.shards.send(shard, Command::Sideload { instance, node, files }).await;
                }
            }
        }
        Ok(Reply::Done)
    }

    /// Takes lines as if they had been written.
    pub async fn write(&self, database: String, retention_policy: String, lines: String) -> Reply {
        self.shards.send(0, Command::Write { database, retention_policy, lines }).await;
        Reply::Done
    }

    /// Counters of the task `of`, or of everything; gathered by the returned future, which holds nothing of this.
    pub fn statistics(&self, of: Option<&str>) -> impl Future<Output = Statistics> + use<> {
        let shown = self.tasks.iter().filter(|(name, task)| match of {
            Some(of) => of == *name && task.error.is_none(),
            None => task.error.is_none() && !task.hidden,
        });
        let counted = |(name, task): (&String, &Task)| Counted {
            name: name.clone(),
            fingerprint: task.fingerprint,
            instance: task.instance,
            account: task.account.clone(),
            lane: task.lane.clone(),
            last: task.counted.clone(),
        };
        let tasks: Vec<_> = shown.map(counted).collect();
        let (shards, alone) = (self.shards.clone(), of.is_some());
        let counters = if alone { Vec::new() } else { (self.counters)() };
        let counters = counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        async move {
            if alone && tasks.is_empty() {
                return Statistics::default();
            }
            statistics::gather(shards, tasks, alone, counters).await
        }
    }

    /// Name of the task and plan of a running instance.
    pub fn plan(&self, instance: Instance) -> Option<&Arc<Plan>> {
        self.tasks.values().find(|task| task.instance == instance).map(|task| &task.plan)
    }

    async fn lane(&self, instance: Instance, plan: Arc<Plan>, account: Arc<Account>) -> Result<Lane, String> {
        let failures = self.effects.failures.clone();
        Lane::start(Start {
            instance,
            plan,
            manner: Manner::default(),
            alerts: Alerts::Link(self.effects.alerts.clone()),
            queues: Queues::of(&self.effects),
            loopback: Some(self.shards.clone()),
            inhibitors: self.effects.inhibitors.clone(),
            account,
            failed: Box::new(move |failure| {
                let _ = failures.send(Failure { instance, error: failure.to_string() });
            }),
        })
        .await
    }

    /// Makes a new epoch of all tasks that run.
    async fn route(&mut self) {
        self.epoch += 1;
        let routes = self
            .tasks
            .values()
            .filter(|task| task.error.is_none() && task.lane.is_none())
            .map(|task| task.route.clone())
            .collect();
        let routing = Arc::new(Routing::new(self.epoch, self.shards.len(), routes));
        self.shards.ask(|reply| Command::Route { routing: routing.clone(), reply }).await;
    }

    async fn end(&self, instance: Instance, routed: bool) {
        self.shards.ask(|reply| Command::Stop { instance, routed, reply }).await;
    }
}

/// What the configuration lets one task hold.
pub fn limits(settings: &Settings) -> Limits {
    Limits { groups: settings.task_groups_max, bytes: settings.task_bytes_max }
}
