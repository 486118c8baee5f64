//! What kapacitorLoopback nodes of a shard send back: a bounded queue into the shard's own ingest path.
//!
//! Lines of one database and retention policy in a row are one body, so that what waits is staged like anything that was
//! written. While the owners' rings are full the queue grows; at its bound it drops with a counter, because a point that
//! comes back cannot wait for the point that it came from.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use proto::limits::Limits;

use super::{
    intake::{Intake, Target},
    ring::Ticket,
    thread::Shard,
};
use crate::line::{Lines, Precision};

/// Bytes from which on a body is not added to: it is staged in one turn.
const BODY_BYTES: usize = 64 << 10;

pub struct Reingest {
    bytes_max: usize,
    bodies: RefCell<VecDeque<Body>>,
    bytes: Cell<usize>,
    pub dropped: Cell<u64>,
    /// Blocks of the last body that wait for room in the rings.
    tickets: RefCell<Vec<Ticket>>,
}

struct Body {
    database: Rc<str>,
    retention_policy: Rc<str>,
    lines: String,
}

impl Default for Reingest {
    fn default() -> Reingest {
        Reingest::new(Limits::default().loopback_bytes_max as usize)
    }
}

impl Reingest {
    /// One whose lines may take so many bytes while they wait.
    pub fn new(bytes_max: usize) -> Reingest {
        Reingest {
            bytes_max,
            bodies: RefCell::default(),
            bytes: Cell::default(),
            dropped: Cell::default(),
            tickets: RefCell::default(),
        }
    }

    /// Takes a line with its end; returns whether there was room.
    pub fn push(&self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool {
        if !self.has_room(line.len()) {
            self.dropped.set(self.dropped.get() + 1);
            return false;
        }
        self.bytes.set(self.bytes.get() + line.len());
        let mut bodies = self.bodies.borrow_mut();
        match bodies.back_mut() {
            Some(last)
                if last.database == *database
                    && last.retention_policy == *retention_policy
                    && last.lines.len() < BODY_BYTES =>
            {
                last.lines.push_str(line);
            }
            _ => {
                let (database, retention_policy) = (database.clone(), retention_policy.clone());
                bodies.push_back(Body { database, retention_policy, lines: line.to_owned() });
            }
        }
        true
    }

    /// Whether so many bytes more can wait.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes.get() + bytes <= self.bytes_max
    }

    /// Whether a turn would do something.
    pub fn has_work(&self) -> bool {
        self.bytes.get() > 0 && self.tickets.borrow().is_empty()
    }

    /// Stages the next body, unless the last one still waits for room in the rings.
    pub fn turn(&self, shard: &mut Shard) {
        let mut tickets = self.tickets.borrow_mut();
        tickets.retain(|ticket| !shard.outbound.has_taken(*ticket));
        if tickets.is_empty()
            && let Some(body) = self.pop()
        {
            *tickets = self.stage(shard, &body);
            tickets.retain(|ticket| !shard.outbound.has_taken(*ticket));
        }
    }

    fn pop(&self) -> Option<Body> {
        let body = self.bodies.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - body.lines.len());
        Some(body)
    }

    /// As a body that was written; a line that cannot be read is left out, the others go.
    fn stage(&self, shard: &mut Shard, body: &Body) -> Vec<Ticket> {
        let mut intake = Intake::new(Target {
            database: body.database.to_string(),
            retention_policy: body.retention_policy.to_string(),
            precision: Precision::of_query("n"),
        });
        if let Ok(tickets) = intake.finish(shard, body.lines.as_bytes()) {
            return tickets;
        }
        let mut tickets = Vec::new();
        for line in Lines::new(body.lines.as_bytes()) {
            match intake.finish(shard, line) {
                Ok(sent) => tickets.extend(sent),
                Err(refusal) => {
                    self.dropped.set(self.dropped.get() + 1);
                    let err = refusal.to_string();
                    tracing::error!(service = "kapacitor", err, "a point that came back by a loopback is dropped");
                }
            }
        }
        tickets
    }
}
