//! Recordings: real data in files, to be replayed against a task (reference: batch-and-replay §11, http-api §15).
//!
//! A recording's entry is in the store from the request on; its file bears its name only when it is complete. Stream
//! recordings are written by the data plane, the others here. What was running when a process died is `failed` after the
//! restart, and its unfinished file is gone.

mod folder;
mod queries;
mod source;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use proto::message::StreamRecording;
use serde::{Deserialize, Serialize};

use crate::{
    engine::Engine,
    influxdb::Clusters,
    store::{RecordingTable, Store, StoreError, StoredRecording},
    task::{Page, TaskError, Tasks},
    tick::pipeline::{Pipeline, TaskType},
};
pub use folder::part;
pub use queries::{answer, ticks};
pub use source::Source;

/// How far a recording may go.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Bytes of the file.
    pub size: u64,
    /// By the wall clock; zero: no limit.
    pub duration: Duration,
}

impl Caps {
    /// What a recording says that reached the largest size.
    fn too_large(&self) -> String {
        format!("the recording reached its largest size of {} bytes", self.size)
    }

    /// What a recording says that took too long.
    fn too_long(&self) -> String {
        format!("the recording reached its longest duration of {:?}", self.duration)
    }

    /// When a recording that starts now has to end.
    fn deadline(&self) -> Option<Instant> {
        (!self.duration.is_zero()).then(|| Instant::now() + self.duration)
    }
}

/// Longest id in bytes.
pub const ID_BYTES_MAX: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Stream,
    Batch,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Batch => "batch",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Kind::Stream => "srpl",
            Kind::Batch => "brpl",
        }
    }
}

/// Of a recording or a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Running,
    Finished,
    Failed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Finished => "finished",
            Status::Failed => "failed",
        }
    }
}

/// Why a request for a recording is refused. The text is what the API shows.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("{0}")]
    Invalid(String),
    #[error("recording already exists")]
    Exists,
    #[error("error finding recording: no recording exists")]
    Missing,
    #[error(transparent)]
    Task(#[from] TaskError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("remove {path}: {error}")]
    File { path: PathBuf, error: String },
    #[error("{0}")]
    Engine(String),
}

/// What a running recording that died with its process says.
pub const SHUTDOWN: &str = "unexpected shutdown: it was running when the server ended";

/// The recording service; cheap to clone.
#[derive(Clone)]
pub struct Recordings {
    shared: Arc<Shared>,
}

struct Shared {
    index: Mutex<BTreeMap<String, StoredRecording>>,
    table: RecordingTable,
    folder: PathBuf,
    caps: Caps,
    engine: Engine,
    tasks: Tasks,
    clusters: Clusters,
}

impl Recordings {
    /// Recordings of the store, and files that were put into the folder. What was running has failed.
    pub fn open(
        store: &Store,
        folder: &Path,
        caps: Caps,
        engine: Engine,
        tasks: Tasks,
        clusters: Clusters,
    ) -> Result<Recordings, StoreError> {
        let table = store.recordings();
        let mut index = BTreeMap::new();
        for mut recording in table.all()? {
            if recording.status == Status::Running {
                // A file bears its name only when it is complete.
                match std::fs::metadata(folder.join(format!("{}.{}", recording.id, recording.kind.extension()))) {
                    Ok(file) => {
                        recording.status = Status::Finished;
                        (recording.progress, recording.size) = (1.0, i64::try_from(file.len()).unwrap_or(i64::MAX));
                    }
                    Err(_) => {
                        recording.status = Status::Failed;
                        SHUTDOWN.clone_into(&mut recording.error);
                        (recording.progress, recording.size) = (0.0, 0);
                    }
                }
                table.put(&recording)?;
            }
            index.insert(recording.id.clone(), recording);
        }
        for found in folder::scan(folder) {
            if !index.contains_key(&found.id) {
                table.put(&found)?;
                index.insert(found.id.clone(), found);
            }
        }
        let folder = folder.to_owned();
        let shared = Shared { index: Mutex::new(index), table, folder, caps, engine, tasks, clusters };
        Ok(Recordings { shared: Arc::new(shared) })
    }

    pub fn get(&self, id: &str) -> Result<StoredRecording, RecordingError> {
        let found = self.index().get(id).cloned().ok_or(RecordingError::Missing)?;
        Ok(self.shown(found))
    }

    /// A page of the recordings whose id matches, newest first.
    pub fn list(&self, page: &Page) -> Vec<StoredRecording> {
        let mut all: Vec<StoredRecording> = self.index().values().cloned().collect();
        all.sort_by_key(|recording| {
            (std::cmp::Reverse(second(recording.date)), std::cmp::Reverse(recording.id.clone()))
        });
        page.of(all, |recording| &recording.id).into_iter().map(|recording| self.shown(recording)).collect()
    }

    /// The file of a recording when it is complete.
    pub fn file(&self, id: &str, kind: Kind) -> PathBuf {
        self.shared.folder.join(format!("{id}.{}", kind.extension()))
    }

    /// POST recordings/stream. The first point later than `stop` ends it; points are taken when this returns.
    pub async fn stream(
        &self,
        id: Option<String>,
        task: &str,
        stop: i64,
        now: i64,
    ) -> Result<StoredRecording, RecordingError> {
        let id = new_id(id)?;
        let view = self.shared.tasks.get(task)?;
        let compiled = view.compiled.map_err(RecordingError::Invalid)?;
        if compiled.task_type != TaskType::Stream {
            return Err(RecordingError::Invalid(format!("cannot record a stream for batch task: {task}")));
        }
        let recording = self.begin(id.clone(), Kind::Stream, now)?;
        let tap = StreamRecording {
            id: id.clone(),
            dbrps: view.stored.dbrps,
            measurements: measurements(&compiled.pipeline),
            stop,
            file: self.file(&id, Kind::Stream).to_string_lossy().into_owned(),
            bytes_max: self.shared.caps.size,
        };
        match self.shared.engine.record(tap).await {
            Ok(()) => {
                if let Some(deadline) = self.shared.caps.deadline() {
                    tokio::spawn(self.clone().end_stream_at(deadline, recording.clone()));
                }
                Ok(recording)
            }
            Err(error) => {
                self.index().remove(&id);
                self.shared.table.delete(&id)?;
                Err(RecordingError::Engine(error.to_string()))
            }
        }
    }

    /// Ends a stream recording that took too long, unless it has ended.
    async fn end_stream_at(self, deadline: Instant, recording: StoredRecording) {
        tokio::time::sleep_until(deadline.into()).await;
        let StoredRecording { id, date, .. } = recording;
        let runs = |found: &StoredRecording| found.status == Status::Running && found.date == date;
        if !self.index().get(&id).is_some_and(runs) {
            return;
        }
        let _ = self.shared.engine.stop_recording(&id).await;
        self.ended(&id, Err(self.shared.caps.too_long()), dataplane::clock::now());
    }

    /// Makes the entry of a recording that starts.
    pub fn begin(&self, id: String, kind: Kind, now: i64) -> Result<StoredRecording, RecordingError> {
        let (error, status) = (String::new(), Status::Running);
        let recording = StoredRecording { id: id.clone(), kind, size: 0, date: now, error, status, progress: 0.0 };
        let mut index = self.index();
        if index.contains_key(&id) {
            return Err(RecordingError::Exists);
        }
        self.shared.table.put(&recording)?;
        index.insert(id, recording.clone());
        Ok(recording)
    }

    /// A recording has ended, with the bytes of its file or the reason why there is none. One that was deleted meanwhile
    /// leaves nothing behind.
    pub fn ended(&self, id: &str, result: Result<u64, String>, now: i64) {
        let mut index = self.index();
        let Some(recording) = index.get_mut(id).filter(|recording| recording.status == Status::Running) else { return };
        recording.date = now;
        recording.progress = 1.0;
        match result {
            Ok(bytes) => {
                recording.status = Status::Finished;
                recording.size = i64::try_from(bytes).unwrap_or(i64::MAX);
            }
            Err(error) => {
                tracing::error!(service = "replay", recording = id, err = error, "recording failed");
                recording.status = Status::Failed;
                recording.error = error;
                recording.size = 0;
            }
        }
        if let Err(error) = self.shared.table.put(recording) {
            tracing::error!(service = "replay", recording = id, err = %error, "the end of a recording cannot be kept");
        }
    }

    /// A recording could not begin: there never was a file.
    fn refused(&self, id: &str, error: String, now: i64) {
        self.ended(id, Err(error), now);
        if let Some(recording) = self.index().get_mut(id) {
            recording.size = -1;
            let _ = self.shared.table.put(recording);
        }
    }

    /// The data plane is gone, and what it recorded with it.
    pub fn data_plane_lost(&self, now: i64) {
        let running =
            |recording: &&StoredRecording| recording.kind == Kind::Stream && recording.status == Status::Running;
        let ids: Vec<String> = self.index().values().filter(running).map(|recording| recording.id.clone()).collect();
        for id in ids {
            let _ = std::fs::remove_file(part(&self.file(&id, Kind::Stream)));
            self.ended(&id, Err("the data plane ended while it recorded".to_owned()), now);
        }
    }

    /// DELETE recordings/ID; one that does not exist is deleted already.
    pub async fn delete(&self, id: &str) -> Result<(), RecordingError> {
        let Some(recording) = self.index().remove(id) else { return Ok(()) };
        self.shared.table.delete(id)?;
        let file = self.file(id, recording.kind);
        if recording.status == Status::Running {
            if recording.kind == Kind::Stream {
                let _ = self.shared.engine.stop_recording(id).await;
            }
            let _ = std::fs::remove_file(part(&file));
            let _ = std::fs::remove_file(&file);
            return Ok(());
        }
        std::fs::remove_file(&file).or_else(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if missing && recording.status == Status::Failed && recording.size >= 0 {
                return Ok(());
            }
            let error = if missing { "no such file or directory".to_owned() } else { error.to_string() };
            Err(RecordingError::File { path: file, error })
        })
    }

    /// A running recording shows what has been written.
    fn shown(&self, mut recording: StoredRecording) -> StoredRecording {
        if recording.status == Status::Running {
            let written = std::fs::metadata(part(&self.file(&recording.id, recording.kind)));
            recording.size = written.map_or(0, |written| i64::try_from(written.len()).unwrap_or(i64::MAX));
        }
        recording
    }

    pub fn clusters(&self) -> &Clusters {
        &self.shared.clusters
    }

    pub fn tasks(&self) -> &Tasks {
        &self.shared.tasks
    }

    fn index(&self) -> MutexGuard<'_, BTreeMap<String, StoredRecording>> {
        self.shared.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id that was asked for, or a new one.
pub fn new_id(id: Option<String>) -> Result<String, RecordingError> {
    match id.filter(|id| !id.is_empty()) {
        None => Ok(uuid::Uuid::new_v4().to_string()),
        Some(id) if id.len() > ID_BYTES_MAX => {
            Err(RecordingError::Invalid(format!("recording ID has {} bytes, {ID_BYTES_MAX} are the most", id.len())))
        }
        Some(id) if crate::task::is_valid_id(&id) => Ok(id),
        Some(id) => Err(RecordingError::Invalid(format!(
            "recording ID must contain only letters, numbers, '-', '.' and '_'. {id:?}"
        ))),
    }
}

/// Lists are ordered by whole seconds.
pub fn second(nanoseconds: i64) -> i64 {
    nanoseconds.div_euclid(1_000_000_000)
}

/// The measurements that a task reads; none if it reads all.
fn measurements(pipeline: &Pipeline) -> Vec<String> {
    let sources = pipeline.nodes.iter().filter(|node| node.spec.method == "from" && node.parents == [0]);
    let mut names: Vec<String> =
        sources.map(|node| node.string("measurement").unwrap_or_default().to_owned()).collect();
    names.sort();
    names.dedup();
    if names.iter().any(String::is_empty) { Vec::new() } else { names }
}
