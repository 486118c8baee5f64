//! A lane of a batch task: lines of JSON as batches at its query nodes.
//!
//! reference: batch-and-replay §5, §12. Each source has a text and a shift of its own.

use std::sync::Arc;

use proto::{
    Plan,
    feed::{BATCH_BYTES_MAX, FeedFailure},
    message::NodeStatistics,
    plan::{NodeKind, SideloadFile},
};

use super::{Manner, batch_line::BatchLine};
use crate::{
    clock,
    dag::{build::build, task::Task},
    group::Account,
    node::{Fault, Outputs, alert::Inhibitors, udf::UdfEvent},
    point::{Batch, Rows},
    rate::Rate,
    shard::command::HttpOutPart,
    tags::TagSet,
};

pub struct BatchLane {
    task: Task,
    manner: Manner,
    sources: Vec<Source>,
    order: u64,
    /// The clock of the instance has begun.
    begun: bool,
    now: i64,
    rate: Rate,
}

/// A query node.
struct Source {
    slot: usize,
    /// The part of a line that has come.
    rest: Vec<u8>,
    /// How far its times are moved, once its first point has been seen.
    shift: Option<i64>,
}

impl BatchLane {
    pub fn new(
        plan: &Plan,
        manner: Manner,
        outputs: Box<dyn Outputs>,
        inhibitors: &Arc<Inhibitors>,
    ) -> Result<BatchLane, String> {
        let task = build(plan, outputs, inhibitors).map_err(|error| error.to_string())?;
        let queries = plan.nodes.iter().enumerate().filter(|(_, node)| node.kind == NodeKind::Query);
        let sources = queries.map(|(slot, _)| Source { slot, rest: Vec::new(), shift: None }).collect();
        let now = clock::now();
        let mut lane = BatchLane { task, manner, sources, order: 0, begun: false, now, rate: Rate::default() };
        // A live task's time begins with it, whether its queries find something or not.
        if !lane.manner.follows_data {
            lane.clock(now).map_err(|failure| failure.to_string())?;
        }
        Ok(lane)
    }

    pub fn keep(&mut self, account: Arc<Account>) {
        self.task.keep(account);
    }

    pub fn take(&mut self, source: u16, text: &[u8]) -> Result<(), FeedFailure> {
        let mut text = text;
        while let Some(end) = memchr::memchr(b'\n', text) {
            let (line, behind) = text.split_at(end);
            text = behind.get(1..).unwrap_or_default();
            let mut whole = std::mem::take(&mut self.source(source)?.rest);
            whole.extend_from_slice(line);
            self.line(source, &mut whole)?;
            // Its room is kept for the next line, unless it was an odd one.
            whole.clear();
            if whole.capacity() <= 4 << 20 {
                self.source(source)?.rest = whole;
            }
        }
        let rest = &mut self.source(source)?.rest;
        rest.extend_from_slice(text);
        match rest.len() > BATCH_BYTES_MAX {
            true => Err(FeedFailure::Data(format!("a batch has more than {BATCH_BYTES_MAX} bytes"))),
            false => Ok(()),
        }
    }

    /// The last line may lack its newline.
    pub fn end(&mut self, source: u16, skip_rest: bool) -> Result<(), FeedFailure> {
        let mut rest = std::mem::take(&mut self.source(source)?.rest);
        match skip_rest || rest.is_empty() {
            true => Ok(()),
            false => self.line(source, &mut rest),
        }
    }

    /// Wakes what is due by `now`; the first call begins the instance's time.
    pub fn clock(&mut self, now: i64) -> Result<(), FeedFailure> {
        if !self.begun {
            self.begun = true;
            self.now = now;
            return self.task.start(now).map_err(failure);
        }
        if self.manner.follows_data {
            self.now = self.now.max(now);
        } else {
            if let Some(by) = clock::set_back(self.now, now) {
                self.task.set_back(by);
            }
            self.now = now;
        }
        match self.task.next_wake() <= self.now {
            true if self.manner.follows_data => self.task.advance(self.now).map_err(failure),
            true => self.task.keep_up(self.now).map_err(failure),
            false => Ok(()),
        }
    }

    pub fn http_out(&self, endpoint: &str) -> Option<HttpOutPart> {
        self.task.http_out(endpoint).map(|rows| rows.rows)
    }

    pub fn statistics(&mut self) -> Vec<NodeStatistics> {
        self.task.statistics()
    }

    /// Batches of the last whole second.
    pub fn throughput(&mut self) -> f64 {
        self.rate.turn(clock::now());
        self.rate.last()
    }

    pub fn sideload(&mut self, node: &str, files: &[SideloadFile]) {
        self.task.sideload(node, files);
    }

    pub fn resume(&mut self, node: &str, ticket: u64, status: u16) -> Result<(), FeedFailure> {
        self.task.resume(node, ticket, status, self.now).map_err(failure)
    }

    pub fn udf(&mut self, node: &str, event: UdfEvent) -> Result<(), FeedFailure> {
        self.task.udf(node, event, self.now).map_err(failure)
    }

    /// A query of this source failed.
    pub fn failed(&mut self, source: u16) {
        if let Some(source) = self.sources.get(usize::from(source)) {
            self.task.count_error(source.slot);
        }
    }

    pub fn finish_from(&mut self, first: usize) -> Result<Option<usize>, FeedFailure> {
        self.task.finish_from(first, self.now).map_err(failure)
    }

    pub fn awaits_end(&self, node: usize) -> bool {
        self.task.awaits_end(node)
    }

    fn source(&mut self, source: u16) -> Result<&mut Source, FeedFailure> {
        let unknown = || FeedFailure::Data(format!("the task has no query {source}"));
        self.sources.get_mut(usize::from(source)).ok_or_else(unknown)
    }

    fn line(&mut self, source: u16, line: &mut [u8]) -> Result<(), FeedFailure> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let mut batch =
            BatchLine::read(line).map_err(|error| FeedFailure::Data(format!("a batch cannot be read: {error}")))?;
        if self.manner.skip_empty_batches && batch.points.is_empty() {
            return Ok(());
        }
        let at = self.manner.first_point_at;
        let first = batch.points.first().map(|point| point.time);
        let of = self.source(source)?;
        if let (None, Some(at), Some(first)) = (of.shift, at, first) {
            of.shift = Some(at.saturating_sub(first));
        }
        let (slot, shift) = (of.slot, of.shift.unwrap_or_default());
        let rows = batch.take_rows(shift);
        // The time of a batch is not moved, and never before its last point.
        let last = rows.last().map_or(batch.time, |row| row.as_ref().time());
        let time = if at.is_some() || self.manner.follows_data { batch.time.max(last) } else { batch.time };
        let now = if self.manner.follows_data { time } else { clock::now() };
        self.clock(now)?;
        self.rate.add(1, self.now);
        let measurement = batch.by_name.then_some(batch.name);
        let Some(group) = self.task.group(measurement, TagSet::clone(&batch.tags)) else {
            return Err(FeedFailure::Data("the task has more groups than it may".to_owned()));
        };
        self.order += 1;
        let batch = Batch { name: batch.name, group: &group, time, rows: Rows::new(&rows) };
        self.task.batch(slot, &batch, self.order, self.now).map_err(failure)
    }
}

fn failure(fault: Fault) -> FeedFailure {
    FeedFailure::Node(fault.to_string())
}
