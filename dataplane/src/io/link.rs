//! The data plane's end of the link.
//!
//! The data plane listens on a unix socket; one control plane at a time is connected, a newer connection takes the place
//! of an older one. Right after accepting it sends one byte with the public listening socket as ancillary data (so that a
//! control plane that took over can stand in for a dead data plane on the same socket), then its hello.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use proto::{
    frame::{self, FrameError},
    limits::{FRAME_BYTES_MAX, Limits},
    message::{AlertEvent, Command, Hello, LINK_VERSION, Refusal, Reply, Report, Request, Settings},
    profile::ProfileKind,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{UnixListener, UnixStream},
    sync::{mpsc, watch},
    task::spawn_local,
};

use super::{listeners::Listeners, recording::Recordings, tasks::Tasks};
use crate::{limits, logging, profile, shard::command::Failure};

/// How long a drain waits for the receivers of httpPost nodes, and how often it looks.
const POSTS_LIMIT: Duration = Duration::from_secs(5);
const POST_POLL: Duration = Duration::from_millis(5);

/// Alert events that go over the link in one piece.
const ALERTS_AT_ONCE: usize = 256;

/// After some went the next ones wait this long for others: one by one, each would wake both processes. An event that
/// comes after a while goes at once.
const GATHER_PAUSE: Duration = Duration::from_millis(1);

/// The byte that carries the listening socket.
pub const LISTENER_BYTE: u8 = b'L';

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the link: {0}")]
    Io(#[from] io::Error),
    #[error("the link: {0}")]
    Frame(#[from] FrameError),
    #[error("the control plane speaks link version {0}, this data plane version {LINK_VERSION}")]
    Version(u32),
    #[error("the control plane closed the link")]
    Closed,
}

pub struct Link {
    pub tasks: Tasks,
    /// The public listening socket, for a control plane that takes over.
    pub public: OwnedFd,
    pub alerts: mpsc::Receiver<Box<AlertEvent>>,
    pub failures: mpsc::UnboundedReceiver<Failure>,
    pub settings: watch::Sender<Settings>,
    /// Whether client connections are accepted.
    pub accepting: watch::Sender<bool>,
    pub waiting: VecDeque<Box<AlertEvent>>,
    pub limits: Limits,
    pub alerts_dropped: u64,
    /// Lines of the log, while a control plane wants them.
    pub log: Option<mpsc::Receiver<Arc<str>>>,
    pub recordings: Recordings,
    pub listeners: Listeners,
    /// Whether no post of an httpPost node waits.
    pub outputs_are_out: Box<dyn Fn() -> bool>,
}

/// Why a connection ended.
enum End {
    Drained,
    Lost(LinkError),
    Replaced(UnixStream),
}

impl Link {
    /// Serves control planes, one after the other, until one says drain; all tasks have ended then.
    pub async fn run(&mut self, listener: &UnixListener) {
        let mut next = None;
        loop {
            let stream = match next.take() {
                Some(stream) => stream,
                None => self.accept(listener).await,
            };
            let ended = self.connection(stream, listener).await;
            // Nobody is left who would keep what they record.
            self.recordings.stop_all(&mut self.tasks).await;
            match ended {
                End::Drained => return,
                End::Replaced(stream) => next = Some(stream),
                End::Lost(error) => tracing::warn!(%error, "the control plane is away"),
            }
        }
    }

    /// Waits for a control plane; meanwhile alert events are kept and failures carried out.
    async fn accept(&mut self, listener: &UnixListener) -> UnixStream {
        self.log = None;
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => return stream,
                    Err(error) => {
                        tracing::error!(%error, "cannot accept on the link's socket");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                },
                Some(event) = self.alerts.recv() => self.keep(event),
                Some(failure) = self.failures.recv() => {
                    self.failed(failure).await;
                }
            }
        }
    }

    async fn connection(&mut self, mut stream: UnixStream, listener: &UnixListener) -> End {
        match self.serve(&mut stream, listener).await {
            Ok(end) => end,
            Err(error) => End::Lost(error),
        }
    }

    async fn serve(&mut self, stream: &mut UnixStream, listener: &UnixListener) -> Result<End, LinkError> {
        send_listener(stream, &self.public).await?;
        let hello = Hello {
            link_version: LINK_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            tasks: self.tasks.running(),
        };
        let mut buffer = BytesMut::with_capacity(64 << 10);
        write(stream, &mut buffer, &frame::encode(&hello)?).await?;
        let hello: Hello = read(stream, &mut buffer).await?;
        if hello.link_version != LINK_VERSION {
            return Err(LinkError::Version(hello.link_version));
        }
        tracing::info!(pid = hello.pid, "the control plane is connected");
        while let Some(event) = self.waiting.pop_front() {
            self.report(stream, &mut buffer, Report::Alert(event)).await?;
        }
        let (mut events, mut frames) = (Vec::with_capacity(ALERTS_AT_ONCE), Vec::new());
        let (answered, mut answers) = mpsc::unbounded_channel();
        let gathered = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(gathered);
        let mut gathering = false;
        loop {
            while let Some(command) = frame::decode::<Command>(&mut buffer)? {
                let request = command.request();
                let Some(command) = self.look(command, &answered) else { continue };
                if let Command::Drain { .. } = command {
                    self.drain(stream, &mut buffer).await?;
                    self.report(stream, &mut buffer, Report::Reply { request, result: Ok(Reply::Done) }).await?;
                    return Ok(End::Drained);
                }
                let result = self.carry_out(command).await;
                self.report(stream, &mut buffer, Report::Reply { request, result }).await?;
            }
            tokio::select! {
                read = stream.read_buf(&mut buffer) => {
                    if read? == 0 {
                        return Err(LinkError::Closed);
                    }
                }
                () = &mut gathered, if gathering => gathering = false,
                count @ 1.. = self.alerts.recv_many(&mut events, ALERTS_AT_ONCE), if !gathering => {
                    if count < ALERTS_AT_ONCE {
                        gathering = true;
                        gathered.as_mut().reset(tokio::time::Instant::now() + GATHER_PAUSE);
                    }
                    frames.clear();
                    for event in events.drain(..) {
                        append(Report::Alert(event), &mut frames, &mut self.alerts_dropped)?;
                    }
                    // Should the link break here, the events are among those that a dying peer loses.
                    write(stream, &mut buffer, &frames).await?;
                }
                Some(failure) = self.failures.recv() => {
                    if let Some(report) = self.failed(failure).await {
                        self.report(stream, &mut buffer, report).await?;
                    }
                }
                Some(ended) = self.recordings.next_ended() => {
                    if let Some(report) = self.recordings.file_ended(ended, &mut self.tasks).await {
                        self.report(stream, &mut buffer, report).await?;
                    }
                }
                Some((request, result)) = answers.recv() => {
                    self.report(stream, &mut buffer, Report::Reply { request, result }).await?;
                }
                Some(line) = next_line(&mut self.log) => {
                    self.report(stream, &mut buffer, Report::Log(line.to_string())).await?;
                }
                Ok((newer, _)) = listener.accept() => return Ok(End::Replaced(newer)),
            }
        }
    }

    async fn report(
        &mut self,
        stream: &mut UnixStream,
        buffer: &mut BytesMut,
        report: Report,
    ) -> Result<(), LinkError> {
        let mut frame = Vec::new();
        append(report, &mut frame, &mut self.alerts_dropped)?;
        write(stream, buffer, &frame).await
    }

    /// What control is told of a failure.
    async fn failed(&mut self, Failure { instance, error }: Failure) -> Option<Report> {
        if self.recordings.failed(instance, &error, &mut self.tasks).await {
            return None;
        }
        let (task, fingerprint) = self.tasks.failed(instance, error.clone()).await?;
        Some(Report::TaskFailed { task, fingerprint, error })
    }

    /// Ends all tasks; what they had to say is out when this returns.
    async fn drain(&mut self, stream: &mut UnixStream, buffer: &mut BytesMut) -> Result<(), LinkError> {
        {
            let ended = self.tasks.drain();
            tokio::pin!(ended);
            loop {
                tokio::select! {
                    () = &mut ended => break,
                    Some(event) = self.alerts.recv() => {
                        let mut frame = Vec::new();
                        append(Report::Alert(event), &mut frame, &mut self.alerts_dropped)?;
                        write(stream, buffer, &frame).await?;
                    }
                }
            }
        }
        while let Ok(event) = self.alerts.try_recv() {
            self.report(stream, buffer, Report::Alert(event)).await?;
        }
        let posted = async {
            while !(self.outputs_are_out)() {
                tokio::time::sleep(POST_POLL).await;
            }
        };
        if tokio::time::timeout(POSTS_LIMIT, posted).await.is_err() {
            tracing::warn!(service = "run", "posts of httpPost nodes are lost: their receivers do not answer");
        }
        Ok(())
    }

    /// Begins to answer a command that only looks; others are carried out meanwhile. Gives back what is none.
    fn look(&self, command: Command, answers: &mpsc::UnboundedSender<Later>) -> Option<Command> {
        let answers = answers.clone();
        match command {
            Command::HttpOut { request, task, endpoint } => {
                let rows = self.tasks.http_out(task, endpoint);
                spawn_local(async move { answers.send((request, rows.await)) });
            }
            Command::Statistics { request, task } => {
                let gathered = self.tasks.statistics(task.as_deref());
                let (mut further, limits) = (Vec::new(), self.limits);
                if task.is_none() {
                    further.push(("alerts_dropped_without_control".to_owned(), self.alerts_dropped));
                    further.extend(self.listeners.counters());
                }
                spawn_local(async move {
                    let mut statistics = gathered.await;
                    statistics.counters.append(&mut further);
                    statistics.limits = limits::values(&limits);
                    answers.send((request, Ok(Reply::Statistics(Box::new(statistics)))))
                });
            }
            Command::Profile { request, kind } => take_profile(request, kind, answers),
            other => return Some(other),
        }
        None
    }

    async fn carry_out(&mut self, command: Command) -> Result<Reply, Refusal> {
        match command {
            Command::Configure { settings, .. } => {
                if !settings.log_level.is_empty() {
                    logging::set_level(&settings.log_level);
                }
                match (settings.follow_log, self.log.is_some()) {
                    (true, false) => self.log = Some(logging::tap()),
                    (false, _) => self.log = None,
                    (true, true) => {}
                }
                for listener in &settings.listeners {
                    if let Err(refusal) = self.listeners.listen(listener.clone()).await {
                        tracing::error!(service = "run", err = %refusal, "an input is closed");
                    }
                }
                self.settings.send_replace(settings);
                Ok(Reply::Done)
            }
            Command::StartTask { fingerprint, plan, .. } => self.tasks.start(fingerprint, plan).await,
            Command::StopTask { task, .. } => self.tasks.stop(&task).await,
            Command::Listen { listener, .. } => self.listeners.listen(listener).await,
            Command::Accept { .. } => {
                self.accepting.send_replace(true);
                Ok(Reply::Done)
            }
            Command::Write { database, retention_policy, lines, .. } => {
                Ok(self.tasks.write(database, retention_policy, lines).await)
            }
            Command::Sideload { task, node, files, .. } => self.tasks.sideload(&task, &node, files).await,
            Command::Record { recording, .. } => self.recordings.start(*recording, &mut self.tasks).await,
            Command::StopRecording { id, .. } => self.recordings.stop(&id, &mut self.tasks).await,
            Command::Drain { .. } => Err(Refusal::Draining),
            Command::HttpOut { .. } | Command::Statistics { .. } | Command::Profile { .. } => Err(Refusal::Elsewhere),
        }
    }

    fn keep(&mut self, event: Box<AlertEvent>) {
        if (self.waiting.len() as u64) < self.limits.alerts_waiting_max {
            self.waiting.push_back(event);
        } else {
            self.alerts_dropped += 1;
        }
    }
}

/// Adds a report to frames. An answer that is too long for one becomes a refusal, an alert event is dropped with a counter:
/// neither may cost the link.
fn append(report: Report, frames: &mut Vec<u8>, alerts_dropped: &mut u64) -> Result<(), FrameError> {
    match (frame::append(&report, frames), report) {
        (Err(FrameError::TooLong { bytes }), Report::Reply { request, .. }) => {
            frame::append(&Report::Reply { request, result: Err(Refusal::TooLarge(bytes)) }, frames)
        }
        (Err(error @ FrameError::TooLong { .. }), Report::Alert(event)) => {
            tracing::error!(service = "kapacitor", task = event.task, node = event.node, %error, "an alert event is dropped");
            *alerts_dropped += 1;
            Ok(())
        }
        (done, _) => done,
    }
}

/// Writes frames. What the control plane sends meanwhile is read into `buffer`, so that it never waits for this side to
/// read while this side waits for it.
async fn write(stream: &mut UnixStream, buffer: &mut BytesMut, mut frames: &[u8]) -> Result<(), LinkError> {
    let (mut reader, mut writer) = stream.split();
    while !frames.is_empty() {
        tokio::select! {
            written = writer.write_buf(&mut frames) => if written? == 0 { return Err(LinkError::Closed) },
            read = reader.read_buf(buffer), if buffer.len() < FRAME_BYTES_MAX => {
                if read? == 0 {
                    return Err(LinkError::Closed);
                }
            }
        }
    }
    Ok(())
}

/// An answer that comes later.
type Later = (Request, Result<Reply, Refusal>);

/// Takes a profile on a thread of its own.
fn take_profile(request: Request, kind: ProfileKind, done: mpsc::UnboundedSender<Later>) {
    let failed = done.clone();
    let taking = move || {
        let taken = profile::take(kind).map(|profile| Reply::Profile(Box::new(profile)));
        let _ = done.send((request, taken.map_err(|error| Refusal::NoProfile(error.to_string()))));
    };
    if let Err(error) = std::thread::Builder::new().name("profile".to_owned()).spawn(taking) {
        let _ = failed.send((request, Err(Refusal::NoProfile(error.to_string()))));
    }
}

async fn read<T: serde::de::DeserializeOwned>(stream: &mut UnixStream, buffer: &mut BytesMut) -> Result<T, LinkError> {
    loop {
        if let Some(message) = frame::decode(buffer)? {
            return Ok(message);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(LinkError::Closed);
        }
    }
}

/// The next line of the log for those who follow it.
async fn next_line(log: &mut Option<mpsc::Receiver<Arc<str>>>) -> Option<Arc<str>> {
    match log {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

async fn send_listener(stream: &UnixStream, listener: &OwnedFd) -> io::Result<()> {
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let descriptors = [listener.as_fd()];
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            let data = [io::IoSlice::new(&[LISTENER_BYTE])];
            sendmsg(stream, &data, &mut ancillary, SendFlags::NOSIGNAL).map_err(io::Error::from).map(|_| ())
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(report: Report) -> Option<Report> {
        let (mut frames, mut dropped) = (Vec::new(), 0);
        append(report, &mut frames, &mut dropped).unwrap();
        frame::decode(&mut BytesMut::from(&frames[..])).unwrap()
    }

    #[test]
    fn an_answer_that_is_too_long_is_refused_alone() {
        let answer = |rows: String| Report::Reply { request: 7, result: Ok(Reply::HttpOut(Some(rows))) };
        let refused = read_back(answer("x".repeat(FRAME_BYTES_MAX)));
        assert!(
            matches!(refused, Some(Report::Reply { request: 7, result: Err(Refusal::TooLarge(bytes)) }) if bytes > FRAME_BYTES_MAX)
        );
        assert_eq!(read_back(answer("{}".into())), Some(answer("{}".into())));
    }

    #[tokio::test]
    async fn both_sides_may_write_at_once() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let long = vec![1; 4 << 20];
        let (mut first, mut second) = (BytesMut::new(), BytesMut::new());
        let both = async { tokio::join!(write(&mut one, &mut first, &long), write(&mut other, &mut second, &long)) };
        let done = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert!(matches!(done, Ok((Ok(()), Ok(())))));
    }
}
