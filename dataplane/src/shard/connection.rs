//! A client connection on a shard: writes, one after the other.
//!
//! A request that is not a write takes its connection to the I/O thread; the next write brings it back.

use std::{borrow::Cow, rc::Rc, sync::atomic::Ordering};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::SemaphorePermit,
    task::yield_now,
};

use super::{
    command::Handover,
    limits::{BODY_BYTES_MAX, BODY_RESERVE_BYTES, SLICE_ROWS},
    ring::Item,
    thread::{Shard, Ticket},
};
use crate::{
    clock,
    http::{self, Answer, Body, Framer, GzipError, Head, HeadError, Parsed, Piece, Query},
    line::{Lines, Precision},
};

/// Whether a request goes to a shard rather than to the control plane.
pub fn is_write(head: &Head) -> bool {
    head.method == "POST"
        && matches!(head.path(), "/write" | "/kapacitor/v1/write" | "/kapacitor/v1preview/write")
        && !head.expects_unknown
}

/// Why a body is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{}", String::from_utf8_lossy(.0).trim_end())]
    Lines(Vec<u8>),
    #[error("database is required")]
    NoDatabase,
    #[error(transparent)]
    Gzip(#[from] GzipError),
    #[error("a body has {BODY_BYTES_MAX} bytes at most")]
    TooLarge,
    #[error("too many bodies are being received, try again")]
    Busy,
    #[error(transparent)]
    Framing(#[from] http::FramingError),
    #[error("credentials are required to write")]
    Unauthorized,
    /// The connection is gone; nobody to answer.
    #[error("the connection closed inside a request")]
    Gone,
}

impl Refused {
    fn status(&self) -> u16 {
        match self {
            Refused::TooLarge | Refused::Gzip(GzipError::TooLarge(_)) => 413,
            Refused::Busy => 503,
            Refused::Unauthorized => 401,
            _ => 400,
        }
    }

    /// Whether the rest of the request is still in the connection.
    fn closes(&self) -> bool {
        matches!(self, Refused::TooLarge | Refused::Busy | Refused::Framing(_) | Refused::Gone)
    }
}

struct Connection<'a> {
    shard: &'a Rc<Shard>,
    stream: TcpStream,
    buffer: BytesMut,
}

/// Serves a connection until it closes or its next request is not a write.
pub async fn serve(shard: &Rc<Shard>, handover: Handover) {
    let Handover { stream, peer, buffered } = handover;
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let mut connection = Connection { shard, stream, buffer: buffered };
    while let Some(head) = connection.next_head().await {
        if !is_write(&head) {
            if let Ok(stream) = connection.stream.into_std() {
                let handover = Handover { stream, peer, buffered: connection.buffer };
                let _ = shard.effects.relays.send(handover).await;
            }
            return;
        }
        connection.buffer.advance(head.bytes);
        if !connection.write(&head).await {
            return;
        }
    }
}

impl Connection<'_> {
    /// The next request's head, still in the buffer; `None` ends the connection.
    async fn next_head(&mut self) -> Option<Head> {
        loop {
            let error = match http::parse(&self.buffer) {
                Ok(Parsed::Complete(head)) => return Some(head),
                Ok(Parsed::Partial) => {
                    let drain = self.shard.drain.notified();
                    if self.buffer.is_empty() && self.shard.draining.load(Ordering::Relaxed) {
                        return None;
                    }
                    self.buffer.reserve(READ_BYTES);
                    tokio::select! {
                        read = self.stream.read_buf(&mut self.buffer) => match read {
                            Ok(1..) => continue,
                            _ => return None,
                        },
                        () = drain => continue,
                    }
                }
                Err(error) => error,
            };
            self.refuse_head(&error).await;
            return None;
        }
    }

    async fn refuse_head(&mut self, error: &HeadError) {
        let body = format!("{} {error}", error.status());
        let answer =
            Answer { status: error.status(), body: body.as_bytes(), plain: true, close: true, ..self.answer() };
        let mut out = Vec::new();
        answer.write(clock::now(), &mut out);
        let _ = self.stream.write_all(&out).await;
    }

    /// Takes a write and answers it; returns whether the connection goes on.
    async fn write(&mut self, head: &Head) -> bool {
        let taken = self.take(head).await;
        let closes = !head.keep_alive
            || taken.as_ref().is_err_and(Refused::closes)
            || self.shard.draining.load(Ordering::Relaxed);
        let mut out = Vec::with_capacity(512);
        let version = self.shard.settings.borrow().version.clone();
        let base = Answer { version: &version, origin: head.origin.as_deref(), close: closes, ..EMPTY };
        match taken {
            Ok(()) => base.write(clock::now(), &mut out),
            Err(Refused::Gone) => return false,
            Err(refused) => {
                self.shard.receiver.borrow_mut().counters.bodies_refused += 1;
                let status = refused.status();
                let body = match refused {
                    Refused::Lines(text) => text,
                    other => format!("{other}\n").into_bytes(),
                };
                Answer { status, body: &body, retry_after: status == 503, ..base }.write(clock::now(), &mut out);
            }
        }
        self.stream.write_all(&out).await.is_ok() && !closes
    }

    /// Receives a body and hands its points to their owners.
    async fn take(&mut self, head: &Head) -> Result<(), Refused> {
        if self.shard.settings.borrow().auth_enabled {
            return Err(Refused::Unauthorized);
        }
        let known = match head.body {
            Body::Length(length) if !head.gzip => Some(length),
            _ => None,
        };
        if known.is_some_and(|length| length > BODY_BYTES_MAX as u64) {
            return Err(Refused::TooLarge);
        }
        let shard = self.shard.clone();
        let reserve = known.map_or(BODY_RESERVE_BYTES, |length| length as usize);
        let room = shard.staging.acquire_many(reserve as u32).await.map_err(|_| Refused::Busy)?;
        if head.expects_continue {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.stream.write_all(interim).await.map_err(|_| Refused::Gone)?;
        }
        let (body, _room) = self.body(head, room, &shard).await?;
        self.shard.receiver.borrow_mut().counters.bytes += body.len() as u64;
        let query = Query(head.query());
        let database = query.get("db").unwrap_or_default();
        let policy = match query.get("rp").filter(|policy| !policy.is_empty()) {
            Some(policy) => policy,
            None => Cow::Owned(self.shard.settings.borrow().default_retention_policy.clone()),
        };
        let precision = Precision::of_query(&query.get("precision").unwrap_or_default());
        let tickets = self.stage(&body, &database, &policy, precision).await?;
        self.shard.accepted(&tickets).await;
        Ok(())
    }

    /// Parses a body slice by slice and queues its blocks.
    async fn stage(
        &self,
        body: &[u8],
        database: &str,
        policy: &str,
        precision: Precision,
    ) -> Result<Vec<Ticket>, Refused> {
        let shard = self.shard;
        loop {
            let mut staging = shard.receiver.borrow_mut().stage(database, policy, precision, clock::now());
            let mut lines = Lines::new(body);
            while shard.receiver.borrow_mut().stage_lines(&mut staging, &mut lines, SLICE_ROWS) {
                yield_now().await;
            }
            if !staging.errors.is_empty() {
                return Err(Refused::Lines(staging.errors.into_text()));
            }
            if database.is_empty() {
                return Err(Refused::NoDatabase);
            }
            let committed = shard.receiver.borrow_mut().commit(staging, shard.next_order());
            if committed.forgot {
                shard.forget_series();
            }
            if committed.restage {
                continue;
            }
            let send = |(owner, block)| shard.send(owner, Item::Block(block));
            let tickets = committed.blocks.into_iter().filter_map(send).collect();
            shard.push();
            return Ok(tickets);
        }
    }

    /// The whole body, unpacked, and the room that it holds.
    async fn body<'p>(
        &mut self,
        head: &Head,
        mut room: SemaphorePermit<'p>,
        shard: &'p Shard,
    ) -> Result<(BytesMut, SemaphorePermit<'p>), Refused> {
        let mut framer = Framer::new(head.body);
        let mut body = BytesMut::new();
        loop {
            match framer.next(&self.buffer)? {
                Piece::Done => break,
                Piece::Skip(bytes) => self.buffer.advance(bytes),
                Piece::Data(range) => {
                    let data = self.buffer.split_to(range.end);
                    if body.is_empty() {
                        body = data;
                    } else {
                        body.unsplit(data);
                    }
                    if body.len() > BODY_BYTES_MAX {
                        return Err(Refused::TooLarge);
                    }
                    grow(&mut room, body.len(), shard)?;
                }
                Piece::More => {
                    // Pieces that are read behind each other into one allocation join without a copy.
                    let wanted = match head.body {
                        Body::Length(length) => (length as usize).saturating_sub(body.len()).max(READ_BYTES),
                        _ => READ_BYTES,
                    };
                    self.buffer.reserve(wanted.min(READ_BYTES_MAX));
                    match self.stream.read_buf(&mut self.buffer).await {
                        Ok(1..) => {}
                        _ => return Err(Refused::Gone),
                    }
                }
            }
        }
        if !head.gzip {
            return Ok((body, room));
        }
        let content = http::gunzip(&body, BODY_BYTES_MAX)?;
        grow(&mut room, content.len(), shard)?;
        Ok((BytesMut::from(content.as_slice()), room))
    }

    fn answer(&self) -> Answer<'static> {
        EMPTY
    }
}

/// Takes more room for a body that proves longer than what it reserved; never waits, so that two such bodies cannot
/// wait for each other.
fn grow<'p>(room: &mut SemaphorePermit<'p>, bytes: usize, shard: &'p Shard) -> Result<(), Refused> {
    let held = room.num_permits();
    if bytes > held {
        let more = shard.staging.try_acquire_many((bytes - held) as u32).map_err(|_| Refused::Busy)?;
        room.merge(more);
    }
    Ok(())
}

const EMPTY: Answer<'static> =
    Answer { status: 204, body: b"", version: "", origin: None, retry_after: false, close: false, plain: false };

/// Least room that a read gets.
const READ_BYTES: usize = 64 << 10;

/// Most room that a read gets at once; a body's memory grows with what has arrived, not with what was announced.
const READ_BYTES_MAX: usize = 1 << 20;
