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

use tokio::{sync::Notify, task::yield_now};

use super::{
    limits::{REINGEST_BYTES_MAX, SLICE_ROWS},
    ring::Item,
    thread::Shard,
};
use crate::{
    clock,
    line::{Lines, Precision},
};

#[derive(Default)]
pub struct Reingest {
    bodies: RefCell<VecDeque<Body>>,
    bytes: Cell<usize>,
    pub dropped: Cell<u64>,
    arrived: Notify,
}

struct Body {
    database: Rc<str>,
    retention_policy: Rc<str>,
    lines: String,
}

impl Reingest {
    /// Takes a line with its end; returns whether there was room.
    pub fn push(&self, database: &Rc<str>, retention_policy: &Rc<str>, line: &str) -> bool {
        if self.bytes.get() + line.len() > REINGEST_BYTES_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return false;
        }
        self.bytes.set(self.bytes.get() + line.len());
        let mut bodies = self.bodies.borrow_mut();
        match bodies.back_mut() {
            Some(last) if last.database == *database && last.retention_policy == *retention_policy => {
                last.lines.push_str(line);
            }
            _ => {
                let (database, retention_policy) = (database.clone(), retention_policy.clone());
                bodies.push_back(Body { database, retention_policy, lines: line.to_owned() });
            }
        }
        self.arrived.notify_one();
        true
    }

    fn pop(&self) -> Option<Body> {
        let body = self.bodies.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - body.lines.len());
        Some(body)
    }

    /// Stages what comes, for as long as the shard lives.
    pub async fn run(shard: Rc<Shard>) {
        loop {
            shard.reingest.arrived.notified().await;
            while let Some(body) = shard.reingest.pop() {
                body.stage(&shard).await;
            }
        }
    }
}

impl Body {
    /// As a body that was written; a line that cannot be read is left out, the others go.
    async fn stage(&self, shard: &Shard) {
        if self.stage_lines(shard, self.lines.as_bytes()).await.is_ok() {
            return;
        }
        for line in Lines::new(self.lines.as_bytes()) {
            if let Err(error) = self.stage_lines(shard, line).await {
                shard.reingest.dropped.set(shard.reingest.dropped.get() + 1);
                tracing::error!(service = "kapacitor", err = error, "a point that came back by a loopback is dropped");
            }
        }
    }

    async fn stage_lines(&self, shard: &Shard, lines: &[u8]) -> Result<(), String> {
        loop {
            let precision = Precision::of_query("n");
            let (database, policy) = (&*self.database, &*self.retention_policy);
            let mut staging = shard.receiver.borrow_mut().stage(database, policy, precision, clock::now());
            let mut rest = Lines::new(lines);
            while shard.receiver.borrow_mut().stage_lines(&mut staging, &mut rest, SLICE_ROWS) {
                yield_now().await;
            }
            if !staging.errors.is_empty() {
                return Err(String::from_utf8_lossy(&staging.errors.into_text()).into_owned());
            }
            let committed = shard.receiver.borrow_mut().commit(staging, shard.next_order());
            if committed.forgot {
                shard.forget_series();
            }
            if committed.restage {
                continue;
            }
            let send = |(owner, block)| shard.send(owner, Item::Block(block));
            let tickets: Vec<_> = committed.blocks.into_iter().filter_map(send).collect();
            shard.push();
            shard.accepted(&tickets).await;
            return Ok(());
        }
    }
}
