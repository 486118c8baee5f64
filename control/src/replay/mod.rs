//! Replays: recorded data into an instance of a task of its own (reference: batch-and-replay §12, http-api §17).
//!
//! The instance lives in the data plane beside the live task and ends with its feed. Its alert events come back over the
//! feed, so all of them are in their topics when the replay says `finished`.

pub mod feed;
mod file;
mod pump;
mod run;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::message::{NodeStatistics, TaskStatistics};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::{
    alert::Alerts,
    batch::allowed_queries,
    engine::EngineError,
    recording::{RecordingError, Recordings, SHUTDOWN, Status, second},
    store::{ReplayTable, Store, StoreError, StoredReplay},
    task::{Page, TaskError, Tasks},
    tick::pipeline::TaskType,
};
use file::Progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    Fast,
    Real,
}

impl Clock {
    pub fn as_str(self) -> &'static str {
        match self {
            Clock::Fast => "fast",
            Clock::Real => "real",
        }
    }
}

/// Why a request for a replay is refused. The text is what the API shows.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{0}")]
    Invalid(String),
    #[error("replay already exists")]
    Exists,
    #[error("could not find replay: no replay exists")]
    Missing,
    #[error("task load: {0}")]
    Task(TaskError),
    #[error("recording not found: no recording exists")]
    Recording,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a replay is asked to be.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: Option<String>,
    pub task: String,
    pub recording_time: bool,
    pub clock: Clock,
}

/// A question for a running replay.
enum Question {
    /// The rows of an httpOut node.
    HttpOut {
        endpoint: String,
        reply: oneshot::Sender<Result<Option<String>, EngineError>>,
    },
    Statistics {
        reply: oneshot::Sender<Vec<NodeStatistics>>,
    },
}

/// What is known of a replay while it runs.
struct Running {
    task: String,
    questions: mpsc::Sender<Question>,
    progress: Progress,
}

/// The replay service; cheap to clone.
#[derive(Clone)]
pub struct Replays {
    shared: Arc<Shared>,
}

struct Shared {
    index: Mutex<BTreeMap<String, StoredReplay>>,
    running: Mutex<HashMap<String, Running>>,
    table: ReplayTable,
    recordings: Recordings,
    tasks: Tasks,
    alerts: Alerts,
    /// Socket of the link; feeds are beside it.
    link: PathBuf,
}

impl Replays {
    /// Replays of the store. What was running has failed.
    pub fn open(store: &Store, recordings: Recordings, alerts: Alerts, link: PathBuf) -> Result<Replays, StoreError> {
        let table = store.replays();
        let mut index = BTreeMap::new();
        for mut replay in table.all()? {
            if replay.status == Status::Running {
                replay.status = Status::Failed;
                replay.progress = 0.0;
                SHUTDOWN.clone_into(&mut replay.error);
                table.put(&replay)?;
            }
            index.insert(replay.id.clone(), replay);
        }
        let shared = Shared {
            index: Mutex::new(index),
            running: Mutex::default(),
            table,
            tasks: recordings.tasks().clone(),
            recordings,
            alerts,
            link,
        };
        Ok(Replays { shared: Arc::new(shared) })
    }

    pub fn get(&self, id: &str) -> Result<StoredReplay, ReplayError> {
        let found = self.index().get(id).cloned().ok_or(ReplayError::Missing)?;
        Ok(self.shown(found))
    }

    /// A page of the replays whose id matches, newest first.
    pub fn list(&self, page: &Page) -> Vec<StoredReplay> {
        let mut all: Vec<StoredReplay> = self.index().values().cloned().collect();
        all.sort_by_key(|replay| (std::cmp::Reverse(second(replay.date)), std::cmp::Reverse(replay.id.clone())));
        page.of(all, |replay| &replay.id).into_iter().map(|replay| self.shown(replay)).collect()
    }

    /// POST replays: plays a recording. Must be called inside a runtime.
    pub fn start(&self, request: Request, recording: &str, now: i64) -> Result<StoredReplay, ReplayError> {
        let id = new_id(request.id.clone())?;
        self.shared.tasks.get(&request.task).map_err(ReplayError::Task)?;
        let recorded = self.shared.recordings.get(recording).map_err(|error| match error {
            RecordingError::Store(error) => ReplayError::Store(error),
            _ => ReplayError::Recording,
        })?;
        let file = self.shared.recordings.file(recording, recorded.kind);
        self.begin(id, request, recording, run::Source::File(file), now)
    }

    /// POST replays/batch: the task's queries over a range of time, into the task. Must be called inside a runtime.
    pub fn batch(
        &self,
        request: Request,
        start: Option<i64>,
        stop: i64,
        now: i64,
    ) -> Result<StoredReplay, ReplayError> {
        let id = new_id(request.id.clone())?;
        let view = self.shared.tasks.get(&request.task).map_err(ReplayError::Task)?;
        let compiled = view.compiled.map_err(ReplayError::Invalid)?;
        if compiled.task_type == TaskType::Stream {
            return Err(ReplayError::Invalid(format!("cannot replay batch against stream task: {}", request.task)));
        }
        let start = start.ok_or_else(|| ReplayError::Invalid("must provide start time".to_owned()))?;
        self.refuse_known(&id)?;
        let queries = allowed_queries(&compiled.pipeline, &view.stored.dbrps);
        self.begin(id, request, "", run::Source::Range { queries, range: (start, stop) }, now)
    }

    /// POST replays/query: one query into the task. Must be called inside a runtime.
    pub fn query(
        &self,
        request: Request,
        query: String,
        cluster: String,
        now: i64,
    ) -> Result<StoredReplay, ReplayError> {
        let id = new_id(request.id.clone())?;
        if query.is_empty() {
            return Err(ReplayError::Invalid("must provide query".to_owned()));
        }
        self.shared.tasks.get(&request.task).map_err(ReplayError::Task)?;
        self.refuse_known(&id)?;
        self.begin(id, request, "", run::Source::Query { query, cluster }, now)
    }

    fn refuse_known(&self, id: &str) -> Result<(), ReplayError> {
        if self.index().contains_key(id) { Err(ReplayError::Exists) } else { Ok(()) }
    }

    /// The rows of an httpOut node of a replay of this task that runs; `None` if there is none with that endpoint.
    pub async fn http_out(&self, task: &str, endpoint: &str) -> Option<Result<Option<String>, EngineError>> {
        let asked: Vec<_> = self
            .running()
            .values()
            .filter(|running| running.task == task)
            .map(|running| running.questions.clone())
            .collect();
        for questions in asked {
            let (reply, answer) = oneshot::channel();
            let question = Question::HttpOut { endpoint: endpoint.to_owned(), reply };
            if questions.send(question).await.is_ok()
                && let Ok(answer) = answer.await
                && !matches!(answer, Err(EngineError::Refused(proto::message::Refusal::UnknownEndpoint { .. })))
            {
                return Some(answer);
            }
        }
        None
    }

    /// The task of a replay that runs.
    pub fn task(&self, replay: &str) -> Option<String> {
        self.running().get(replay).map(|running| running.task.clone())
    }

    /// What a replay has counted so far; `None` if it does not run any more.
    pub async fn statistics(&self, replay: &str) -> Option<TaskStatistics> {
        let (reply, answer) = oneshot::channel();
        let questions = self.running().get(replay)?.questions.clone();
        questions.send(Question::Statistics { reply }).await.ok()?;
        Some(TaskStatistics { nodes: answer.await.ok()?, ..TaskStatistics::default() })
    }

    /// DELETE replays/ID; one that runs goes on, and its end is not kept.
    pub fn delete(&self, id: &str) -> Result<(), ReplayError> {
        self.index().remove(id);
        Ok(self.shared.table.delete(id)?)
    }

    /// Makes the entry of a replay and starts it. A new replay of a known id takes that one's place.
    fn begin(
        &self,
        id: String,
        request: Request,
        recording: &str,
        source: run::Source,
        now: i64,
    ) -> Result<StoredReplay, ReplayError> {
        let replay = StoredReplay {
            id: id.clone(),
            task: request.task,
            recording: recording.to_owned(),
            recording_time: request.recording_time,
            clock: request.clock,
            date: now,
            error: String::new(),
            status: Status::Running,
            progress: 0.0,
            stats: json!({}),
        };
        if self.running().contains_key(&id) {
            return Err(ReplayError::Exists);
        }
        self.shared.table.put(&replay)?;
        self.index().insert(id.clone(), replay.clone());
        let (questions, asked) = mpsc::channel(16);
        let progress = Progress::default();
        let running = Running { task: replay.task.clone(), questions, progress: progress.clone() };
        self.running().insert(id, running);
        tokio::spawn(self.clone().run(replay.clone(), source, now, progress, asked));
        Ok(replay)
    }

    /// A replay has ended. One that was deleted meanwhile is not kept.
    fn ended(&self, id: &str, result: Result<serde_json::Value, String>, now: i64) {
        self.running().remove(id);
        let mut index = self.index();
        let Some(replay) = index.get_mut(id) else { return };
        replay.date = now;
        replay.progress = 1.0;
        match result {
            Ok(stats) => {
                replay.status = Status::Finished;
                replay.stats = stats;
            }
            Err(error) => {
                tracing::error!(service = "replay", replay = id, err = error, "replay failed");
                replay.status = Status::Failed;
                replay.error = error;
            }
        }
        if let Err(error) = self.shared.table.put(replay) {
            tracing::error!(service = "replay", replay = id, err = %error, "the end of a replay cannot be kept");
        }
    }

    /// A fast replay that runs shows how much of its file has been read.
    fn shown(&self, mut replay: StoredReplay) -> StoredReplay {
        if replay.status == Status::Running
            && replay.clock == Clock::Fast
            && let Some(running) = self.running().get(&replay.id)
        {
            // 1 is for those that have ended.
            replay.progress = (running.progress.fraction() * 1_000.0).floor().min(999.0) / 1_000.0;
        }
        replay
    }

    fn index(&self) -> MutexGuard<'_, BTreeMap<String, StoredReplay>> {
        self.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_id(id: Option<String>) -> Result<String, ReplayError> {
    crate::recording::new_id(id)
        .map_err(|error| ReplayError::Invalid(error.to_string().replacen("recording", "replay", 1)))
}
