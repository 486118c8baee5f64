//! From the file of a recording into a feed, at full speed or at the pace of the recorded times.
//!
//! Runs on a thread that may block. The clock real delivers each point at its time moved so that the first is due at
//! once; late ones go at once (reference: batch-and-replay §12).

use std::{
    io::Read,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use proto::feed::{PIECE_BYTES_MAX, Piece};
use tokio::sync::mpsc;

use super::{
    Clock,
    feed::Sent,
    file::{BatchFile, FileError, first_time, last_time},
};
use crate::{batch::Query, influxdb::Clusters, recording::ticks};

/// Text of a piece.
const PIECE_BYTES: usize = 256 << 10;

/// How often the clock of a waiting replay is told.
const TICK: Duration = Duration::from_millis(100);

/// Where pieces go; `false` when nobody takes them any more.
pub struct Pump {
    pub pieces: mpsc::Sender<Sent>,
    pub clock: Clock,
    /// Moment of the request that the first point falls on, or `None` if times stay.
    pub first_point_at: Option<i64>,
}

impl Pump {
    fn send(&self, piece: Piece, source: u16, bytes: Bytes) -> bool {
        self.pieces.blocking_send(Sent { piece, source, bytes }).is_ok()
    }

    pub fn stream(&self, mut file: impl Read) -> Result<(), FileError> {
        let mut text = BytesMut::new();
        let mut pace = Pace::new(self.first_point_at);
        loop {
            let old = text.len();
            text.resize(old + PIECE_BYTES, 0);
            let mut read = old;
            // Whole pieces: each costs the data plane a turn.
            while read < text.len() {
                match file.read(&mut text[read..])? {
                    0 => break,
                    more => read += more,
                }
            }
            let ended = read < text.len();
            text.truncate(read);
            let sent = match self.clock {
                Clock::Fast => self.send(Piece::Stream, 0, text.split().freeze()),
                Clock::Real => self.paced(&mut text, ended, &mut pace),
            };
            if ended || !sent {
                return Ok(());
            }
        }
    }

    /// Sends the points of a text when they are due; keeps a point that is not whole.
    fn paced(&self, text: &mut BytesMut, ended: bool, pace: &mut Pace) -> bool {
        let mut due = 0;
        while let Some(end) = point_end(text, due) {
            if let Some(time) = time_of(&text[due..end])
                && let Some(wait) = pace.until(time)
            {
                if due > 0 && !self.send(Piece::Stream, 0, text.split_to(due).freeze()) {
                    return false;
                }
                let length = end - due;
                if !self.wait(wait, pace) {
                    return false;
                }
                due = length;
            } else {
                due = end;
            }
        }
        let rest = if ended { text.len() } else { due };
        rest == 0 || self.send(Piece::Stream, 0, text.split_to(rest).freeze())
    }

    pub fn batches(&self, mut file: BatchFile, queries: usize) -> Result<(), FileError> {
        let mut paces: Vec<Pace> = (0..queries).map(|_| Pace::new(self.first_point_at)).collect();
        let mut gathered: (u16, BytesMut) = (0, BytesMut::new());
        while let Some((query, line)) = file.next_line()? {
            if self.clock == Clock::Real
                && let Some(pace) = paces.get_mut(usize::from(query))
                && let (Some(first), Some(last)) = (first_time(&line), last_time(&line))
            {
                pace.begin(first);
                if let Some(wait) = pace.until(last)
                    && !(self.flush(&mut gathered) && self.wait(wait, pace))
                {
                    return Ok(());
                }
            }
            if gathered.0 != query && !self.flush(&mut gathered) {
                return Ok(());
            }
            gathered.0 = query;
            gathered.1.extend_from_slice(&line);
            if gathered.1.len() >= PIECE_BYTES && !self.flush(&mut gathered) {
                return Ok(());
            }
        }
        self.flush(&mut gathered);
        Ok(())
    }

    /// The answers to queries over a range of time, tick by tick, as the queries' ticks come.
    pub fn range(&self, queries: &[Query], range: (i64, i64), now: i64, clusters: &Clusters) -> Result<(), FileError> {
        let runtime = tokio::runtime::Handle::current();
        let mut paces: Vec<Pace> = queries.iter().map(|_| Pace::new(self.first_point_at)).collect();
        let mut ahead: Vec<_> = queries.iter().map(|query| ticks(query, range, now).peekable()).collect();
        loop {
            let times = ahead.iter_mut().enumerate().filter_map(|(at, ticks)| Some((*ticks.peek()?, at)));
            let Some((tick, at)) = times.min() else { return Ok(()) };
            ahead.get_mut(at).and_then(Iterator::next);
            let (Some(query), Some(pace)) = (queries.get(at), paces.get_mut(at)) else { return Ok(()) };
            let asked = runtime.block_on(query.ask(clusters, tick, false, now)).map_err(FileError::Query)?;
            let source = u16::try_from(at).unwrap_or(u16::MAX);
            if !self.lines_of(source, &asked.lines, pace) {
                return Ok(());
            }
        }
    }

    /// The batches of a task's only query.
    pub fn lines(&self, lines: &[u8]) -> Result<(), FileError> {
        self.lines_of(0, lines, &mut Pace::new(self.first_point_at));
        Ok(())
    }

    fn lines_of(&self, source: u16, lines: &[u8], pace: &mut Pace) -> bool {
        let mut gathered = (source, BytesMut::new());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if self.clock == Clock::Real
                && let (Some(first), Some(last)) = (first_time(line), last_time(line))
            {
                pace.begin(first);
                if let Some(wait) = pace.until(last)
                    && !(self.flush(&mut gathered) && self.wait(wait, pace))
                {
                    return false;
                }
            }
            gathered.1.extend_from_slice(line);
        }
        self.flush(&mut gathered)
    }

    fn flush(&self, gathered: &mut (u16, BytesMut)) -> bool {
        while !gathered.1.is_empty() {
            let length = gathered.1.len().min(PIECE_BYTES_MAX);
            if !self.send(Piece::Batches, gathered.0, gathered.1.split_to(length).freeze()) {
                return false;
            }
        }
        true
    }

    /// Lets time pass, and the replay's clock with it.
    fn wait(&self, wait: Duration, pace: &Pace) -> bool {
        let end = Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(TICK));
            if self.pieces.is_closed() || self.pieces.blocking_send(Sent::clock(pace.now())).is_err() {
                return false;
            }
        }
    }
}

/// When recorded times are due.
struct Pace {
    started: Instant,
    /// Recorded time of the first point.
    first: Option<i64>,
    first_point_at: Option<i64>,
}

impl Pace {
    fn new(first_point_at: Option<i64>) -> Pace {
        Pace { started: Instant::now(), first: None, first_point_at }
    }

    fn begin(&mut self, time: i64) {
        if self.first.is_none() {
            self.first = Some(time);
            self.started = Instant::now();
        }
    }

    /// How long until a point of this time is due; `None` if it is.
    fn until(&mut self, time: i64) -> Option<Duration> {
        self.begin(time);
        let after = u64::try_from(time.saturating_sub(self.first.unwrap_or(time))).ok()?;
        let left = Duration::from_nanos(after).saturating_sub(self.started.elapsed());
        (!left.is_zero()).then_some(left)
    }

    /// The replay's clock: in recorded times, or in moved ones.
    fn now(&self) -> i64 {
        let start = self.first_point_at.or(self.first).unwrap_or_default();
        start.saturating_add(i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Where the point that begins at `start` ends, with its newline.
fn point_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for _ in 0..2 {
        at += memchr::memchr(b'\n', text.get(at..)?)? + 1;
    }
    let rest = text.get(at..)?;
    let end = dataplane::line::line_end(rest);
    (end < rest.len()).then_some(at + end + 1)
}

/// The timestamp of a point: its last word.
fn time_of(point: &[u8]) -> Option<i64> {
    let line = point.trim_ascii_end();
    let word = line.get(memchr::memrchr(b' ', line)? + 1..)?;
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_found_with_their_times() {
        let text = b"d\nr\ncpu s=\"a\nb 7\" 10\nd\nr\ncpu v=1 20\nd\nr\ncpu";
        let first = point_end(text, 0).unwrap();
        assert_eq!(time_of(&text[..first]), Some(10));
        let second = point_end(text, first).unwrap();
        assert_eq!((time_of(&text[first..second]), point_end(text, second)), (Some(20), None));
    }

    #[test]
    fn late_points_are_due_at_once() {
        let mut pace = Pace::new(None);
        assert_eq!(pace.until(1_000_000_000_000), None);
        assert!(pace.until(1_060_000_000_000).unwrap() > Duration::from_secs(59));
        assert_eq!(pace.until(999_000_000_000), None);
    }
}
