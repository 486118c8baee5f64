//! Tasks started and stopped; what the link asks for when a data plane has connected.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use proto::{Plan, plan::NodeKind};

use super::{Entry, Running, TaskError, Tasks};
use crate::{
    batch::{self, allowed_queries, queries},
    engine::{Boxed, EngineError, TaskSource},
    store::StoredTask,
    tick::{Compiled, Lowering, NodeHandlers, pipeline::TaskType, read_sideload},
};

/// Names of the topics of live tasks begin with it.
const MAIN: &str = "main";

impl Tasks {
    /// An entry of the store as it is at the start of the server: enabled tasks wait for the data plane.
    pub(super) fn ready(&self, mut entry: Entry) -> Entry {
        if !entry.stored.enabled {
            return entry;
        }
        match self.prepare(&entry) {
            Ok((running, handlers)) => {
                self.shared.alerts.register(&handlers);
                entry.running = Some(running);
            }
            Err(error) => {
                let task = &entry.stored.id;
                tracing::error!(service = "task_store", task, err = error, "failed to start enabled task");
                entry.error = error;
            }
        }
        entry
    }

    /// Starts a task that is enabled: without a data plane it starts as soon as one is back.
    pub(super) async fn start(&self, id: &str) -> Result<(), TaskError> {
        let prepared = match self.index().get(id) {
            Some(entry) => self.prepare(entry),
            None => return Err(TaskError::Missing("no task exists")),
        };
        let failed = |error: String| {
            self.give_up(id, &error);
            TaskError::CannotStart(error)
        };
        let (running, handlers) = prepared.map_err(failed)?;
        let (fingerprint, plan) = (running.fingerprint, running.plan.clone());
        self.shared.alerts.register(&handlers);
        if let Some(entry) = self.index().get_mut(id) {
            entry.error.clear();
            entry.running = Some(running);
        }
        let started = self.shared.engine.start_task(fingerprint, plan).await;
        if matches!(started, Ok(()) | Err(EngineError::Away))
            && let Some(running) = self.index().get(id).and_then(|entry| entry.running.as_ref())
        {
            running.begin();
        }
        match started {
            Ok(()) => {
                tracing::info!(service = "kapacitor", task_master = "main", task = id, "started task");
                Ok(())
            }
            Err(EngineError::Away) => Ok(()),
            Err(EngineError::Refused(error)) => Err(failed(error.to_string())),
        }
    }

    /// Stops a task; `forget` drops the state of its own topics, too. Why it failed before stays to be seen.
    pub(super) async fn stop(&self, id: &str, forget: bool) {
        let ran = self.index().get_mut(id).and_then(|entry| entry.running.take()).is_some();
        if ran {
            // Not running there, or nobody there: it is stopped either way.
            let _ = self.shared.engine.stop_task(id).await;
            tracing::info!(service = "kapacitor", task_master = "main", task = id, "stopped task");
        }
        self.shared.alerts.unregister(id, forget);
    }

    /// A task that should run and cannot.
    fn give_up(&self, id: &str, error: &str) {
        if let Some(entry) = self.index().get_mut(id) {
            entry.running = None;
            error.clone_into(&mut entry.error);
        }
        self.shared.alerts.unregister(id, false);
    }

    /// What a start needs; the text says why the task cannot start.
    pub(super) fn prepare(&self, entry: &Entry) -> Result<(Running, Vec<NodeHandlers>), String> {
        let compiled = entry.compiled.clone()?;
        // The template that a task follows may have lost them.
        if entry.stored.dbrps.is_empty() {
            return Err("the task has no dbrps, neither its script nor its definition names any".to_owned());
        }
        let (plan, handlers) = self.lower(&entry.stored, &compiled, MAIN)?;
        let fingerprint = fingerprint(&plan, entry.stored.last_enabled)?;
        let loops = match compiled.task_type {
            TaskType::Stream => None,
            TaskType::Batch => {
                let queries = allowed_queries(&compiled.pipeline, &entry.stored.dbrps)?;
                let shared = &self.shared;
                let failed = self.loop_failed(&entry.stored.id, fingerprint);
                Some(batch::start(queries, &entry.stored.id, fingerprint, &shared.clusters, &shared.link, &failed))
            }
        };
        Ok((Running { fingerprint, plan, compiled, loops }, handlers))
    }

    /// Ends a task one of whose queries cannot begin.
    fn loop_failed(&self, id: &str, fingerprint: u64) -> batch::Failed {
        let (tasks, id) = (self.clone(), id.to_owned());
        Arc::new(move |error| {
            let (tasks, id) = (tasks.clone(), id.clone());
            // Apart from the loop, which ends with the task.
            tokio::spawn(async move {
                tracing::error!(service = "kapacitor", task = id, err = error, "task failed");
                let _operation = tasks.shared.operation.lock().await;
                tasks.failed(&id, fingerprint, error).await;
                if tasks.index().get(&id).is_some_and(|entry| entry.running.is_none()) {
                    let _ = tasks.shared.engine.stop_task(&id).await;
                }
            });
        })
    }

    /// The plan of a replay of the task as it is defined now, and the handlers of its alerts.
    pub fn replayed(&self, id: &str, master: &str) -> Result<(Plan, Vec<NodeHandlers>), String> {
        let found = self.index().get(id).map(|entry| (entry.stored.clone(), entry.compiled.clone()));
        let (stored, compiled) = found.ok_or("no task exists")?;
        self.lower(&stored, &*compiled?, master)
    }

    fn lower(
        &self,
        stored: &StoredTask,
        compiled: &Compiled,
        master: &str,
    ) -> Result<(Plan, Vec<NodeHandlers>), String> {
        let shared = &self.shared;
        if compiled.task_type == TaskType::Batch {
            queries(&compiled.pipeline)?;
        }
        let config = shared.config.get();
        let lowering = Lowering {
            task: &stored.id,
            master,
            dbrps: &stored.dbrps,
            server: &shared.server,
            endpoint: &|name| config.endpoint(name),
            influxdb: &|name| config.influxdb_target(name),
            kubernetes: &|id| config.kubernetes_access(id),
            ec2: &|id| config.ec2_access(id),
            swarm: &|id| config.swarm_access(id),
            sideload: &|source| read_sideload(source, &|name| config.endpoint(name)),
            udf: &crate::udf::function,
            deadman: config.deadman.texts(),
            globals: &|| config.global_services(),
            levels: &|topics| shared.alerts.levels(topics),
        };
        let (plan, handlers) = compiled.pipeline.lower(&lowering).map_err(|error| error.to_string())?;
        shared.alerts.check(&handlers)?;
        Ok((plan, handlers))
    }
}

impl TaskSource for Tasks {
    fn desired(&self) -> Boxed<'_, Vec<(u64, Plan)>> {
        Box::pin(async {
            let index = self.index();
            let running = index.values().filter_map(|entry| entry.running.as_ref());
            let fresh = |running: &Running| {
                // Levels may have moved since the plan was made.
                let mut plan = running.plan.clone();
                plan.levels = self.shared.alerts.levels(&topics(&plan));
                (running.fingerprint, plan)
            };
            running.map(fresh).collect()
        })
    }

    fn started<'a>(&'a self, task: &'a str, result: Result<(), String>) -> Boxed<'a, ()> {
        Box::pin(async move {
            match result {
                Ok(()) => tracing::info!(service = "kapacitor", task_master = "main", task, "started task"),
                Err(error) => {
                    self.give_up(task, &error);
                    tracing::error!(service = "task_store", task, err = error, "failed to start enabled task");
                }
            }
        })
    }

    fn failed<'a>(&'a self, task: &'a str, fingerprint: u64, error: String) -> Boxed<'a, ()> {
        Box::pin(async move {
            // A later start of the same task is another matter.
            if let Some(entry) = self.index().get_mut(task)
                && entry.running.as_ref().is_some_and(|running| running.fingerprint == fingerprint)
            {
                entry.running = None;
                entry.error = error;
            }
        })
    }
}

/// Tells one start of a task from another: everything that the data plane is told, and when the task was enabled. What
/// the alert topics hold changes all the time and is no reason to start a task anew.
fn fingerprint(plan: &Plan, last_enabled: Option<i64>) -> Result<u64, String> {
    let timeless = Plan { levels: Vec::new(), ..plan.clone() };
    let bytes = proto::frame::encode(&timeless).map_err(|error| error.to_string())?;
    let mut hasher = DefaultHasher::new();
    (&bytes[..], last_enabled).hash(&mut hasher);
    Ok(hasher.finish())
}

fn topics(plan: &Plan) -> Vec<String> {
    let topics = plan.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Alert(alert) => Some(alert.anonymous_topic.iter().chain(&alert.topic).cloned()),
        _ => None,
    });
    topics.flatten().collect()
}
