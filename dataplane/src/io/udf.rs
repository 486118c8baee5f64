//! User-defined functions: a process or a connection a node, spoken to in order (reference: nodes-alert-join-io §8).
//!
//! What goes to a function waits in a queue that is bounded in bytes; when it is full, what comes is dropped with a
//! counter, unless it comes from a lane: that one is told what has been written and waits. A function that says nothing for
//! its timeout, ends with an error or breaks the protocol fails its task.

use std::{cell::Cell, process::Stdio, rc::Rc, time::Duration};

use hashbrown::HashMap;
use proto::plan::{Udf, UdfProgram};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command as Process},
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::shards::Shards;
use crate::{
    clock,
    node::udf::{UdfAct, UdfEvent},
    routing::Instance,
    shard::command::{Asker, Command, UdfOutput},
    udf::{OptionValue, Request, Response, frame, split},
};

/// Largest snapshot that is kept.
const SNAPSHOT_BYTES_MAX: usize = 16 << 20;

/// How long a socket is tried, and the pauses between attempts: the first, and the longest.
const CONNECT_FOR: Duration = Duration::from_secs(300);
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The last snapshot of a function, by task and node: given to it when the task starts again.
type Snapshots = Rc<std::cell::RefCell<HashMap<(String, String), Vec<u8>>>>;

struct Speaker {
    queue: mpsc::UnboundedSender<UdfAct>,
    bytes: Rc<Cell<usize>>,
}

/// Takes what nodes ask for as long as there are shards. Runs on the I/O thread's local set. For each function `bytes_max` may
/// wait; what is more is dropped with a counter.
pub async fn run(mut outputs: mpsc::Receiver<UdfOutput>, shards: Shards, dropped: Rc<Cell<u64>>, bytes_max: usize) {
    let mut speakers: HashMap<(Instance, String), Speaker> = HashMap::new();
    let snapshots = Snapshots::default();
    while let Some(output) = outputs.recv().await {
        let UdfOutput { asker, instance, request } = output;
        let key = (instance, request.node.clone());
        match request.act {
            UdfAct::Open(word) => {
                speakers.retain(|_, speaker| !speaker.queue.is_closed());
                let (queue, acts) = mpsc::unbounded_channel();
                let bytes = Rc::new(Cell::new(0));
                speakers.insert(key, Speaker { queue, bytes: bytes.clone() });
                let conversation = Conversation {
                    shards: shards.clone(),
                    asker,
                    instance,
                    task: request.task,
                    node: request.node,
                    plan: request.plan,
                    acts,
                    word,
                    bytes,
                    snapshots: snapshots.clone(),
                };
                tokio::task::spawn_local(conversation.run());
            }
            UdfAct::Data(data) => {
                let Some(speaker) = speakers.get(&key) else { continue };
                let waits = matches!(asker, Asker::Lane(_));
                if !waits && speaker.bytes.get() + data.len() > bytes_max {
                    dropped.set(dropped.get() + 1);
                    continue;
                }
                speaker.bytes.set(speaker.bytes.get() + data.len());
                let _ = speaker.queue.send(UdfAct::Data(data));
            }
            UdfAct::Close => {
                if let Some(speaker) = speakers.remove(&key) {
                    let _ = speaker.queue.send(UdfAct::Close);
                }
            }
        }
    }
}

struct Conversation {
    shards: Shards,
    asker: Asker,
    instance: Instance,
    task: String,
    node: String,
    plan: std::sync::Arc<Udf>,
    acts: mpsc::UnboundedReceiver<UdfAct>,
    /// Of the node; gone without a change where its task has failed.
    word: watch::Receiver<()>,
    /// Bytes of the data in `acts`.
    bytes: Rc<Cell<usize>>,
    snapshots: Snapshots,
}

impl Conversation {
    async fn run(mut self) {
        match self.open().await {
            Err(error) => self.tell(UdfEvent::Failed(error)).await,
            // The other tasks do not wait for the end.
            Ok(()) if matches!(self.asker, Asker::Lane(_)) => self.tell(UdfEvent::Ended).await,
            Ok(()) => {}
        }
    }

    async fn tell(&self, event: UdfEvent) {
        let (instance, node) = (self.instance, self.node.clone());
        match &self.asker {
            Asker::Shard(shard) => self.shards.send(*shard, Command::Udf { instance, node, event }).await,
            Asker::Lane(resumes) => resumes.udf(node, event),
        }
    }

    /// A replay is given what the live task left, and leaves nothing itself.
    fn is_replay(&self) -> bool {
        matches!(&self.asker, Asker::Lane(resumes) if resumes.is_replay())
    }

    async fn open(&mut self) -> Result<(), String> {
        match &self.plan.function.program {
            UdfProgram::Process { program, arguments, environment } => {
                let mut child = Process::new(program)
                    .args(arguments)
                    .envs(environment.iter().cloned())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|error| format!("failed to start the process {program}: {error}"))?;
                let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                    return Err(format!("the process {program} has no pipes"));
                };
                self.log_errors(&mut child);
                self.speak(input, output).await?;
                // It has closed its output, or should after its input was closed.
                match timeout(self.timeout() * 2, child.wait()).await {
                    Ok(Ok(status)) if !status.success() => Err(format!("process exited unexpectedly: {status}")),
                    Ok(Err(error)) => Err(format!("process exited unexpectedly: {error}")),
                    Ok(Ok(_)) | Err(_) => Ok(()),
                }
            }
            UdfProgram::Socket { path } => {
                let connected = tokio::select! {
                    connected = connect(path) => connected?,
                    Err(_) = self.word.changed() => return Ok(()),
                };
                let (output, input) = connected.into_split();
                self.speak(input, output).await
            }
        }
    }

    /// What the process writes to its standard error goes to the log.
    fn log_errors(&self, child: &mut Child) {
        let Some(errors) = child.stderr.take() else { return };
        let (task, node) = (self.task.clone(), self.node.clone());
        tokio::task::spawn_local(async move {
            let mut lines = BufReader::new(errors.take(u64::MAX)).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tracing::info!(service = "udf", task, node, "{line}");
            }
        });
    }

    fn timeout(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.plan.function.timeout).unwrap_or_default())
    }

    /// Speaks until the function closes its output.
    async fn speak(
        &mut self,
        mut input: impl AsyncWrite + Unpin,
        mut output: impl AsyncRead + Unpin,
    ) -> Result<(), String> {
        let lost = |error: std::io::Error| format!("the connection to the function is lost: {error}");
        let limit = self.timeout();
        let mut received = Received::default();
        input.write_all(&frame(&self.init().encode())).await.map_err(lost)?;
        let answer = timeout(limit, received.answer(&mut output)).await.map_err(|_| "the function does not answer")?;
        match answer? {
            Response::Init(Ok(())) => {}
            Response::Init(Err(error)) => return Err(format!("failed to initialize processes {error}")),
            other => return Err(format!("unexpected answer to init: {other:?}")),
        }
        let key = (self.task.clone(), self.node.clone());
        // It stays until the next one: a task may start again before that.
        let snapshot = self.snapshots.borrow().get(&key).cloned();
        if let Some(snapshot) = snapshot {
            input.write_all(&frame(&Request::Restore(snapshot).encode())).await.map_err(lost)?;
            let answer = timeout(limit, received.answer(&mut output)).await;
            match answer.map_err(|_| "the function does not answer")?? {
                Response::Restore(Ok(())) => {}
                Response::Restore(Err(error)) => {
                    if !self.is_replay() {
                        self.snapshots.borrow_mut().remove(&key);
                    }
                    return Err(format!("error restoring snapshot: {error}"));
                }
                other => return Err(format!("unexpected answer to restore: {other:?}")),
            }
        }
        self.converse(input, output, received).await
    }

    async fn converse(
        &mut self,
        input: impl AsyncWrite + Unpin,
        mut output: impl AsyncRead + Unpin,
        mut received: Received,
    ) -> Result<(), String> {
        // A pipe is closed by dropping it.
        let mut input = Some(input);
        let lost = |error: std::io::Error| format!("the connection to the function is lost: {error}");
        let limit = self.timeout();
        let snapshot_interval = Duration::from_nanos(u64::try_from(self.plan.snapshot_interval).unwrap_or_default());
        let far = Instant::now() + Duration::from_secs(u32::MAX.into());
        let never = snapshot_interval.is_zero() || self.is_replay();
        let mut next_snapshot = if never { far } else { Instant::now() + snapshot_interval };
        let (mut heard, mut next_keepalive) = (Instant::now(), Instant::now() + limit / 2);
        // What is being written, and how much of it has been: writing must not keep answers waiting.
        let (mut writing, mut written) = (Vec::new(), 0);
        let (mut closing, mut closed) = (false, false);
        // Whether the node may still end without a word.
        let mut listens = true;
        loop {
            if closing && !closed {
                closed = true;
                if let Some(mut input) = input.take() {
                    let _ = input.shutdown().await;
                }
                next_keepalive = far;
            }
            let idle = written == writing.len();
            if idle {
                (writing, written) = (Vec::new(), 0);
            }
            tokio::select! {
                act = self.acts.recv(), if idle && !closed => match act {
                    Some(UdfAct::Data(data)) => {
                        self.bytes.set(self.bytes.get() - data.len());
                        writing = data;
                    }
                    Some(UdfAct::Open(_)) => {}
                    Some(UdfAct::Close) | None => closing = true,
                },
                ended = self.word.changed(), if listens => {
                    listens = false;
                    closing |= ended.is_err();
                }
                done = write(&mut input, writing.get(written..).unwrap_or_default()), if !idle => {
                    let done = done.map_err(lost)?;
                    written += done;
                    if let Asker::Lane(resumes) = &self.asker {
                        resumes.written(done);
                    }
                }
                read = output.read_buf(&mut received.bytes) => {
                    if read.map_err(lost)? == 0 {
                        return Ok(());
                    }
                    heard = Instant::now();
                    let said = self.sort(received.take()?);
                    if !said.is_empty() && (!closed || matches!(self.asker, Asker::Lane(_))) {
                        self.tell(UdfEvent::Said(said)).await;
                    }
                }
                () = sleep_until(next_keepalive), if idle => {
                    next_keepalive = Instant::now() + limit / 2;
                    writing = frame(&Request::Keepalive(clock::now()).encode());
                }
                () = sleep_until(next_snapshot), if idle && !closed => {
                    next_snapshot = Instant::now() + snapshot_interval;
                    writing = frame(&Request::Snapshot.encode());
                }
                () = sleep_until(heard + limit * if closed { 2 } else { 1 }) => {
                    return match closed {
                        true => Ok(()),
                        false => Err(format!("keepalive timedout, nothing was heard for {limit:?}")),
                    };
                }
            }
        }
    }

    /// Keeps snapshots and lets the rest through.
    fn sort(&self, responses: Vec<Response>) -> Vec<Response> {
        let mut said = Vec::with_capacity(responses.len());
        for response in responses {
            match response {
                Response::Snapshot(snapshot) if !snapshot.is_empty() && snapshot.len() <= SNAPSHOT_BYTES_MAX => {
                    self.snapshots.borrow_mut().insert((self.task.clone(), self.node.clone()), snapshot);
                }
                Response::Snapshot(_) | Response::Keepalive => {}
                other => said.push(other),
            }
        }
        said
    }

    fn init(&self) -> Request {
        let value = |value: &proto::Value| match value {
            proto::Value::Bool(x) => OptionValue::Bool(*x),
            proto::Value::Int(x) => OptionValue::Int(*x),
            proto::Value::Float(x) => OptionValue::Double(*x),
            proto::Value::Duration(x) => OptionValue::Duration(*x),
            proto::Value::String(x) | proto::Value::Regex(x) => OptionValue::String(x.clone()),
            proto::Value::Time(_) | proto::Value::Null => OptionValue::String(String::new()),
        };
        let option = |(name, values): &(String, Vec<proto::Value>)| (name.clone(), values.iter().map(value).collect());
        Request::Init {
            options: self.plan.options.iter().map(option).collect(),
            task: self.task.clone(),
            node: self.node.clone(),
        }
    }
}

/// Writes what there is room for; a closed input takes anything.
async fn write(input: &mut Option<impl AsyncWrite + Unpin>, bytes: &[u8]) -> std::io::Result<usize> {
    match input {
        Some(input) => input.write(bytes).await,
        None => Ok(bytes.len()),
    }
}

/// What has been read of a function and not yet taken apart.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
}

impl Received {
    /// All messages that are complete.
    fn take(&mut self) -> Result<Vec<Response>, String> {
        let mut taken = 0;
        let mut responses = Vec::new();
        while let Some((message, length)) = split(&self.bytes[taken..]).map_err(|error| error.to_string())? {
            responses.push(Response::decode(message).map_err(|error| error.to_string())?);
            taken += length;
        }
        self.bytes.drain(..taken);
        Ok(responses)
    }

    /// The next message; nothing is lost if this is given up.
    async fn answer(&mut self, output: &mut (impl AsyncRead + Unpin)) -> Result<Response, String> {
        loop {
            if let Some((message, length)) = split(&self.bytes).map_err(|error| error.to_string())? {
                let response = Response::decode(message).map_err(|error| error.to_string())?;
                self.bytes.drain(..length);
                match response {
                    Response::Keepalive => continue,
                    Response::Error(error) => return Err(error),
                    other => return Ok(other),
                }
            }
            match output.read_buf(&mut self.bytes).await {
                Ok(0) => return Err("the function has closed its output".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("the connection to the function is lost: {error}")),
            }
        }
    }
}

async fn connect(path: &str) -> Result<UnixStream, String> {
    let started = Instant::now();
    let mut pause = PAUSE.0;
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            Err(error) if started.elapsed() > CONNECT_FOR => return Err(format!("cannot connect to {path}: {error}")),
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::plan::UdfFunction;

    use super::*;
    use crate::{io::shards::Loads, node::udf::UdfRequest};

    fn plan(timeout: Duration) -> Arc<Udf> {
        let program = UdfProgram::Socket { path: "/nobody/is/there".into() };
        let function = UdfFunction { program, timeout: timeout.as_nanos() as i64 };
        Arc::new(Udf { function, options: vec![], snapshot_interval: 0 })
    }

    fn shards() -> Shards {
        Shards::new(Vec::new(), Loads::new(0))
    }

    #[tokio::test]
    async fn what_finds_the_queue_of_a_function_full_is_dropped_and_counted() {
        let (sender, outputs) = mpsc::channel(8);
        let request = |act| {
            let request = UdfRequest { task: "t".into(), node: "n".into(), plan: plan(Duration::from_secs(9)), act };
            UdfOutput { asker: Asker::Shard(0), instance: 1, request: Box::new(request) }
        };
        let word = watch::Sender::new(());
        sender.try_send(request(UdfAct::Open(word.subscribe()))).unwrap();
        for _ in 0..4 {
            sender.try_send(request(UdfAct::Data(vec![0; 500]))).unwrap();
        }
        drop(sender);
        let dropped = Rc::new(Cell::new(0));
        tokio::task::LocalSet::new().run_until(run(outputs, shards(), dropped.clone(), 1_000)).await;
        assert_eq!(dropped.get(), 2);
    }

    #[tokio::test]
    async fn a_function_that_says_nothing_for_its_timeout_has_failed() {
        let (_acts, acts) = mpsc::unbounded_channel();
        let word = watch::Sender::new(());
        let mut conversation = Conversation {
            shards: shards(),
            asker: Asker::Shard(0),
            instance: 1,
            task: "t".into(),
            node: "n".into(),
            plan: plan(Duration::from_millis(60)),
            acts,
            bytes: Rc::default(),
            snapshots: Snapshots::default(),
            word: word.subscribe(),
        };
        let (ours, function) = tokio::io::duplex(1 << 10);
        let (output, input) = tokio::io::split(ours);
        let hung = async {
            let (mut asked, mut answers) = tokio::io::split(function);
            // It takes its options, and that is all.
            answers.write_all(&[4, 0x12, 2, 8, 1]).await.unwrap();
            let mut heard = Vec::new();
            while let Ok(1..) = asked.read_buf(&mut heard).await {}
            heard
        };
        let (end, heard) = tokio::join!(conversation.speak(input, output), async {
            timeout(Duration::from_secs(20), hung).await.unwrap_or_default()
        });
        assert!(end.is_err_and(|error| error.starts_with("keepalive timedout")));
        let keepalives = split(&heard).unwrap().is_some();
        assert!(keepalives, "it was asked first: {heard:?}");
    }
}
