//! Requests that are not writes: relayed to the control plane one after the other, bytes unchanged but for a header with
//! the client's address at the end of the head.
//!
//! A connection comes from a shard with its next request in the buffer, and goes back to a shard with the first write.
//! While the control plane is away, requests are answered 503.

use std::{io, net::SocketAddr, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use bytes::BytesMut;
use proto::message::Settings;
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::{mpsc, watch},
};

use super::{
    authorize::{self, Verdict},
    exchange::{ExchangeError, exchange},
    shards::Shards,
};
use crate::{
    clock,
    gate::Gate,
    http::{self, Answer, Head, Parsed, access_log::Line},
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

/// The last header of a relayed request: the address of its client.
pub const CLIENT_HEADER: &str = "x-farad-client";

/// A head with the client's address. One that ends in bare line feeds goes as it is.
fn with_client(mut head: BytesMut, client: SocketAddr) -> BytesMut {
    if head.ends_with(b"\r\n\r\n") {
        head.truncate(head.len() - 2);
        head.extend_from_slice(format!("{CLIENT_HEADER}: {}\r\n\r\n", client.ip()).as_bytes());
    }
    head
}

impl Relay {
    async fn serve(&self, connection: Handover) -> Option<()> {
        let Handover { stream, peer, mut buffered, seat } = connection;
        let mut client = TcpStream::from_std(stream).ok()?;
        let mut control = None;
        let mut searched = 0;
        loop {
            let head = match http::parse_from(&buffered, &mut searched) {
                Ok(Parsed::Complete(head)) if is_write(&head) => {
                    let sent = buffered.get(..head.bytes).unwrap_or_default();
                    if !self.may_write(&head, sent, peer, &mut client).await {
                        return None;
                    }
                    let stream = client.into_std().ok()?;
                    self.shards.connection(Handover { stream, peer, buffered, seat }).await;
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
                    let answer = Answer {
                        status: error.status(),
                        body: body.as_bytes(),
                        plain: true,
                        retry_after: false,
                        ..AWAY
                    };
                    self.refuse(&mut client, answer).await;
                    return None;
                }
            };
            if head.expects_unknown {
                let answer = Answer { status: 417, body: b"", plain: true, retry_after: false, ..AWAY };
                self.refuse(&mut client, answer).await;
                return None;
            }
            if !self.request(&mut client, peer, &mut buffered, &head, &mut control).await || !head.keep_alive {
                return None;
            }
        }
    }

    /// Whether a write may go to a shard; a refused one is answered here.
    async fn may_write(&self, head: &Head, sent: &[u8], peer: SocketAddr, client: &mut TcpStream) -> bool {
        let begun = clock::now();
        let generation = self.gate.generation();
        if self.gate.admits(head, begun) {
            return true;
        }
        match authorize::ask(&self.control, head).await {
            Verdict::Allowed => {
                self.gate.admit(head, generation, clock::now());
                return true;
            }
            Verdict::Refused(status, body) => {
                let origin = head.origin.as_deref();
                let id = self.answer(client, Answer { status, body: &body, origin, retry_after: false, ..AWAY }).await;
                if self.settings.borrow().log_writes {
                    let took = Duration::from_nanos(clock::now().saturating_sub(begun).unsigned_abs());
                    Line::of_head(sent, peer.ip().to_string(), begun).write(status, &id.unwrap_or_default(), took);
                }
            }
            Verdict::Away => {
                self.answer(client, AWAY).await;
            }
        }
        linger(client).await;
        false
    }

    /// Relays one request and its answer; returns whether the connection can go on.
    async fn request(
        &self,
        client: &mut TcpStream,
        peer: SocketAddr,
        buffered: &mut BytesMut,
        head: &Head,
        control: &mut Option<UnixStream>,
    ) -> bool {
        let mut stream = match control.take().filter(is_open) {
            Some(stream) => stream,
            None => match self.connect().await {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a request cannot be relayed: the control plane is away");
                    return self.refuse(client, AWAY).await;
                }
            },
        };
        let sent = with_client(buffered.split_to(head.bytes), peer);
        match exchange(client, sent, buffered, head, &mut stream).await {
            Ok(exchanged) => {
                *control = exchanged.control.then_some(stream);
                if !exchanged.client {
                    linger(client).await;
                }
                exchanged.client
            }
            Err(ExchangeError::Away) => self.refuse(client, AWAY).await,
            Err(ExchangeError::Client) => false,
            Err(error @ ExchangeError::Cut) => {
                tracing::warn!(%error, target = head.target, "a request was not answered to its end");
                false
            }
        }
    }

    /// A connection to the control plane. One whose queue of connections is full is waited for.
    async fn connect(&self) -> io::Result<UnixStream> {
        for _ in 0..CONNECT_ATTEMPTS {
            match UnixStream::connect(self.control.as_path()).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                done => return done,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// The last answer on a connection.
    async fn refuse(&self, client: &mut TcpStream, answer: Answer<'_>) -> bool {
        self.answer(client, answer).await;
        linger(client).await;
        false
    }

    /// Returns the id that the answer bears.
    async fn answer(&self, client: &mut TcpStream, answer: Answer<'_>) -> Option<String> {
        let version = self.settings.borrow().version.clone();
        let mut out = Vec::new();
        let id = Answer { version: &version, ..answer }.write(clock::now(), &mut out);
        let _ = client.write_all(&out).await;
        id.map(|id| id.to_string())
    }
}

/// Whether the control plane has neither closed a connection nor said anything on it unasked.
fn is_open(control: &UnixStream) -> bool {
    let peeked = recv(control, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(Errno::AGAIN))
}

/// Ends a connection whose client may still be sending, so that it can read the answer.
async fn linger(client: &mut TcpStream) {
    let _ = client.shutdown().await;
    let rest = async {
        let mut discarded = vec![0; 16 << 10];
        while matches!(client.read(&mut discarded).await, Ok(1..)) {}
    };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// The answer while nobody is there to ask.
const AWAY: Answer<'static> = Answer {
    status: 503,
    body: b"{\n    \"error\": \"the control plane is restarting, try again\"\n}",
    retry_after: true,
    close: true,
    ..Answer::TAKEN
};

const READ_BYTES: usize = 64 << 10;

/// How long a full queue of connections to the control plane is waited for, and how often it is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);
const CONNECT_ATTEMPTS: usize = 500;

/// How long what follows the last answer is read and thrown away.
const LINGER: Duration = Duration::from_secs(1);
