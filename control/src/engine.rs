//! The data plane as the rest of the control plane sees it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use proto::{
    Plan,
    message::{Command, Listener, Refusal, Reply, Request, Settings, Statistics, StreamRecording, TaskStatistics},
    plan::SideloadFile,
    profile::{Profile, ProfileKind},
};
use tokio::sync::{mpsc, oneshot};

/// A future that borrows.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Commands on their way to the data plane. Full: callers wait.
pub const COMMANDS: usize = 1_024;

/// Why the data plane did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the data plane is restarting, try again")]
    Away,
}

/// A command without its number, and who waits for the answer.
pub struct Call {
    pub command: Box<dyn FnOnce(Request) -> Command + Send>,
    pub reply: oneshot::Sender<Result<Reply, EngineError>>,
}

/// Sends commands; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    calls: mpsc::Sender<Call>,
    settings: Arc<Mutex<Settings>>,
    followers: Arc<AtomicUsize>,
}

/// Somebody who follows the log; dropped when they leave.
pub struct Follower {
    engine: Engine,
}

impl Engine {
    /// An engine, and the calls that a link carries out.
    pub fn new() -> (Engine, mpsc::Receiver<Call>) {
        let (calls, received) = mpsc::channel(COMMANDS);
        (Engine { calls, settings: Arc::default(), followers: Arc::default() }, received)
    }

    /// An engine without a data plane.
    pub fn detached() -> Engine {
        Engine::new().0
    }

    /// What a data plane is told when it is connected.
    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what the next data plane is told.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes what this data plane and the next ones are told. Without one that is done, too.
    pub async fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.set(change);
        let engine = self.clone();
        // Read when the command is sent, so that of two changes the later one stays.
        let _ = self.call(move |request| Command::Configure { request, settings: engine.settings() }).await;
    }

    /// The data plane reports its log for as long as somebody follows it. Must be called inside a runtime.
    pub fn follow_log(&self) -> Follower {
        self.followers.fetch_add(1, Ordering::Relaxed);
        self.clone().tell_of_followers();
        Follower { engine: self.clone() }
    }

    fn tell_of_followers(self) {
        tokio::spawn(async move {
            let followers = self.followers.clone();
            self.configure(|settings| settings.follow_log = followers.load(Ordering::Relaxed) > 0).await;
        });
    }

    pub async fn start_task(&self, fingerprint: u64, plan: Plan) -> Result<(), EngineError> {
        self.call(move |request| Command::StartTask { request, fingerprint, plan }).await.map(drop)
    }

    pub async fn stop_task(&self, task: &str) -> Result<(), EngineError> {
        let task = task.to_owned();
        self.call(move |request| Command::StopTask { request, task }).await.map(drop)
    }

    /// JSON rows, comma-separated; `None` before any data.
    pub async fn http_out(&self, task: &str, endpoint: &str) -> Result<Option<String>, EngineError> {
        let (task, endpoint) = (task.to_owned(), endpoint.to_owned());
        match self.call(move |request| Command::HttpOut { request, task, endpoint }).await? {
            Reply::HttpOut(rows) => Ok(rows),
            _ => Err(EngineError::Away),
        }
    }

    /// Of everything.
    pub async fn statistics(&self) -> Result<Statistics, EngineError> {
        self.statistics_of(None).await
    }

    /// Of one task; `None` if it does not run.
    pub async fn task_statistics(&self, task: &str) -> Result<Option<TaskStatistics>, EngineError> {
        let mut statistics = self.statistics_of(Some(task.to_owned())).await?;
        Ok(statistics.tasks.pop())
    }

    async fn statistics_of(&self, task: Option<String>) -> Result<Statistics, EngineError> {
        match self.call(|request| Command::Statistics { request, task }).await? {
            Reply::Statistics(statistics) => Ok(*statistics),
            _ => Err(EngineError::Away),
        }
    }

    /// Answers when points go into the recording.
    pub async fn record(&self, recording: StreamRecording) -> Result<(), EngineError> {
        let recording = Box::new(recording);
        self.call(move |request| Command::Record { request, recording }).await.map(drop)
    }

    /// Ends a recording without keeping its file.
    pub async fn stop_recording(&self, id: &str) -> Result<(), EngineError> {
        let id = id.to_owned();
        self.call(move |request| Command::StopRecording { request, id }).await.map(drop)
    }

    /// Opens an input of line protocol, unless it is open; answers where it listens.
    pub async fn listen(&self, listener: Listener) -> Result<String, EngineError> {
        match self.call(move |request| Command::Listen { request, listener }).await? {
            Reply::Listening(address) => Ok(address),
            _ => Err(EngineError::Away),
        }
    }

    /// Lines of our own, taken as if somebody had written them.
    pub async fn write(&self, database: &str, retention_policy: &str, lines: String) -> Result<(), EngineError> {
        let (database, retention_policy) = (database.to_owned(), retention_policy.to_owned());
        self.call(move |request| Command::Write { request, database, retention_policy, lines }).await.map(drop)
    }

    /// Gives a sideload node of a running task its files anew.
    pub async fn sideload(&self, task: &str, node: &str, files: Vec<SideloadFile>) -> Result<(), EngineError> {
        let (task, node) = (task.to_owned(), node.to_owned());
        self.call(move |request| Command::Sideload { request, task, node, files }).await.map(drop)
    }

    /// A profile of the data plane.
    pub async fn profile(&self, kind: ProfileKind) -> Result<Profile, EngineError> {
        match self.call(move |request| Command::Profile { request, kind }).await? {
            Reply::Profile(profile) => Ok(*profile),
            _ => Err(EngineError::Away),
        }
    }

    /// Finishes what was accepted and ends the data plane.
    pub async fn drain(&self) -> Result<(), EngineError> {
        self.call(|request| Command::Drain { request }).await.map(drop)
    }

    async fn call(&self, command: impl FnOnce(Request) -> Command + Send + 'static) -> Result<Reply, EngineError> {
        let (reply, answer) = oneshot::channel();
        let call = Call { command: Box::new(command), reply };
        self.calls.send(call).await.map_err(|_| EngineError::Away)?;
        answer.await.map_err(|_| EngineError::Away)?
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.engine.followers.fetch_sub(1, Ordering::Relaxed);
        if tokio::runtime::Handle::try_current().is_ok() {
            self.engine.clone().tell_of_followers();
        }
    }
}

/// The tasks that should run; asked when a data plane has connected.
pub trait TaskSource: Send + Sync + 'static {
    /// Fingerprint and plan of every enabled task, in order of id.
    fn desired(&self) -> Boxed<'_, Vec<(u64, Plan)>>;

    /// A desired task was started, or why it was not.
    fn started<'a>(&'a self, task: &'a str, result: Result<(), String>) -> Boxed<'a, ()>;

    /// A task stopped because a node of it failed.
    fn failed<'a>(&'a self, task: &'a str, fingerprint: u64, error: String) -> Boxed<'a, ()>;

    /// A stream recording ended, with the bytes of its file.
    fn recorded(&self, _id: &str, _result: Result<u64, String>) {}

    /// The data plane is gone.
    fn lost(&self) {}
}

/// A shared source of tasks.
pub type Tasks = Arc<dyn TaskSource>;
