//! A client connection on a shard: writes, one after the other.
//!
//! ```text
//! Head ─► Body ─► (Unpack ─►) Committed ─► answered ─► Head
//!   │       └ refused ─► answered ─► Head, or Lingering where the rest of the request is still to come
//!   └ not a write ─► Leaving: the connection goes to the I/O thread, the next write brings it back
//! ```
//!
//! Nothing here waits: bytes come in as they are received, and what cannot be used yet is held (little, because the
//! connection is not read on then).

use std::{borrow::Cow, net::SocketAddr, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use rustix::{
    io::Errno,
    net::{SendFlags, Shutdown, send, shutdown},
};

use super::{
    command::WriteLog,
    inputs::{Input, Stream},
    intake::{Intake, Refusal, Target},
    limits::UNPACK_BYTES,
    ring::Ticket,
    thread::Shard,
};
use crate::{
    clock,
    http::{self, Answer, Body, Framer, Gunzip, GzipError, Head, HeadError, Parsed, Piece, Query},
    line::Precision,
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
    #[error(transparent)]
    Lines(#[from] Refusal),
    #[error(transparent)]
    Gzip(#[from] GzipError),
    #[error("a body has {0} bytes at most")]
    TooLarge(u64),
    #[error("too many bodies are being received, try again")]
    Busy,
    #[error(transparent)]
    Framing(#[from] http::FramingError),
}

impl Refused {
    fn status(&self) -> u16 {
        match self {
            Refused::TooLarge(_) | Refused::Gzip(GzipError::TooLarge(_)) => 413,
            Refused::Busy | Refused::Lines(Refusal::StartedOver) => 503,
            _ => 400,
        }
    }
}

/// What there is to know of a write's head behind it.
struct Request {
    keep_alive: bool,
    origin: Option<String>,
    accepts_gzip: bool,
    /// When its body began, nanoseconds since 1970.
    begun: i64,
    /// The head, if the log wants this write.
    logged: Option<Box<[u8]>>,
}

enum Phase {
    /// Between requests, or inside a head.
    Head,
    Body(Box<Incoming>),
    /// A packed body is all there.
    Unpack(Box<Unpacking>),
    /// The blocks of a body wait for room in the rings.
    Committed(Request, Vec<Ticket>),
    /// Lines without HTTP.
    Stream(Box<Stream>),
    /// The next request is not a write.
    Leaving,
    /// Refused inside a request: what still comes is thrown away until the peer has read the answer.
    Lingering,
    Over,
}

/// A body that is being received.
struct Incoming {
    request: Request,
    framer: Framer,
    bytes: usize,
    intake: Intake,
    /// The body is packed: its bytes so far.
    packed: Option<Vec<u8>>,
    /// The body is read for the sake of what follows it only.
    refused: Option<Refused>,
}

struct Unpacking {
    request: Request,
    gunzip: Gunzip,
    intake: Intake,
}

/// What the connection wants of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Bytes, or room in a ring.
    Go,
    /// Another turn of [`Connection::work`].
    Work,
    /// To be handed to the I/O thread.
    Leave,
    /// To be closed, a moment after its last answer.
    Linger,
    Close,
}

pub struct Connection {
    stream: Rc<OwnedFd>,
    /// Of clients that speak HTTP.
    peer: Option<SocketAddr>,
    phase: Phase,
    /// Received and not used yet.
    held: Vec<u8>,
    /// How much of a held head was searched for its end.
    searched: usize,
    /// Answers that the socket did not take.
    unsent: Vec<u8>,
    /// The peer sends no more.
    ended: bool,
}

impl Connection {
    /// `held` was received before; call [`Connection::go_on`] next.
    pub fn new(stream: Rc<OwnedFd>, peer: Option<SocketAddr>, held: Vec<u8>) -> Connection {
        Connection { stream, peer, phase: Phase::Head, held, searched: 0, unsent: Vec::new(), ended: false }
    }

    /// A connection that sends lines without HTTP.
    pub fn of_lines(stream: Rc<OwnedFd>, input: Arc<Input>) -> Connection {
        let phase = Phase::Stream(Box::new(Stream::new(input)));
        Connection { phase, ..Connection::new(stream, None, Vec::new()) }
    }

    pub fn wish(&self) -> Wish {
        match self.phase {
            _ if self.wants_write() => Wish::Go,
            Phase::Leaving => Wish::Leave,
            Phase::Lingering => Wish::Linger,
            Phase::Over => Wish::Close,
            Phase::Unpack(_) => Wish::Work,
            _ => Wish::Go,
        }
    }

    /// Whether more bytes can be used, or at least kept.
    pub fn receives(&self) -> bool {
        let uses = match &self.phase {
            Phase::Head | Phase::Body(_) | Phase::Lingering => self.unsent.is_empty(),
            Phase::Stream(stream) => !stream.is_waiting(),
            _ => false,
        };
        uses || self.held.is_empty()
    }

    /// An answer waits for room in the socket.
    pub fn wants_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Bytes held, for the shard's account.
    pub fn bytes(&self) -> usize {
        let body = match &self.phase {
            Phase::Body(body) => body.intake.bytes() + body.packed.as_ref().map_or(0, Vec::capacity),
            Phase::Unpack(body) => body.intake.bytes() + body.gunzip.bytes(),
            Phase::Stream(stream) => stream.bytes(),
            Phase::Committed(_, tickets) => tickets.iter().map(|ticket| ticket.bytes).sum(),
            _ => 0,
        };
        self.held.capacity() + self.unsent.len() + body
    }

    /// Whether a body is under way.
    pub fn has_body(&self) -> bool {
        matches!(self.phase, Phase::Body(_) | Phase::Unpack(_))
    }

    /// Bytes of the body under way that were used: how far it has come.
    pub fn body_bytes(&self) -> usize {
        match &self.phase {
            Phase::Body(body) => body.bytes,
            Phase::Unpack(body) => body.gunzip.unpacked_bytes(),
            _ => 0,
        }
    }

    /// Whether its answer waits for rings to take blocks.
    pub fn is_committed(&self) -> bool {
        match &self.phase {
            Phase::Committed(..) => true,
            Phase::Stream(stream) => stream.is_waiting(),
            _ => false,
        }
    }

    /// Whether nothing of a request has arrived, or of its head at most.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Stream(_)) && self.unsent.is_empty()
    }

    /// Gives up the held bytes: the connection goes on elsewhere.
    pub fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Bytes that came after the connection was on its way elsewhere.
    pub fn keep(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    pub fn received(&mut self, shard: &mut Shard, bytes: &[u8]) {
        if self.held.is_empty() {
            let used = self.consume(shard, bytes);
            self.held.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.held.extend_from_slice(bytes);
            self.go_on(shard);
        }
    }

    /// The peer sends no more; what it has sent is still answered.
    pub fn ended(&mut self, shard: &mut Shard) {
        self.ended = true;
        self.go_on(shard);
    }

    /// Uses what is held: an answer has left, rings have room, or the connection has just come.
    pub fn go_on(&mut self, shard: &mut Shard) {
        if let Phase::Committed(_, tickets) = &self.phase {
            if !tickets.iter().all(|ticket| shard.outbound.has_taken(*ticket)) {
                return;
            }
            if let Phase::Committed(request, _) = std::mem::replace(&mut self.phase, Phase::Head) {
                self.answer(shard, &request, Ok(()));
            }
        }
        if let Phase::Stream(stream) = &mut self.phase
            && stream.waits(shard)
        {
            return;
        }
        let mut held = std::mem::take(&mut self.held);
        let used = self.consume(shard, &held);
        held.drain(..used.min(held.len()));
        // A long head or a burst is no reason to keep its memory.
        if held.is_empty() {
            held = Vec::new();
        }
        self.held = held;
        if self.ended
            && self.held.is_empty()
            && let Phase::Stream(stream) = &mut self.phase
        {
            stream.end(shard, clock::now());
        }
        let waits = self.is_committed() || matches!(self.phase, Phase::Unpack(_) | Phase::Leaving);
        if self.ended && self.unsent.is_empty() && !waits {
            self.phase = Phase::Over;
        }
    }

    /// Uses bytes from the front of `input`; returns how many.
    fn consume(&mut self, shard: &mut Shard, input: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if !self.unsent.is_empty() {
                return used;
            }
            match &mut self.phase {
                Phase::Head if rest.is_empty() => return used,
                Phase::Head => match self.head(shard, rest) {
                    Some(bytes) => used += bytes,
                    None => return used,
                },
                Phase::Body(body) => {
                    let (bytes, end) = body.receive(shard, rest);
                    used += bytes;
                    let Some(end) = end else { return used };
                    if let Phase::Body(body) = std::mem::replace(&mut self.phase, Phase::Head) {
                        self.finish(shard, *body, end);
                    }
                }
                Phase::Stream(_) if rest.is_empty() => return used,
                Phase::Stream(stream) => {
                    if stream.is_waiting() {
                        return used;
                    }
                    used = input.len();
                    if !stream.receive(shard, rest, clock::now()) {
                        self.phase = Phase::Over;
                    }
                }
                Phase::Lingering | Phase::Over => return input.len(),
                Phase::Unpack(_) | Phase::Committed(..) | Phase::Leaving => return used,
            }
        }
    }

    /// Reads a head; returns its bytes once it is whole and the head of a write.
    fn head(&mut self, shard: &mut Shard, rest: &[u8]) -> Option<usize> {
        match http::parse_from(rest, &mut self.searched) {
            Ok(Parsed::Partial) => None,
            Ok(Parsed::Complete(head)) if !is_write(&head) || !shard.effects.gate.admits(&head, clock::now()) => {
                self.searched = 0;
                self.phase = Phase::Leaving;
                None
            }
            Ok(Parsed::Complete(head)) => {
                self.searched = 0;
                self.begin(shard, &head, rest.get(..head.bytes).unwrap_or_default());
                Some(head.bytes)
            }
            Err(error) => {
                self.refuse_head(&error);
                None
            }
        }
    }

    fn refuse_head(&mut self, error: &HeadError) {
        let body = format!("{} {error}", error.status());
        let answer =
            Answer { status: error.status(), body: body.as_bytes(), plain: true, close: true, ..Answer::TAKEN };
        answer.write(clock::now(), &mut self.unsent);
        self.phase = Phase::Lingering;
        self.flush();
    }

    /// Begins the body of a write, whose head came in these bytes.
    fn begin(&mut self, shard: &mut Shard, head: &Head, bytes: &[u8]) {
        let begun = clock::now();
        let settings = shard.settings.borrow();
        let logged = (settings.log_writes && shard.write_log.admits(begun)).then(|| bytes.into());
        let traced = settings.trace_writes;
        let (keep_alive, accepts_gzip) = (head.keep_alive, head.accepts_gzip);
        let request = Request { keep_alive, origin: head.origin.clone(), accepts_gzip, begun, logged };
        let bytes_max = shard.limits.body_bytes_max;
        if matches!(head.body, Body::Length(length) if length > bytes_max) {
            drop(settings);
            return self.answer(shard, &request, Err(Refused::TooLarge(bytes_max)));
        }
        let query = Query(head.query());
        let policy = match query.get("rp").filter(|policy| !policy.is_empty()) {
            Some(policy) => policy.into_owned(),
            None => settings.default_retention_policy.clone(),
        };
        drop(settings);
        let mut intake = Intake::new(Target {
            database: query.get("db").map(Cow::into_owned).unwrap_or_default(),
            retention_policy: policy,
            precision: Precision::of_query(&query.get("precision").unwrap_or_default()),
        });
        if traced {
            intake.trace();
        }
        if head.expects_continue {
            self.unsent.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.flush();
        }
        let packed = head.gzip.then(Vec::new);
        let framer = Framer::new(head.body);
        self.phase = Phase::Body(Box::new(Incoming { request, framer, bytes: 0, intake, packed, refused: None }));
    }

    /// A body has ended, or cannot go on.
    fn finish(&mut self, shard: &mut Shard, body: Incoming, end: End) {
        let Incoming { request, intake, packed, .. } = body;
        match (end, packed) {
            (End::Taken(tickets), _) => self.committed(shard, request, tickets),
            (End::Refused(refused), _) => self.answer(shard, &request, Err(refused)),
            (End::Packed, packed) => {
                match Gunzip::new(packed.unwrap_or_default(), shard.limits.body_bytes_max as usize) {
                    Ok(gunzip) => self.phase = Phase::Unpack(Box::new(Unpacking { request, gunzip, intake })),
                    Err(error) => self.answer(shard, &request, Err(error.into())),
                }
            }
        }
    }

    /// Unpacks and parses some of a packed body.
    pub fn work(&mut self, shard: &mut Shard) {
        let Phase::Unpack(body) = &mut self.phase else { return };
        let mut piece = std::mem::take(&mut shard.unpacked);
        piece.resize(UNPACK_BYTES, 0);
        let read = body.gunzip.read(&mut piece);
        let end = match read {
            Ok(bytes @ 1..) => {
                body.intake.part(shard, piece.get(..bytes).unwrap_or_default());
                shard.receiver.counters.bytes += bytes as u64;
                None
            }
            Ok(_) => Some(body.intake.finish(shard, b"").map_err(Refused::from)),
            Err(error) => Some(Err(error.into())),
        };
        shard.unpacked = piece;
        if let Some(end) = end
            && let Phase::Unpack(body) = std::mem::replace(&mut self.phase, Phase::Head)
        {
            match end {
                Ok(tickets) => self.committed(shard, body.request, tickets),
                Err(refused) => self.answer(shard, &body.request, Err(refused)),
            }
            self.go_on(shard);
        }
    }

    fn committed(&mut self, shard: &mut Shard, request: Request, tickets: Vec<Ticket>) {
        if tickets.iter().all(|ticket| shard.outbound.has_taken(*ticket)) {
            self.answer(shard, &request, Ok(()));
        } else {
            shard.waited_for_rings += 1;
            self.phase = Phase::Committed(request, tickets);
        }
    }

    /// There is no room for what this connection holds, or it does not go on.
    pub fn give_up(&mut self, shard: &mut Shard) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Body(body) => self.answer(shard, &body.request, Err(Refused::Busy)),
            Phase::Unpack(body) => self.answer(shard, &body.request, Err(Refused::Busy)),
            _ => {}
        }
        self.held = Vec::new();
    }

    /// Answers a write. The connection goes on unless it must not.
    fn answer(&mut self, shard: &mut Shard, request: &Request, taken: Result<(), Refused>) {
        // The rest of the request is still to come.
        let inside = matches!(taken, Err(Refused::TooLarge(_) | Refused::Busy | Refused::Framing(_)));
        let close = inside || !request.keep_alive || shard.draining;
        let version = shard.settings.borrow().version.clone();
        let (origin, gzip) = (request.origin.as_deref(), request.accepts_gzip);
        let base = Answer { version: &version, origin, gzip, close, ..Answer::TAKEN };
        let now = clock::now();
        let (status, request_id) = match taken {
            Ok(()) => (204, base.write(now, &mut self.unsent)),
            Err(refused) => {
                shard.receiver.counters.bodies_refused += 1;
                let status = refused.status();
                shard.bodies_too_large += u64::from(status == 413);
                let body = match refused {
                    Refused::Lines(Refusal::Lines(text)) => text,
                    other => format!("{other}\n").into_bytes(),
                };
                let answer = Answer { status, body: &body, retry_after: status == 503, ..base };
                (status, answer.write(now, &mut self.unsent))
            }
        };
        let took = Duration::from_nanos(now.saturating_sub(request.begun).unsigned_abs());
        shard.write_times.record(took);
        if let Some(head) = &request.logged {
            let (head, peer, begun) = (head.clone(), self.peer, request.begun);
            shard.write_log.send(WriteLog::Answered { head, peer, begun, took, status, request_id });
        }
        self.phase = match (inside, close) {
            (true, _) => Phase::Lingering,
            (false, true) => Phase::Over,
            (false, false) => Phase::Head,
        };
        self.flush();
    }

    /// Sends as much of the answers as the socket takes.
    pub fn flush(&mut self) {
        while !self.unsent.is_empty() {
            match send(&*self.stream, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(bytes) => drop(self.unsent.drain(..bytes.min(self.unsent.len()))),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    self.unsent = Vec::new();
                    self.phase = Phase::Over;
                    return;
                }
            }
        }
        if matches!(self.phase, Phase::Lingering) {
            let _ = shutdown(&*self.stream, Shutdown::Write);
        }
    }
}

/// How receiving a body ended.
enum End {
    Taken(Vec<Ticket>),
    /// All there, still packed.
    Packed,
    Refused(Refused),
}

impl Incoming {
    /// Uses bytes of the body; the end once there is one.
    fn receive(&mut self, shard: &mut Shard, input: &[u8]) -> (usize, Option<End>) {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.framer.next(rest) {
                Ok(Piece::Data(range)) => {
                    used += range.end;
                    let data = rest.get(range).unwrap_or_default();
                    self.bytes += data.len();
                    if self.bytes as u64 > shard.limits.body_bytes_max {
                        return (used, Some(End::Refused(Refused::TooLarge(shard.limits.body_bytes_max))));
                    }
                    if self.refused.is_some() {
                        continue;
                    }
                    if let Some(packed) = &mut self.packed {
                        packed.extend_from_slice(data);
                        continue;
                    }
                    shard.receiver.counters.bytes += data.len() as u64;
                    if !self.framer.is_complete() {
                        self.intake.part(shard, data);
                        continue;
                    }
                    return (used, Some(self.end(shard, data)));
                }
                Ok(Piece::Skip(bytes)) => used += bytes,
                Ok(Piece::More) => return (used, None),
                Ok(Piece::Done) => return (used, Some(self.end(shard, b""))),
                Err(error) => return (used, Some(End::Refused(error.into()))),
            }
        }
    }

    fn end(&mut self, shard: &mut Shard, last: &[u8]) -> End {
        if let Some(refused) = self.refused.take() {
            return End::Refused(refused);
        }
        if self.packed.is_some() {
            return End::Packed;
        }
        match self.intake.finish(shard, last) {
            Ok(tickets) => End::Taken(tickets),
            Err(refusal) => End::Refused(refusal.into()),
        }
    }
}
