//! A lane of a stream task: the text of a recording as points of the task, in order, with a receiver of its own.
//!
//! reference: http-api §16 "Reading". Three lines a point: database, retention policy, line protocol. A newline inside a
//! quoted string does not end the third line, so that what was recorded here can always be read here.

use std::{ops::Range, sync::Arc};

use super::Manner;
use crate::{
    block::Block,
    clock,
    group::Account,
    line::{Fields, Lines, Precision, key_end, line_end, time},
    node::{Outputs, alert::Inhibitors, udf::UdfEvent},
    rfc3339::ZERO_TIME,
    routing::{Instance, Routing, TaskRoute},
    shard::{
        command::HttpOutPart,
        owner::Owner,
        receiver::{Committed, Receiver},
    },
};
use proto::{
    Plan,
    feed::{FeedFailure, STREAM_LINE_BYTES_MAX},
    message::NodeStatistics,
    plan::SideloadFile,
};

/// Keys and entries of a lane's series cache.
const SERIES_BYTES_MAX: usize = 256 << 20;

/// Line protocol that is staged at once: enough to pay for a body, little enough to stay in the cache with its block.
const BODY_BYTES: usize = 128 << 10;

const INSTANCE: Instance = 1;
const EPOCH: u64 = 1;

pub struct StreamLane {
    receiver: Receiver,
    owner: Owner,
    manner: Manner,
    /// How far points are moved, once the first has been seen.
    shift: Option<i64>,
    /// Text behind the last whole point.
    rest: Vec<u8>,
    /// Scratch: the lines that are staged next.
    body: Vec<u8>,
    order: u64,
    /// The clock of the instance has begun, with its first point.
    begun: bool,
    now: i64,
}

/// A point's three lines, as places in the text.
struct Lined {
    database: Range<usize>,
    retention_policy: Range<usize>,
    line: Range<usize>,
    /// Where the next point begins.
    end: usize,
}

impl StreamLane {
    pub fn new(
        plan: &Plan,
        manner: Manner,
        outputs: Box<dyn Outputs>,
        inhibitors: &Arc<Inhibitors>,
    ) -> Result<StreamLane, String> {
        let route = Arc::new(TaskRoute::new(INSTANCE, plan, 1));
        let mut owner = Owner::new(0, 1);
        owner.add(INSTANCE, plan, route.clone(), EPOCH, outputs, inhibitors)?;
        let mut receiver = Receiver::new(1, SERIES_BYTES_MAX);
        receiver.route(Arc::new(Routing::new(EPOCH, 1, vec![route])));
        Ok(StreamLane {
            receiver,
            owner,
            manner,
            shift: None,
            rest: Vec::new(),
            body: Vec::new(),
            order: 0,
            begun: false,
            now: clock::now(),
        })
    }

    pub fn keep(&mut self, account: Arc<Account>) {
        self.owner.keep(INSTANCE, account);
    }

    pub fn take(&mut self, text: &[u8]) -> Result<(), FeedFailure> {
        if self.rest.is_empty() {
            let used = self.points(text, false)?;
            self.rest.extend_from_slice(text.get(used..).unwrap_or_default());
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(text);
            let used = self.points(&joined, false)?;
            joined.drain(..used);
            self.rest = joined;
        }
        match self.rest.len() > STREAM_LINE_BYTES_MAX {
            true => Err(FeedFailure::Data(format!("a point has more than {STREAM_LINE_BYTES_MAX} bytes"))),
            false => Ok(()),
        }
    }

    /// The last point may lack its newline.
    pub fn end(&mut self, skip_rest: bool) -> Result<(), FeedFailure> {
        let rest = std::mem::take(&mut self.rest);
        if skip_rest || rest.is_empty() {
            return Ok(());
        }
        match self.points(&rest, true)? {
            used if used < rest.len() => {
                Err(FeedFailure::Data("invalid replay file format, expected another line".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub fn clock(&mut self, now: i64) -> Result<(), FeedFailure> {
        if !self.begun {
            self.begun = true;
            self.now = now;
            return self.owner.begin(INSTANCE, now).map_err(FeedFailure::Node);
        }
        if now > self.now {
            self.now = now;
        }
        if self.owner.next_wake() > self.now {
            return Ok(());
        }
        let mut failure = None;
        self.owner.replay_to(self.now, |failed| failure = Some(failed));
        match failure {
            Some(failed) => Err(FeedFailure::Node(failed.error)),
            None => Ok(()),
        }
    }

    pub fn http_out(&self, endpoint: &str) -> Option<HttpOutPart> {
        self.owner.http_out(INSTANCE, endpoint)
    }

    pub fn statistics(&mut self) -> Vec<NodeStatistics> {
        self.owner.statistics(self.now, None).into_iter().flat_map(|(_, _, nodes)| nodes).collect()
    }

    pub fn sideload(&mut self, node: &str, files: &[SideloadFile]) {
        self.owner.sideload(INSTANCE, node, files);
    }

    pub fn resume(&mut self, node: &str, ticket: u64, status: u16) -> Result<(), FeedFailure> {
        match self.owner.resume(INSTANCE, node, ticket, status, self.now) {
            Some(failure) => Err(FeedFailure::Node(failure.error)),
            None => Ok(()),
        }
    }

    pub fn udf(&mut self, node: &str, event: UdfEvent) -> Result<(), FeedFailure> {
        match self.owner.udf(INSTANCE, node, event, self.now) {
            Some(failure) => Err(FeedFailure::Node(failure.error)),
            None => Ok(()),
        }
    }

    pub fn finish_from(&mut self, first: usize) -> Result<Option<usize>, FeedFailure> {
        self.owner.finish_from(INSTANCE, first, self.now).map_err(FeedFailure::Node)
    }

    pub fn awaits_end(&self, node: usize) -> bool {
        self.owner.awaits_end(INSTANCE, node)
    }

    /// Runs the whole points of a text; returns how many bytes they are.
    ///
    /// Consecutive points of one database and retention policy become a body, which is staged like one that was written.
    fn points(&mut self, text: &[u8], last: bool) -> Result<usize, FeedFailure> {
        let mut at = 0;
        while let Some(first) = next_point(text, at, last) {
            let (database, policy) = (&text[first.database.clone()], &text[first.retention_policy.clone()]);
            let place = &text[at..first.line.start];
            let mut body = std::mem::take(&mut self.body);
            body.clear();
            body.extend_from_slice(&text[first.line.clone()]);
            at = first.end;
            while body.len() < BODY_BYTES
                && let Some((line, end)) = point_behind(text, at, place, last)
            {
                body.push(b'\n');
                body.extend_from_slice(line);
                at = end;
            }
            body.push(b'\n');
            let ran = self.run(&String::from_utf8_lossy(database), &String::from_utf8_lossy(policy), &body);
            self.body = body;
            ran?;
        }
        Ok(at)
    }

    fn run(&mut self, db: &str, rp: &str, body: &[u8]) -> Result<(), FeedFailure> {
        let shift = match (self.shift, self.manner.first_point_at) {
            (Some(shift), _) => shift,
            (None, Some(at)) => {
                let first = Lines::new(body).next().and_then(time_of);
                at.saturating_sub(first.unwrap_or(at))
            }
            (None, None) => 0,
        };
        self.shift = Some(shift);
        // The second time with an empty cache, should the first have filled it.
        for _ in 0..2 {
            let mut staging = self.receiver.stage(db, rp, Precision::NANOSECOND, ZERO_TIME);
            self.receiver.stage_lines(&mut staging, &mut Lines::new(body), usize::MAX);
            let errors = std::mem::take(&mut staging.errors);
            self.order += 1;
            let Committed { blocks, restage, forgot } = self.receiver.commit(staging, self.order);
            if forgot {
                self.owner.forget(0);
            }
            if restage {
                continue;
            }
            for (_, mut block) in blocks {
                block.shift(shift);
                self.owner.define(0, &mut block.definitions);
                self.run_block(&block)?;
                self.receiver.recycle(block);
            }
            if !errors.is_empty() {
                let text = String::from_utf8_lossy(&errors.into_text()).trim_end().to_owned();
                return Err(FeedFailure::Data(text));
            }
            return Ok(());
        }
        Err(FeedFailure::Data("the series of one slice do not fit into the cache".to_owned()))
    }
}

impl StreamLane {
    /// Runs the rows, and between them whatever the clock of the replay, which follows their times, has to wake.
    fn run_block(&mut self, block: &Block) -> Result<(), FeedFailure> {
        let mut start = 0;
        let mut wake = if self.begun { self.owner.next_wake() } else { i64::MIN };
        for (row, time) in block.times().enumerate() {
            if time >= wake {
                self.run_rows(block, start..row)?;
                start = row;
                self.clock(time)?;
                wake = self.owner.next_wake().max(time.saturating_add(1));
            }
        }
        self.run_rows(block, start..block.len())
    }

    fn run_rows(&mut self, block: &Block, rows: Range<usize>) -> Result<(), FeedFailure> {
        if rows.is_empty() {
            return Ok(());
        }
        let latest = block.times().skip(rows.start).take(rows.len()).max().unwrap_or(self.now);
        self.now = self.now.max(latest);
        let mut failure = None;
        self.owner.run(0, block, rows, self.now, |failed| failure = Some(failed));
        match failure {
            Some(failed) => Err(FeedFailure::Node(failed.error)),
            None => Ok(()),
        }
    }
}

/// The next whole point behind `at`; the last one of a file may lack its newline.
fn next_point(text: &[u8], at: usize, last: bool) -> Option<Lined> {
    let plain = |start: usize| {
        let rest = text.get(start..)?;
        let end = start + memchr::memchr(b'\n', rest)?;
        Some((start..without_return(text, start..end), end + 1))
    };
    let (database, next) = plain(at)?;
    let (retention_policy, next) = plain(next)?;
    let rest = text.get(next..)?;
    let end = next + line_end(rest);
    if end == text.len() && !(last && end > next) {
        return None;
    }
    let line = next..without_return_end(text, next, end);
    Some(Lined { database, retention_policy, line, end: (end + 1).min(text.len()) })
}

/// The next whole point, as its line, if the two lines `place` stand before it; and where the one behind it begins.
fn point_behind<'a>(text: &'a [u8], at: usize, place: &[u8], last: bool) -> Option<(&'a [u8], usize)> {
    let rest = text.get(at..)?.strip_prefix(place)?;
    let end = line_end(rest);
    if end == rest.len() && !(last && end > 0) {
        return None;
    }
    let line = rest.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), (at + place.len() + end + 1).min(text.len())))
}

fn without_return(text: &[u8], range: Range<usize>) -> usize {
    without_return_end(text, range.start, range.end)
}

/// The end of a line without its carriage return.
fn without_return_end(text: &[u8], start: usize, end: usize) -> usize {
    if end > start && text.get(end - 1) == Some(&b'\r') { end - 1 } else { end }
}

/// Time of a point; `None` without one, or if the line is bad.
fn time_of(line: &[u8]) -> Option<i64> {
    let mut fields = Fields::new(line, key_end(line));
    while fields.next_field().ok()?.is_some() {}
    time(line, fields.end(), Precision::NANOSECOND, ZERO_TIME).ok().filter(|time| *time != ZERO_TIME)
}

#[cfg(test)]
mod tests {
    use proto::plan::{Dbrp, EdgeType, From, Node, NodeKind, PLAN_VERSION};

    use super::*;
    use crate::node::testing::Recorded;

    fn lane(manner: Manner) -> (StreamLane, Recorded) {
        let node = |name: &str, parents, kind| Node {
            name: name.into(),
            parents,
            provides: EdgeType::Stream,
            quiet: false,
            kind,
        };
        let log = NodeKind::Log { level: proto::plan::LogLevel::Info, prefix: String::new() };
        let from = From { measurement: "cpu".into(), ..From::default() };
        let plan = Plan {
            version: PLAN_VERSION,
            task: "t".into(),
            edge: EdgeType::Stream,
            dbrps: vec![Dbrp { db: "d".into(), rp: "r".into() }],
            nodes: vec![
                node("stream0", vec![], NodeKind::Stream),
                node("from1", vec![0], NodeKind::From(from)),
                node("log2", vec![1], log),
            ],
            levels: vec![],
        };
        let outputs = Recorded::default();
        let lane = StreamLane::new(&plan, manner, Box::new(outputs.clone()), &Arc::default()).unwrap();
        (lane, outputs)
    }

    #[test]
    fn text_cut_anywhere_gives_the_same_points() {
        let text = b"d\nr\ncpu,host=a v=1,s=\"two\nlines\" 10\nd\r\nr\r\ncpu v=2 20\r\nx\nr\ncpu v=9 25\nd\nr\nmem v=3 30\nd\nr\ncpu v=4 40";
        let mut expected = None;
        for cut in 1..text.len() {
            let (mut lane, outputs) = lane(Manner::default());
            for piece in text.chunks(cut) {
                lane.take(piece).unwrap();
            }
            lane.end(false).unwrap();
            let points = outputs.points();
            assert_eq!(points.len(), 3, "{cut}: {points:?}");
            assert_eq!(expected.get_or_insert_with(|| points.clone()), &points, "{cut}");
        }
    }

    #[test]
    fn times_are_moved_by_the_first_point_of_the_file() {
        let (mut lane, outputs) = lane(Manner { first_point_at: Some(1_000), ..Manner::default() });
        lane.take(b"d\nr\nmem v=1 10\nd\nr\ncpu v=1 15\nd\nr\ncpu v=1 12\n").unwrap();
        let points = outputs.points();
        assert!(points[0].contains("1970-01-01T00:00:00.000001005Z"), "{points:?}");
        assert!(points[1].contains("1970-01-01T00:00:00.000001002Z"), "{points:?}");
    }

    #[test]
    fn a_file_that_breaks_off_is_an_error() {
        for text in [&b"d\n"[..], b"d\nr\n", b"d\nr\ncpu v=1 1\n\n"] {
            let (mut lane, _) = lane(Manner::default());
            lane.take(text).unwrap();
            assert!(lane.end(false).is_err());
        }
        let (mut lane, outputs) = lane(Manner::default());
        assert!(lane.take(b"d\nr\ncpu v=1 1\nd\nr\ncpu v= 2\n").is_err());
        assert_eq!(outputs.points().len(), 1, "what stands before the bad line ran");
    }
}
