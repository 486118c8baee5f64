//! Stream recordings: a hidden task whose one operator taps the points, and a file that takes its text.
//!
//! reference: batch-and-replay §11. The tap is routed like any task, so points that nobody records cost nothing, and it
//! runs whole on one shard, so the file has them in order of arrival.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hashbrown::HashMap;
use proto::{
    Plan,
    message::{Refusal, Reply, Report, StreamRecording},
    plan::{EdgeType, From, Node, NodeKind, PLAN_VERSION, Record},
};
use tokio::sync::mpsc;

use super::tasks::Tasks;
use crate::{
    node::Recorded,
    recording::{Ended, Job, PIECES, RecordingError},
    routing::Instance,
};

/// Where the taps of all shards hand over their text, by instance. Locked once a piece of text.
#[derive(Clone, Default)]
pub struct Taps(Arc<Mutex<HashMap<Instance, mpsc::Sender<Recorded>>>>);

impl Taps {
    /// False if there is no room, or nobody takes it any more.
    pub fn send(&self, instance: Instance, recorded: Recorded) -> bool {
        let taps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taps.get(&instance).is_some_and(|tap| tap.try_send(recorded).is_ok())
    }

    fn insert(&self, instance: Instance, tap: mpsc::Sender<Recorded>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(instance, tap);
    }

    fn remove(&self, instance: Instance) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&instance);
    }
}

struct Running {
    instance: Instance,
    /// Why the tap ended before the file.
    failure: Option<String>,
    /// Tells the file's thread to give up.
    dropped: Arc<AtomicBool>,
}

/// The recordings that run.
pub struct Recordings {
    taps: Taps,
    jobs: mpsc::UnboundedSender<Job>,
    ended: mpsc::UnboundedReceiver<Ended>,
    /// Ends that came while another was waited for.
    earlier: VecDeque<Ended>,
    running: HashMap<String, Running>,
}

impl Recordings {
    pub fn new(taps: Taps, jobs: mpsc::UnboundedSender<Job>, ended: mpsc::UnboundedReceiver<Ended>) -> Recordings {
        Recordings { taps, jobs, ended, earlier: VecDeque::new(), running: HashMap::new() }
    }

    pub async fn start(&mut self, recording: StreamRecording, tasks: &mut Tasks) -> Result<Reply, Refusal> {
        let name = name(&recording.id);
        let plan = plan(&recording, &name);
        let (tap, text) = mpsc::channel(PIECES);
        let instance = tasks.next_instance();
        self.taps.insert(instance, tap);
        if let Err(refusal) = tasks.start_hidden(plan).await {
            self.taps.remove(instance);
            return Err(refusal);
        }
        let StreamRecording { id, file, bytes_max, .. } = recording;
        let dropped = Arc::<AtomicBool>::default();
        let job = Job { id: id.clone(), file: file.into(), bytes_max, text, dropped: dropped.clone() };
        if self.jobs.send(job).is_err() {
            self.taps.remove(instance);
            let _ = tasks.stop(&name).await;
            return Err(Refusal::CannotStart("recordings cannot be written".to_owned()));
        }
        self.running.insert(id, Running { instance, failure: None, dropped });
        Ok(Reply::Done)
    }

    /// The next file that ended; cancelling loses nothing.
    pub async fn next_ended(&mut self) -> Option<Ended> {
        match self.earlier.pop_front() {
            Some(ended) => Some(ended),
            None => self.ended.recv().await,
        }
    }

    /// Ends a recording; its unfinished file is gone when this returns.
    pub async fn stop(&mut self, id: &str, tasks: &mut Tasks) -> Result<Reply, Refusal> {
        let Some(running) = self.running.remove(id) else { return Err(Refusal::UnknownRecording(id.to_owned())) };
        running.dropped.store(true, Ordering::Relaxed);
        self.taps.remove(running.instance);
        let _ = tasks.stop(&name(id)).await;
        while let Some(ended) = self.ended.recv().await {
            if ended.id == id {
                break;
            }
            self.earlier.push_back(ended);
        }
        Ok(Reply::Done)
    }

    /// The control plane that asked for them is gone.
    pub async fn stop_all(&mut self, tasks: &mut Tasks) {
        let ids: Vec<String> = self.running.keys().cloned().collect();
        for id in ids {
            let _ = self.stop(&id, tasks).await;
        }
    }

    /// A task failed: whether it is the tap of a recording.
    pub async fn failed(&mut self, instance: Instance, error: &str, tasks: &mut Tasks) -> bool {
        let Some((id, running)) = self.running.iter_mut().find(|(_, running)| running.instance == instance) else {
            return false;
        };
        running.failure = Some(error.to_owned());
        self.taps.remove(instance);
        let name = name(id);
        let _ = tasks.stop(&name).await;
        true
    }

    /// A file has ended: what control is told.
    pub async fn file_ended(&mut self, ended: Ended, tasks: &mut Tasks) -> Option<Report> {
        let running = self.running.remove(&ended.id)?;
        self.taps.remove(running.instance);
        let _ = tasks.stop(&name(&ended.id)).await;
        let result = match (ended.result, running.failure) {
            (Err(RecordingError::GivenUp), Some(failure)) => Err(failure),
            (result, _) => result.map_err(|error| error.to_string()),
        };
        Some(Report::Recorded { id: ended.id, result })
    }
}

/// No id of a task has a blank.
fn name(id: &str) -> String {
    format!("recording {id}")
}

/// `stream|from()…|record()`, a `from` for each measurement.
fn plan(recording: &StreamRecording, name: &str) -> Plan {
    let node = |name: &str, parents, kind| Node {
        name: name.to_owned(),
        parents,
        provides: EdgeType::Stream,
        quiet: true,
        kind,
    };
    let mut nodes = vec![node("stream0", vec![], NodeKind::Stream)];
    let all = [String::new()];
    let measurements = if recording.measurements.is_empty() { &all[..] } else { &recording.measurements };
    for measurement in measurements {
        let from = From { measurement: measurement.clone(), ..From::default() };
        nodes.push(node("from", vec![0], NodeKind::From(from)));
    }
    let parents = (1..nodes.len()).collect();
    nodes.push(node("record", parents, NodeKind::Record(Record { stop: recording.stop })));
    Plan {
        version: PLAN_VERSION,
        task: name.to_owned(),
        edge: EdgeType::Stream,
        dbrps: recording.dbrps.clone(),
        nodes,
        levels: Vec::new(),
    }
}
