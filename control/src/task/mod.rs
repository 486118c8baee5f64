//! Tasks: defined, changed, started, listed (reference: http-api §8, §10).
//!
//! Definitions live in the store and in an index beside it; a change goes to the store first. One operation that starts
//! or stops something runs at a time, while reading never waits for it.

mod list;
mod request;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::{
    Plan,
    message::TaskStatistics,
    plan::{Dbrp, ServerInfo},
};

use crate::{
    alert::Alerts,
    config::Config,
    engine::{Boxed, Engine, EngineError, TaskSource},
    store::{Store, StoreError, StoredTask, TaskTable},
    tick::{Compiled, Lowering, NodeHandlers, Options, compile, diagnostic::Diagnostic},
};
pub use list::{ListError, Page, Pattern};
pub use request::{Change, Definition, Status, first_value as request_body};

/// Why a request for a task is refused. The text is what the API shows.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error("{message}")]
    Invalid { message: String, diagnostics: Vec<Diagnostic> },
    #[error("{0}")]
    Missing(&'static str),
    /// It is stored and does not run.
    #[error("{0}")]
    CannotStart(String),
    #[error("{0}")]
    Exists(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TaskError {
    fn invalid(message: impl Into<String>) -> Self {
        TaskError::Invalid { message: message.into(), diagnostics: Vec::new() }
    }
}

/// A task as the API shows it.
#[derive(Clone, Debug)]
pub struct View {
    pub stored: StoredTask,
    /// The graph that runs, or that of the stored script; with the error that the script has now.
    pub compiled: Result<Arc<Compiled>, String>,
    pub executing: bool,
    pub error: String,
}

struct Entry {
    stored: StoredTask,
    running: Option<Running>,
    /// Why it stopped, or does not start.
    error: String,
}

/// What was started: later changes of the definition do not reach it.
struct Running {
    fingerprint: u64,
    plan: Plan,
    compiled: Arc<Compiled>,
    /// The data plane runs it, or will as soon as it is back.
    accepted: bool,
}

/// The task service; cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    index: Mutex<BTreeMap<String, Entry>>,
    /// Held while something is started or stopped.
    operation: tokio::sync::Mutex<()>,
    table: TaskTable,
    engine: Engine,
    alerts: Alerts,
    config: Arc<Config>,
    server: ServerInfo,
}

impl Tasks {
    /// The tasks of a store; enabled ones are made ready to start.
    pub fn open(
        store: &Store,
        engine: Engine,
        alerts: Alerts,
        config: Arc<Config>,
        server: ServerInfo,
    ) -> Result<Tasks, StoreError> {
        let table = store.tasks();
        let stored = table.all()?;
        let shared = Shared {
            index: Mutex::default(),
            operation: tokio::sync::Mutex::default(),
            table,
            engine,
            alerts,
            config,
            server,
        };
        let tasks = Tasks { shared: Arc::new(shared) };
        for task in stored {
            let mut entry = Entry { stored: task, running: None, error: String::new() };
            if entry.stored.enabled {
                match tasks.prepare(&entry.stored) {
                    Ok((running, handlers)) => {
                        tasks.shared.alerts.register(&handlers);
                        entry.running = Some(running);
                    }
                    Err(error) => {
                        tracing::error!(service = "task_store", task = entry.stored.id, err = error, "failed to start enabled task");
                        entry.error = error;
                    }
                }
            }
            tasks.index().insert(entry.stored.id.clone(), entry);
        }
        Ok(tasks)
    }

    /// POST tasks.
    pub async fn define(&self, definition: Definition, now: i64) -> Result<View, TaskError> {
        let _operation = self.shared.operation.lock().await;
        let id = match definition.id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => uuid::Uuid::new_v4().to_string(),
        };
        if !request::is_valid_id(&id) {
            return Err(TaskError::invalid(format!(
                "task ID must contain only letters, numbers, '-', '.' and '_'. {id:?}"
            )));
        }
        if self.index().contains_key(&id) {
            return Err(TaskError::invalid("task ID already exists"));
        }
        if let Some(template) = definition.template_id.filter(|template| !template.is_empty()) {
            return Err(TaskError::invalid(format!("unknown template {template}: err: no template exists")));
        }
        let script = definition.script.unwrap_or_default();
        if script.is_empty() {
            return Err(TaskError::invalid("must provide TICKscript"));
        }
        let vars = definition.vars.unwrap_or_default();
        let compiled = compile_task(&script, &vars)?;
        let dbrps = match (compiled.dbrps.is_empty(), definition.dbrps.unwrap_or_default()) {
            (true, given) if given.is_empty() => return Err(TaskError::invalid("must specify dbrp")),
            (true, given) => given,
            (false, given) if given.is_empty() => compiled.dbrps.clone(),
            (false, _) => return Err(TaskError::invalid("cannot specify dbrp in both implicitly and explicitly")),
        };
        let enabled = definition.status == Some(Status::Enabled);
        let stored = StoredTask {
            id: id.clone(),
            template_id: String::new(),
            script,
            dbrps,
            vars,
            enabled,
            created: now,
            modified: now,
            last_enabled: enabled.then_some(now),
        };
        self.shared.table.put(&stored)?;
        self.index().insert(id.clone(), Entry { stored, running: None, error: String::new() });
        if enabled {
            self.start(&id).await?;
        }
        self.get(&id)
    }

    /// PATCH tasks/ID.
    pub async fn change(&self, id: &str, change: Change, now: i64) -> Result<View, TaskError> {
        let _operation = self.shared.operation.lock().await;
        let before = match self.index().get(id) {
            Some(entry) => entry.stored.clone(),
            None => return Err(TaskError::Missing("task does not exist, cannot update")),
        };
        let mut after = before.clone();
        after.modified = now;
        if let Some(vars) = change.vars.filter(|vars| !vars.is_empty()) {
            after.vars = vars;
        }
        let new_script = change.script.filter(|script| !script.is_empty());
        if let Some(script) = &new_script {
            after.script.clone_from(script);
        }
        let compiled = compile_task(&after.script, &after.vars)?;
        let given = change.dbrps.unwrap_or_default();
        match (compiled.dbrps.is_empty(), given.is_empty()) {
            (false, false) => return Err(TaskError::invalid("cannot specify dbrp in implicitly and explicitly")),
            (false, true) => after.dbrps.clone_from(&compiled.dbrps),
            (true, false) => after.dbrps = given,
            (true, true) => {
                let lost = new_script.is_some()
                    && compile_task(&before.script, &before.vars).is_ok_and(|old| !old.dbrps.is_empty());
                if lost {
                    return Err(TaskError::invalid("must specify dbrp"));
                }
            }
        }
        let renamed = change.id.filter(|new| !new.is_empty() && new != id);
        if let Some(new) = &renamed {
            if self.index().contains_key(new) {
                return Err(TaskError::Exists("failed to create new task during ID change: object already exists"));
            }
            after.id.clone_from(new);
        }
        match change.status {
            Some(Status::Enabled) if !before.enabled => {
                after.enabled = true;
                after.last_enabled = Some(now);
            }
            Some(Status::Disabled) => after.enabled = false,
            _ => {}
        }
        self.shared.table.replace(renamed.as_ref().map(|_| id), &after)?;
        let starts = after.enabled && (!before.enabled || renamed.is_some());
        if before.enabled && (!after.enabled || renamed.is_some()) {
            self.stop(id, false).await;
        }
        let new_id = after.id.clone();
        {
            let mut index = self.index();
            let entry = index.remove(id).map(|entry| Entry { stored: after.clone(), ..entry });
            index.insert(
                new_id.clone(),
                entry.unwrap_or(Entry { stored: after, running: None, error: String::new() }),
            );
        }
        if starts {
            self.start(&new_id).await?;
        }
        self.get(&new_id)
    }

    /// DELETE tasks/ID.
    pub async fn delete(&self, id: &str) -> Result<(), TaskError> {
        let _operation = self.shared.operation.lock().await;
        if !self.index().contains_key(id) {
            return Ok(());
        }
        self.shared.table.delete(id)?;
        let enabled = self.index().get(id).is_some_and(|entry| entry.stored.enabled);
        self.stop(id, enabled).await;
        self.index().remove(id);
        Ok(())
    }

    pub fn get(&self, id: &str) -> Result<View, TaskError> {
        self.index().get(id).map(Entry::view).ok_or(TaskError::Missing("no task exists"))
    }

    /// A page of the tasks whose id matches, in order of id.
    pub fn list(&self, page: &Page) -> Vec<View> {
        let index = self.index();
        let views = |limit| {
            let matching = index.values().filter(|entry| page.pattern.matches(&entry.stored.id));
            matching.skip(page.offset).take(limit).map(Entry::view).collect()
        };
        match usize::try_from(page.limit) {
            Ok(limit) => views(limit),
            // A negative limit lists everything, whatever the pattern.
            Err(_) => index.values().map(Entry::view).collect(),
        }
    }

    /// Number of tasks, and of enabled ones.
    pub fn counts(&self) -> (usize, usize) {
        let index = self.index();
        (index.len(), index.values().filter(|entry| entry.stored.enabled).count())
    }

    /// Counters of a running task.
    pub async fn statistics(&self, id: &str) -> Option<TaskStatistics> {
        let statistics = self.shared.engine.statistics().await.ok()?;
        statistics.tasks.into_iter().find(|task| task.task == id)
    }

    /// Starts a task that is enabled: without a data plane it starts as soon as one is back.
    async fn start(&self, id: &str) -> Result<(), TaskError> {
        let stored = match self.index().get(id) {
            Some(entry) => entry.stored.clone(),
            None => return Err(TaskError::Missing("no task exists")),
        };
        let failed = |error: String| {
            if let Some(entry) = self.index().get_mut(id) {
                entry.running = None;
                entry.error.clone_from(&error);
            }
            self.shared.alerts.unregister(id, false);
            TaskError::CannotStart(error)
        };
        let (running, handlers) = self.prepare(&stored).map_err(failed)?;
        let (fingerprint, plan) = (running.fingerprint, running.plan.clone());
        self.shared.alerts.register(&handlers);
        if let Some(entry) = self.index().get_mut(id) {
            entry.error.clear();
            entry.running = Some(running);
        }
        match self.shared.engine.start_task(fingerprint, plan).await {
            Ok(()) => {
                tracing::info!(service = "kapacitor", task_master = "main", task = id, "started task");
                Ok(())
            }
            Err(EngineError::Away) => Ok(()),
            Err(EngineError::Refused(error)) => Err(failed(error.to_string())),
        }
    }

    async fn stop(&self, id: &str, forget: bool) {
        let ran = self.index().get_mut(id).and_then(|entry| entry.running.take()).is_some();
        if ran {
            // Not running there, or nobody there: it is stopped either way.
            let _ = self.shared.engine.stop_task(id).await;
            tracing::info!(service = "kapacitor", task_master = "main", task = id, "stopped task");
        }
        if let Some(entry) = self.index().get_mut(id) {
            entry.error.clear();
        }
        self.shared.alerts.unregister(id, forget);
    }

    /// What a start needs; the text says why the task cannot start.
    fn prepare(&self, stored: &StoredTask) -> Result<(Running, Vec<NodeHandlers>), String> {
        let compiled = compile_task(&stored.script, &stored.vars).map_err(|error| error.to_string())?;
        let shared = &self.shared;
        let lowering = Lowering {
            task: &stored.id,
            dbrps: &stored.dbrps,
            server: &shared.server,
            endpoint: &|name| shared.config.endpoint(name),
            levels: &|topics| shared.alerts.levels(topics),
        };
        let (plan, handlers) = compiled.pipeline.lower(&lowering).map_err(|error| error.to_string())?;
        let mut hasher = DefaultHasher::new();
        (&stored.script, &stored.dbrps, stored.last_enabled, stored.modified).hash(&mut hasher);
        let fingerprint = hasher.finish();
        Ok((Running { fingerprint, plan, compiled: Arc::new(compiled), accepted: true }, handlers))
    }

    fn index(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn view(&self) -> View {
        let compiled = match &self.running {
            Some(running) => Ok(running.compiled.clone()),
            None => {
                let compiled = compile_task(&self.stored.script, &self.stored.vars);
                compiled.map(Arc::new).map_err(|error| error.to_string())
            }
        };
        let executing = self.running.as_ref().is_some_and(|running| running.accepted);
        View { stored: self.stored.clone(), compiled, executing, error: self.error.clone() }
    }
}

fn compile_task(script: &str, vars: &crate::tick::vars::Vars) -> Result<Compiled, TaskError> {
    compile(script, Options { vars })
        .map_err(|error| TaskError::Invalid { message: error.to_string(), diagnostics: error.diagnostics })
}

impl TaskSource for Tasks {
    fn desired(&self) -> Boxed<'_, Vec<(u64, Plan)>> {
        Box::pin(async {
            let index = self.index();
            let running = index.values().filter_map(|entry| entry.running.as_ref());
            let fresh = |plan: &Plan| {
                // Levels may have moved since the plan was made.
                let mut plan = plan.clone();
                let topics: Vec<String> = topics_of(&plan);
                plan.levels = self.shared.alerts.levels(&topics);
                plan
            };
            running.map(|running| (running.fingerprint, fresh(&running.plan))).collect()
        })
    }

    fn started<'a>(&'a self, task: &'a str, result: Result<(), String>) -> Boxed<'a, ()> {
        Box::pin(async move {
            match result {
                Ok(()) => tracing::info!(service = "kapacitor", task_master = "main", task, "started task"),
                Err(error) => {
                    tracing::error!(service = "task_store", task, err = error, "failed to start enabled task");
                    if let Some(entry) = self.index().get_mut(task) {
                        entry.running = None;
                        entry.error = error;
                    }
                }
            }
        })
    }

    fn failed<'a>(&'a self, task: &'a str, fingerprint: u64, error: String) -> Boxed<'a, ()> {
        Box::pin(async move {
            if let Some(entry) = self.index().get_mut(task)
                && entry.running.as_ref().is_some_and(|running| running.fingerprint == fingerprint)
            {
                entry.running = None;
                entry.error = error;
            }
        })
    }
}

fn topics_of(plan: &Plan) -> Vec<String> {
    let topics = plan.nodes.iter().filter_map(|node| match &node.kind {
        proto::plan::NodeKind::Alert(alert) => Some(alert.anonymous_topic.iter().chain(&alert.topic).cloned()),
        _ => None,
    });
    topics.flatten().collect()
}

/// The dbrps of a list, as text for logs and tables: `["a"."b"]`.
pub fn dbrps_text(dbrps: &[Dbrp]) -> String {
    let texts: Vec<String> = dbrps.iter().map(|dbrp| format!("{:?}.{:?}", dbrp.db, dbrp.rp)).collect();
    format!("[{}]", texts.join(" "))
}
