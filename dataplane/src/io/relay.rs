//! Requests that are not writes: relayed to the control plane, bytes unchanged, one after the other.
//!
//! A connection comes from a shard with its next request in the buffer, and goes back to a shard with the first write.
//! While the control plane is away, requests are answered 503.

use std::{path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use bytes::{Buf, BytesMut};
use proto::message::Settings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::{mpsc, watch},
};

use super::{
    authorize::{self, Verdict},
    shards::Shards,
};
use crate::{
    clock,
    gate::Gate,
    http::{self, Answer, Framer, Head, Parsed, Piece, parse_response},
    shard::{command::Handover, connection::is_write},
};

#[derive(Clone)]
pub struct Relay {
    /// The control plane's HTTP socket.
    pub control: Rc<PathBuf>,
    pub shards: Shards,
    pub settings: watch::Receiver<Settings>,
    pub gate: Arc<Gate>,
}

/// Relays for as long as shards hand over connections. Runs on the I/O thread's local set.
pub async fn run(mut connections: mpsc::Receiver<Handover>, relay: Relay) {
    while let Some(connection) = connections.recv().await {
        let relay = relay.clone();
        tokio::task::spawn_local(async move {
            relay.serve(connection).await;
        });
    }
}

/// The connection cannot go on.
struct Broken;

impl Relay {
    async fn serve(&self, connection: Handover) -> Option<()> {
        let Handover { stream, peer, mut buffered } = connection;
        let mut client = TcpStream::from_std(stream).ok()?;
        let mut control = None;
        let mut searched = 0;
        loop {
            let head = match http::parse_from(&buffered, &mut searched) {
                Ok(Parsed::Complete(head)) if is_write(&head) => {
                    if !self.may_write(&head, &mut client).await {
                        return None;
                    }
                    let stream = client.into_std().ok()?;
                    self.shards.connection(Handover { stream, peer, buffered }).await;
                    return Some(());
                }
                Ok(Parsed::Complete(head)) => {
                    searched = 0;
                    head
                }
                Ok(Parsed::Partial) => {
                    buffered.reserve(READ_BYTES);
                    match client.read_buf(&mut buffered).await {
                        Ok(1..) => continue,
                        _ => return None,
                    }
                }
                Err(error) => {
                    let body = format!("{} {error}", error.status());
                    let answer = Answer { status: error.status(), body: body.as_bytes(), plain: true, ..AWAY };
                    self.answer(&mut client, answer).await;
                    return None;
                }
            };
            if head.expects_unknown {
                self.answer(&mut client, Answer { status: 417, body: b"", plain: true, ..AWAY }).await;
                return None;
            }
            let goes_on = match self.request(&mut client, &mut buffered, &head, &mut control).await {
                Ok(goes_on) => goes_on,
                Err(Broken) => return None,
            };
            if !goes_on || !head.keep_alive {
                return None;
            }
        }
    }

    /// Whether a write may go to a shard; a refused one is answered here.
    async fn may_write(&self, head: &Head, client: &mut TcpStream) -> bool {
        let generation = self.gate.generation();
        if self.gate.admits(head, clock::now()) {
            return true;
        }
        match authorize::ask(&self.control, head).await {
            Verdict::Allowed => {
                self.gate.admit(head, generation, clock::now());
                return true;
            }
            Verdict::Refused(status, body) => {
                let origin = head.origin.as_deref();
                self.answer(client, Answer { status, body: &body, origin, retry_after: false, ..AWAY }).await;
            }
            Verdict::Away => self.answer(client, AWAY).await,
        }
        // A client that is still sending its body must be able to read the answer.
        let _ = client.shutdown().await;
        let rest = async {
            let mut discarded = [0; 4 << 10];
            while matches!(client.read(&mut discarded).await, Ok(1..)) {}
        };
        let _ = tokio::time::timeout(LINGER, rest).await;
        false
    }

    /// Relays one request and its answer; returns whether the connection can go on.
    async fn request(
        &self,
        client: &mut TcpStream,
        buffered: &mut BytesMut,
        head: &Head,
        control: &mut Option<UnixStream>,
    ) -> Result<bool, Broken> {
        let mut upstream = match control.take() {
            // A connection that the control plane has closed in the meantime shows as readable.
            Some(stream) if matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) => {
                stream
            }
            _ => match UnixStream::connect(self.control.as_path()).await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a request cannot be relayed: the control plane is away");
                    self.answer(client, AWAY).await;
                    return Ok(false);
                }
            },
        };
        let sent = buffered.split_to(head.bytes);
        if upstream.write_all(&sent).await.is_err() {
            self.answer(client, AWAY).await;
            return Ok(false);
        }
        let mut framer = Framer::new(head.body);
        let mut answer = BytesMut::with_capacity(READ_BYTES);
        let mut request_done = false;
        // The body goes up while the answer may already come down: a refusal need not wait for the rest of a body.
        let response = loop {
            if !request_done {
                match framer.next(buffered) {
                    Ok(Piece::Done) => request_done = true,
                    Ok(Piece::Skip(bytes)) => {
                        let framing = buffered.split_to(bytes);
                        upstream.write_all(&framing).await.map_err(|_| Broken)?;
                    }
                    Ok(Piece::Data(range)) => {
                        let data = buffered.split_to(range.end);
                        upstream.write_all(&data).await.map_err(|_| Broken)?;
                    }
                    Ok(Piece::More) => {
                        buffered.reserve(READ_BYTES);
                        tokio::select! {
                            read = client.read_buf(buffered) => if !matches!(read, Ok(1..)) { return Err(Broken) },
                            read = upstream.read_buf(&mut answer) => if !matches!(read, Ok(1..)) { return self.lost(client, &answer).await },
                        }
                    }
                    Err(_) => return Err(Broken),
                }
                if !request_done && answer.is_empty() {
                    continue;
                }
            }
            match parse_response(&answer, head.method == "HEAD") {
                Ok(Parsed::Complete(response)) if response.status < 200 => {
                    let interim = answer.split_to(response.bytes);
                    client.write_all(&interim).await.map_err(|_| Broken)?;
                }
                Ok(Parsed::Complete(response)) => break response,
                Ok(Parsed::Partial) => {
                    answer.reserve(READ_BYTES);
                    if !matches!(upstream.read_buf(&mut answer).await, Ok(1..)) {
                        return self.lost(client, &answer).await;
                    }
                }
                Err(_) => return Err(Broken),
            }
        };
        let head_bytes = answer.split_to(response.bytes);
        client.write_all(&head_bytes).await.map_err(|_| Broken)?;
        let mut framer = Framer::new(response.body);
        loop {
            match framer.next(&answer).map_err(|_| Broken)? {
                Piece::Done => break,
                Piece::Skip(bytes) | Piece::Data(std::ops::Range { end: bytes, .. }) => {
                    client.write_all(answer.get(..bytes).unwrap_or_default()).await.map_err(|_| Broken)?;
                    answer.advance(bytes);
                }
                Piece::More => {
                    answer.reserve(READ_BYTES);
                    tokio::select! {
                        read = upstream.read_buf(&mut answer) => match read {
                            Ok(1..) => {}
                            Ok(_) if framer.is_until_close() => return Ok(false),
                            _ => return Err(Broken),
                        },
                        // A client that leaves an endless answer ends it.
                        read = client.read_buf(buffered) => if !matches!(read, Ok(1..)) { return Err(Broken) },
                    }
                }
            }
        }
        if response.keep_alive {
            *control = Some(upstream);
        }
        Ok(request_done && response.keep_alive)
    }

    /// The control plane went away inside a request.
    async fn lost(&self, client: &mut TcpStream, answer: &BytesMut) -> Result<bool, Broken> {
        if answer.is_empty() {
            self.answer(client, AWAY).await;
        }
        Err(Broken)
    }

    async fn answer(&self, client: &mut TcpStream, answer: Answer<'_>) {
        let version = self.settings.borrow().version.clone();
        let mut out = Vec::new();
        Answer { version: &version, ..answer }.write(clock::now(), &mut out);
        let _ = client.write_all(&out).await;
    }
}

/// The answer while nobody is there to ask.
const AWAY: Answer<'static> = Answer {
    status: 503,
    body: b"{\n    \"error\": \"the control plane is restarting, try again\"\n}",
    version: "",
    origin: None,
    retry_after: true,
    close: true,
    plain: false,
};

const READ_BYTES: usize = 64 << 10;

/// How long what follows a refused head is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
