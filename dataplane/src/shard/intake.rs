//! Line protocol of one writer on its way to the owners: parsed where it was received, staged, and sent when it is whole.
//!
//! A line that a buffer's end cuts is joined in a small stash; everything else is never copied.

use super::{
    command::WriteLog,
    limits::TRACED_BYTES,
    ring::{Item, Ticket},
    staging::Staging,
    thread::Shard,
};
use crate::{
    clock,
    line::{BodyErrors, Cutter, Lines, Precision},
};

/// Where lines go and how their timestamps are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub database: String,
    pub retention_policy: String,
    pub precision: Precision,
}

/// Why lines are not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text for the writer, one line a refused line.
    #[error("{}", String::from_utf8_lossy(.0).trim_end())]
    Lines(Vec<u8>),
    #[error("database is required")]
    NoDatabase,
    #[error("the cache of series started over meanwhile, try again")]
    StartedOver,
}

/// What was sent of a stream of lines.
#[derive(Default)]
pub struct Sent {
    pub tickets: Vec<Ticket>,
    pub points: u64,
    /// Lines that were left out.
    pub errors: BodyErrors,
    /// Why none of them was taken.
    pub refused: Option<Refusal>,
}

pub struct Intake {
    target: Target,
    /// The first bytes and the number of all, where somebody wants to see what comes.
    traced: Option<Box<(Vec<u8>, usize)>>,
    cutter: Cutter,
    stash: Vec<u8>,
    staging: Option<Staging>,
}

impl Intake {
    pub fn new(target: Target) -> Intake {
        Intake { target, traced: None, cutter: Cutter::default(), stash: Vec::new(), staging: None }
    }

    /// The log wants to see the body.
    pub fn trace(&mut self) {
        self.traced = Some(Box::default());
    }

    fn see(&mut self, part: &[u8]) {
        if let Some(traced) = &mut self.traced {
            let room = TRACED_BYTES.saturating_sub(traced.0.len());
            traced.0.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            traced.1 += part.len();
        }
    }

    /// Bytes held: the begun line and what is staged.
    pub fn bytes(&self) -> usize {
        self.stash.capacity() + self.staging.as_ref().map_or(0, Staging::bytes)
    }

    /// Bytes of the line that goes on in the next part.
    pub fn begun_line_bytes(&self) -> usize {
        self.stash.len()
    }

    /// Stages the whole lines of a part; more parts follow.
    pub fn part(&mut self, shard: &mut Shard, part: &[u8]) {
        self.see(part);
        let Some(part) = self.join(shard, part) else { return };
        let cut = self.cutter.cut(part);
        let (whole, begun) = part.split_at_checked(cut).unwrap_or_default();
        self.stage(shard, whole);
        self.stash.extend_from_slice(begun);
    }

    /// Stages the last part and sends all that was staged, unless a line is bad.
    pub fn finish(&mut self, shard: &mut Shard, last: &[u8]) -> Result<Vec<Ticket>, Refusal> {
        self.see(last);
        if let Some(traced) = self.traced.take() {
            shard.write_log.send(WriteLog::Body { text: traced.0, bytes: traced.1 });
        }
        let in_place = self.staging.is_none() && self.stash.is_empty();
        if let Some(rest) = self.join(shard, last) {
            self.stage(shard, rest);
        } else {
            let stash = std::mem::take(&mut self.stash);
            self.stage(shard, &stash);
        }
        self.cutter = Cutter::default();
        match self.commit(shard) {
            // The cache is empty now, so once more is enough.
            Err(Refusal::StartedOver) if in_place => {
                self.stage(shard, last);
                self.commit(shard)
            }
            result => result,
        }
    }

    /// Sends the whole lines of a part of a stream, without the bad ones; the rest of the part goes on in the next.
    pub fn send_whole(&mut self, shard: &mut Shard, part: &[u8]) -> Sent {
        let mut line = Vec::new();
        let mut rest = part;
        if !self.stash.is_empty() {
            let end = self.cutter.end(part);
            let (before, after) = part.split_at_checked(end.unwrap_or(part.len())).unwrap_or_default();
            self.stash.extend_from_slice(before);
            if end.is_none() {
                return Sent::default();
            }
            line = std::mem::take(&mut self.stash);
            rest = after;
        }
        let (whole, begun) = rest.split_at_checked(self.cutter.cut(rest)).unwrap_or_default();
        self.stash.extend_from_slice(begun);
        self.send_good(shard, &[&line, whole])
    }

    /// Sends what a stream ended with.
    pub fn send_rest(&mut self, shard: &mut Shard) -> Sent {
        let line = std::mem::take(&mut self.stash);
        self.send_good(shard, &[&line])
    }

    fn send_good(&mut self, shard: &mut Shard, parts: &[&[u8]]) -> Sent {
        let before = shard.receiver.counters.points;
        // Once more if the cache of series starts over: it is empty then.
        let mut refused = None;
        for _ in 0..2 {
            parts.iter().filter(|part| !part.is_empty()).for_each(|part| self.stage(shard, part));
            let Some(staging) = &mut self.staging else { break };
            let errors = std::mem::take(&mut staging.errors);
            match self.commit(shard) {
                Ok(tickets) => {
                    let points = shard.receiver.counters.points - before;
                    return Sent { tickets, points, errors, refused: None };
                }
                Err(refusal) => refused = Some(refusal),
            }
        }
        Sent { refused, ..Sent::default() }
    }

    /// Sends what was staged; with bad lines nothing is sent.
    fn commit(&mut self, shard: &mut Shard) -> Result<Vec<Ticket>, Refusal> {
        let staging = self.staging.take().unwrap_or_else(|| self.begin(shard));
        if !staging.errors.is_empty() {
            return Err(Refusal::Lines(staging.errors.into_text()));
        }
        if self.target.database.is_empty() {
            return Err(Refusal::NoDatabase);
        }
        let order = shard.next_order();
        let committed = shard.receiver.commit(staging, order);
        if committed.forgot {
            shard.forget_series();
        }
        if committed.restage {
            return Err(Refusal::StartedOver);
        }
        let send = |(owner, block)| shard.outbound.send(owner, Item::Block(block));
        let tickets = committed.blocks.into_iter().filter_map(send).collect();
        shard.outbound.push();
        Ok(tickets)
    }

    /// Completes the begun line; returns what follows it, `None` if the line still goes on.
    fn join<'p>(&mut self, shard: &mut Shard, part: &'p [u8]) -> Option<&'p [u8]> {
        if self.stash.is_empty() {
            return Some(part);
        }
        let end = self.cutter.end(part);
        let (line, rest) = part.split_at_checked(end.unwrap_or(part.len())).unwrap_or_default();
        self.stash.extend_from_slice(line);
        end?;
        let mut stash = std::mem::take(&mut self.stash);
        self.stage(shard, &stash);
        stash.clear();
        self.stash = stash;
        Some(rest)
    }

    fn stage(&mut self, shard: &mut Shard, lines: &[u8]) {
        let mut staging = self.staging.take().unwrap_or_else(|| self.begin(shard));
        shard.receiver.stage_lines(&mut staging, &mut Lines::new(lines), usize::MAX);
        self.staging = Some(staging);
    }

    fn begin(&self, shard: &mut Shard) -> Staging {
        let Target { database, retention_policy, precision } = &self.target;
        shard.receiver.stage(database, retention_policy, *precision, clock::now())
    }
}
