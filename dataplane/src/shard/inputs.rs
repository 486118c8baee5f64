//! Line protocol without HTTP: streams of lines, and datagrams.
//!
//! There is nobody to answer: a bad line of a stream is left out, a datagram with a bad line is dropped whole (reference:
//! http-api §7), both are counted and one of them a second is logged. Where the rings are full nothing is read: a stream's
//! sender is slowed, datagrams wait in the kernel, which counts what it has to drop.

use std::{
    os::fd::OwnedFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    intake::{Intake, Refusal, Target},
    limits::LINE_BYTES_MAX,
    ring::Ticket,
    thread::Shard,
};
use crate::reactor::Datagrams;

/// An input as its shards and the I/O thread know it.
#[derive(Debug)]
pub struct Input {
    /// What the log calls it.
    pub service: &'static str,
    pub target: Target,
    pub counters: Counters,
}

/// Named as the original's counters of UDP.
#[derive(Debug, Default)]
pub struct Counters {
    pub points_rx: AtomicU64,
    pub bytes_rx: AtomicU64,
    /// Datagrams (lines, for streams) that were refused.
    pub points_parse_fail: AtomicU64,
    pub read_fail: AtomicU64,
    /// Datagrams that the kernel dropped because its buffer was full.
    pub lost: AtomicU64,
    /// When the last refusal was logged, nanoseconds since 1970, and how many were not since.
    logged: AtomicU64,
    unlogged: AtomicU64,
}

/// From one line in the log to the next.
const LOG_PERIOD: u64 = 1_000_000_000;

impl Input {
    pub fn new(service: &'static str, target: Target) -> Input {
        Input { service, target, counters: Counters::default() }
    }

    /// Counts refusals and logs one of them a second.
    fn refused(&self, count: u64, reason: impl FnOnce() -> String, now: i64) {
        let counters = &self.counters;
        add(&counters.points_parse_fail, count);
        let now = now.unsigned_abs();
        if now.abs_diff(counters.logged.load(Ordering::Relaxed)) < LOG_PERIOD {
            add(&counters.unlogged, count);
            return;
        }
        counters.logged.store(now, Ordering::Relaxed);
        let more = counters.unlogged.swap(0, Ordering::Relaxed);
        let err = reason();
        tracing::error!(service = self.service, err = err.trim_end(), more, "failed to parse points");
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// A connection that sends lines.
pub struct Stream {
    input: Arc<Input>,
    intake: Intake,
    tickets: Vec<Ticket>,
}

impl Stream {
    pub fn new(input: Arc<Input>) -> Stream {
        Stream { intake: Intake::new(input.target.clone()), input, tickets: Vec::new() }
    }

    pub fn bytes(&self) -> usize {
        self.intake.bytes() + self.tickets.iter().map(|ticket| ticket.bytes).sum::<usize>()
    }

    /// Whether lines wait for room in the rings; nothing is read meanwhile.
    pub fn waits(&mut self, shard: &Shard) -> bool {
        self.tickets.retain(|ticket| !shard.outbound.has_taken(*ticket));
        self.is_waiting()
    }

    pub fn is_waiting(&self) -> bool {
        !self.tickets.is_empty()
    }

    /// Takes received bytes; returns whether the stream may go on.
    pub fn receive(&mut self, shard: &mut Shard, bytes: &[u8], now: i64) -> bool {
        add(&self.input.counters.bytes_rx, bytes.len() as u64);
        let sent = self.intake.send_whole(shard, bytes);
        self.count(shard, sent, now);
        if self.intake.begun_line_bytes() > LINE_BYTES_MAX {
            self.input.refused(1, || format!("a line has {LINE_BYTES_MAX} bytes at most"), now);
            return false;
        }
        true
    }

    /// The stream has ended: what has no newline behind it is a line, too.
    pub fn end(&mut self, shard: &mut Shard, now: i64) {
        let sent = self.intake.send_rest(shard);
        self.count(shard, sent, now);
    }

    fn count(&mut self, shard: &Shard, sent: super::intake::Sent, now: i64) {
        add(&self.input.counters.points_rx, sent.points);
        if !sent.errors.is_empty() {
            self.input.refused(sent.errors.count() as u64, || text(sent.errors.into_text()), now);
        }
        if let Some(refusal) = sent.refused {
            self.input.refused(1, || refusal.to_string(), now);
        }
        self.tickets.extend(sent.tickets);
        self.waits(shard);
    }
}

/// A socket that receives datagrams.
pub struct Port {
    pub socket: Rc<OwnedFd>,
    input: Arc<Input>,
    intake: Intake,
    tickets: Vec<Ticket>,
}

impl Port {
    pub fn new(socket: Rc<OwnedFd>, input: Arc<Input>) -> Port {
        Port { socket, intake: Intake::new(input.target.clone()), input, tickets: Vec::new() }
    }

    pub fn is(&self, input: &Arc<Input>) -> bool {
        Arc::ptr_eq(&self.input, input)
    }

    /// Whether datagrams wait for room in the rings; nothing is read meanwhile.
    pub fn waits(&mut self, shard: &Shard) -> bool {
        self.tickets.retain(|ticket| !shard.outbound.has_taken(*ticket));
        !self.tickets.is_empty()
    }

    /// Takes a batch of datagrams; returns whether there may be more.
    pub fn read(&mut self, shard: &mut Shard, datagrams: &mut Datagrams, now: i64) -> bool {
        let Port { socket, input, intake, tickets } = self;
        let counters = &input.counters;
        let received = datagrams.receive(socket, |datagram| {
            add(&counters.bytes_rx, datagram.len() as u64);
            let before = shard.receiver.counters.points;
            match intake.finish(shard, datagram) {
                Ok(sent) => tickets.extend(sent.into_iter().filter(|ticket| !shard.outbound.has_taken(*ticket))),
                Err(Refusal::Lines(lines)) => input.refused(1, || text(lines), now),
                Err(refusal) => input.refused(1, || refusal.to_string(), now),
            }
            add(&counters.points_rx, shard.receiver.counters.points - before);
        });
        match received {
            Ok(received) => {
                if let Some(lost) = received.lost {
                    counters.lost.store(lost.into(), Ordering::Relaxed);
                }
                received.is_full()
            }
            Err(error) => {
                add(&counters.read_fail, 1);
                tracing::debug!(service = input.service, %error, "a datagram cannot be read");
                true
            }
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
