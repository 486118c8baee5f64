//! Tasks: defined, changed, started, listed (reference: http-api §8, §10).
//!
//! Definitions live in the store and in an index beside it; a change goes to the store first. One operation that changes
//! something runs at a time ([`change`], [`run`]) and runs to its end even if its caller goes away, so that store, index
//! and data plane never part. Reading never waits for it.

mod change;
mod list;
mod request;
mod run;
mod sideload;
mod template;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::{
    Plan,
    message::TaskStatistics,
    plan::{EdgeType, NodeKind, ServerInfo},
};

use crate::{
    alert::Alerts,
    batch::Loops,
    config::Live,
    engine::Engine,
    influxdb::Clusters,
    store::{Store, StoreError, StoredTask, TaskTable, TemplateTable},
    tick::{Compiled, Options, compile_with_udfs, diagnostic::Diagnostic, vars::Vars},
};
pub use list::{ListError, Page, Pattern};
pub use request::{
    BodyError, Change, Definition, Status, TemplateDefinition, is_valid_id, object as request_body, sole_dbrps,
};
pub use template::TemplateView;

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
    /// The operation ended half-way: a defect, or the process is stopping.
    #[error("the operation was interrupted: {0}")]
    Interrupted(String),
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
    /// Of the stored script and vars; made once for each of their versions.
    compiled: Result<Arc<Compiled>, String>,
    running: Option<Running>,
    /// Why it stopped, or did not start. The next start forgets it.
    error: String,
}

/// What was started: later changes of the definition do not reach it. The data plane runs it, or will as soon as it is
/// back.
struct Running {
    fingerprint: u64,
    plan: Plan,
    compiled: Arc<Compiled>,
    /// Of a batch task: its queries on their schedules.
    loops: Option<Loops>,
}

impl Running {
    /// The task is known to all: its loops may begin.
    fn begin(&self) {
        if let Some(loops) = &self.loops {
            loops.begin();
        }
    }
}

/// The task service; cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    index: Mutex<BTreeMap<String, Entry>>,
    templates: Mutex<BTreeMap<String, TemplateView>>,
    /// Held while something is changed, started or stopped.
    operation: tokio::sync::Mutex<()>,
    table: TaskTable,
    template_table: TemplateTable,
    engine: Engine,
    alerts: Alerts,
    config: Live,
    server: ServerInfo,
    clusters: Clusters,
    /// Socket of the link; feeds are beside it.
    link: PathBuf,
}

impl Tasks {
    /// The tasks of a store; enabled ones are made ready to start. Must be called inside a runtime.
    pub fn open(
        store: &Store,
        engine: Engine,
        alerts: Alerts,
        config: Live,
        server: ServerInfo,
        clusters: Clusters,
        link: PathBuf,
    ) -> Result<Tasks, StoreError> {
        let table = store.tasks();
        let stored = table.all()?;
        let template_table = store.templates();
        let templates =
            template_table.all()?.into_iter().map(|template| (template.id.clone(), TemplateView::new(template)));
        let templates = templates.collect();
        let shared = Shared {
            index: Mutex::default(),
            templates: Mutex::new(templates),
            operation: tokio::sync::Mutex::default(),
            table,
            template_table,
            engine,
            alerts,
            config,
            server,
            clusters,
            link,
        };
        let tasks = Tasks { shared: Arc::new(shared) };
        for task in stored {
            let entry = tasks.ready(tasks.entry(task));
            let mut index = tasks.index();
            let id = entry.stored.id.clone();
            index.insert(id.clone(), entry);
            index.get(&id).and_then(|entry| entry.running.as_ref()).into_iter().for_each(Running::begin);
        }
        Ok(tasks)
    }

    pub fn get(&self, id: &str) -> Result<View, TaskError> {
        self.index().get(id).map(Entry::view).ok_or(TaskError::Missing("no task exists"))
    }

    /// A page of the tasks whose id matches, in order of id.
    pub fn list(&self, page: &Page) -> Vec<View> {
        let index = self.index();
        match usize::try_from(page.limit) {
            Ok(limit) => {
                let matching = index.values().filter(|entry| page.pattern.matches(&entry.stored.id));
                matching.skip(page.offset).take(limit).map(Entry::view).collect()
            }
            // A negative limit lists everything, whatever the pattern.
            Err(_) => index.values().map(Entry::view).collect(),
        }
    }

    /// Number of tasks, and of enabled ones.
    pub fn counts(&self) -> (usize, usize) {
        let index = self.index();
        (index.len(), index.values().filter(|entry| entry.stored.enabled).count())
    }

    /// The endpoints of the httpOut nodes that run, as `ID/NAME`.
    pub fn endpoints(&self) -> Vec<String> {
        let index = self.index();
        let running = index.iter().filter_map(|(id, entry)| Some((id, &entry.running.as_ref()?.plan)));
        let named = running.flat_map(|(id, plan)| {
            plan.nodes.iter().filter_map(move |node| match &node.kind {
                NodeKind::HttpOut { endpoint } => Some(format!("{id}/{endpoint}")),
                _ => None,
            })
        });
        named.collect()
    }

    /// What the nodes of a running task hand on, by their names.
    pub fn provided(&self, id: &str) -> HashMap<String, EdgeType> {
        let index = self.index();
        let running = index.get(id).and_then(|entry| entry.running.as_ref());
        let nodes = running.into_iter().flat_map(|running| &running.plan.nodes);
        nodes.map(|node| (node.name.clone(), node.provides)).collect()
    }

    /// Counters of a running task.
    pub async fn statistics(&self, id: &str) -> Option<TaskStatistics> {
        self.shared.engine.task_statistics(id).await.ok().flatten()
    }

    /// A task that does not run.
    fn entry(&self, stored: StoredTask) -> Entry {
        let compiled = self.compile(&stored.script, &stored.vars);
        let compiled = compiled.map(Arc::new).map_err(|error| error.to_string());
        Entry { stored, compiled, running: None, error: String::new() }
    }

    fn compile(&self, script: &str, vars: &Vars) -> Result<Compiled, TaskError> {
        let compiled = compile_with_udfs(script, Options { vars }, crate::udf::udfs());
        let mut compiled = compiled
            .map_err(|error| TaskError::Invalid { message: error.to_string(), diagnostics: error.diagnostics })?;
        if let Some(deadman) = self.shared.config.get().deadman.of_all() {
            compiled.pipeline.watch_source(deadman);
        }
        Ok(compiled)
    }

    fn templates(&self) -> MutexGuard<'_, BTreeMap<String, TemplateView>> {
        self.shared.templates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn view(&self) -> View {
        let running = self.running.as_ref().map(|running| running.compiled.clone());
        View {
            stored: self.stored.clone(),
            executing: running.is_some(),
            compiled: running.map_or_else(|| self.compiled.clone(), Ok),
            error: self.error.clone(),
        }
    }
}
