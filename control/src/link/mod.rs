//! The link to the data plane: one connection, commands out, answers and reports in.

use std::{collections::HashMap, io, os::fd::OwnedFd};

use bytes::BytesMut;
use proto::{
    Plan,
    frame::{self, FrameError},
    message::{Command, Hello, LINK_VERSION, Refusal, Reply, Report, Request, RunningTask, Settings},
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
    sync::{mpsc, oneshot},
};

use crate::{
    alert::Alerts,
    engine::{Call, EngineError, Tasks},
};

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the link: {0}")]
    Io(#[from] io::Error),
    #[error("the link: {0}")]
    Frame(#[from] FrameError),
    #[error("the data plane closed the link")]
    Closed,
    #[error("the data plane has link version {found} of {version}, this control plane {LINK_VERSION}")]
    Version { found: u32, version: String },
    #[error("the data plane did not pass its listening socket")]
    NoListener,
}

/// Room for what is read at once.
const READ_BYTES: usize = 64 << 10;

/// A connection on which both sides have said hello.
pub struct Link {
    stream: UnixStream,
    buffer: BytesMut,
    /// The public listening socket, as the data plane passed it.
    pub listener: Option<OwnedFd>,
    pub hello: Hello,
    waiting: HashMap<Request, oneshot::Sender<Result<Reply, EngineError>>>,
    next_request: Request,
}

impl Link {
    /// Takes the socket that the data plane passes, and exchanges hellos.
    pub async fn open(mut stream: UnixStream) -> Result<Link, LinkError> {
        let listener = receive_listener(&stream).await?;
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let hello: Hello = loop {
            if let Some(hello) = frame::decode(&mut buffer)? {
                break hello;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(LinkError::Closed);
            }
        };
        let ours = Hello {
            link_version: LINK_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            tasks: Vec::new(),
        };
        stream.write_all(&frame::encode(&ours)?).await?;
        let listener = Some(listener);
        Ok(Link { stream, buffer, listener, hello, waiting: HashMap::new(), next_request: 1 })
    }

    /// Configures the data plane and brings its tasks to what is wanted: those that run unchanged are left alone. Only then
    /// does it accept connections, so that no task misses what was written.
    pub async fn reconcile(&mut self, settings: Settings, tasks: &Tasks, alerts: &Alerts) -> Result<(), LinkError> {
        let _ = self.ask(|request| Command::Configure { request, settings }, tasks, alerts).await?;
        let running: Vec<RunningTask> = self.hello.tasks.clone();
        let desired = tasks.desired().await;
        for task in &running {
            let wanted = desired.iter().any(|(fingerprint, plan)| same(task, *fingerprint, plan));
            if !wanted {
                let task = task.task.clone();
                let _ = self.ask(|request| Command::StopTask { request, task }, tasks, alerts).await?;
            }
        }
        for (fingerprint, plan) in desired {
            let name = plan.task.clone();
            let result = match running.iter().find(|task| same(task, fingerprint, &plan)) {
                Some(RunningTask { error: Some(error), .. }) => {
                    tasks.failed(&name, fingerprint, error.clone()).await;
                    continue;
                }
                Some(_) => Ok(()),
                None => {
                    let start = move |request| Command::StartTask { request, fingerprint, plan };
                    self.ask(start, tasks, alerts).await?.map(drop).map_err(|error| error.to_string())
                }
            };
            tasks.started(&name, result).await;
        }
        let _ = self.ask(|request| Command::Accept { request }, tasks, alerts).await?;
        Ok(())
    }

    /// Carries out calls until the link breaks; who waits then hears that the data plane is away.
    pub async fn serve(&mut self, calls: &mut mpsc::Receiver<Call>, tasks: &Tasks, alerts: &Alerts) -> LinkError {
        loop {
            // Reports come in pieces as large as there is room.
            self.buffer.reserve(READ_BYTES);
            let done = tokio::select! {
                call = calls.recv() => match call {
                    Some(call) => self.send(call).await,
                    None => return LinkError::Closed,
                },
                read = self.stream.read_buf(&mut self.buffer) => match read {
                    Ok(0) => Err(LinkError::Closed),
                    Ok(_) => self.reports(tasks, alerts).await,
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = done {
                self.waiting.drain().for_each(|(_, reply)| drop(reply.send(Err(EngineError::Away))));
                return error;
            }
        }
    }

    /// Sends a command and waits for its answer alone; reports are handled meanwhile.
    async fn ask(
        &mut self,
        command: impl FnOnce(Request) -> Command + Send + 'static,
        tasks: &Tasks,
        alerts: &Alerts,
    ) -> Result<Result<Reply, EngineError>, LinkError> {
        let (reply, mut answer) = oneshot::channel();
        self.send(Call { command: Box::new(command), reply }).await?;
        loop {
            if let Ok(result) = answer.try_recv() {
                return Ok(result);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(LinkError::Closed);
            }
            self.reports(tasks, alerts).await?;
        }
    }

    async fn send(&mut self, call: Call) -> Result<(), LinkError> {
        let request = self.next_request;
        self.next_request += 1;
        let frame = match frame::encode(&(call.command)(request)) {
            Ok(frame) => frame,
            Err(FrameError::TooLong { bytes }) => {
                let _ = call.reply.send(Err(EngineError::Refused(Refusal::TooLarge(bytes))));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.waiting.insert(request, call.reply);
        self.stream.write_all(&frame).await?;
        Ok(())
    }

    async fn reports(&mut self, tasks: &Tasks, alerts: &Alerts) -> Result<(), LinkError> {
        while let Some(report) = frame::decode::<Report>(&mut self.buffer)? {
            match report {
                Report::Reply { request, result } => {
                    if let Some(reply) = self.waiting.remove(&request) {
                        let _ = reply.send(result.map_err(EngineError::Refused));
                    }
                }
                Report::TaskFailed { task, fingerprint, error } => {
                    tracing::error!(service = "kapacitor", task_master = "main", task, err = error, "task failed");
                    // Not awaited here: the task service may itself be waiting for an answer of this link.
                    let tasks = tasks.clone();
                    tokio::spawn(async move { tasks.failed(&task, fingerprint, error).await });
                }
                Report::Alert(event) => alerts.event(*event),
                Report::Log(line) => dataplane::logging::publish(&line),
                Report::Recorded { id, result } => tasks.recorded(&id, result),
            }
        }
        Ok(())
    }
}

fn same(task: &RunningTask, fingerprint: u64, plan: &Plan) -> bool {
    task.task == plan.task && task.fingerprint == fingerprint
}

/// The first byte of a connection carries the public listening socket.
async fn receive_listener(stream: &UnixStream) -> Result<OwnedFd, LinkError> {
    let received = stream
        .async_io(Interest::READABLE, || {
            let mut byte = [0];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut data = [io::IoSliceMut::new(&mut byte)];
            let message = recvmsg(stream, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
            if message.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let descriptors = ancillary.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            });
            Ok(descriptors.flatten().next())
        })
        .await?;
    received.ok_or(LinkError::NoListener)
}
