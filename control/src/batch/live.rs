//! The loops of a running batch task: tick, query, hand over, next tick (reference: batch-and-replay §3, §7).
//!
//! A query that fails is logged and counted, and its window is lost; the next tick asks for its own. While the data plane
//! is away there is nobody to hand over to: that is logged in the same way. A cluster that is unknown when the loop begins
//! ends the task.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use proto::feed::{FeedReport, Opening, PIECE_BYTES_MAX, Piece};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::Query;
use crate::{
    influxdb::Clusters,
    replay::feed::{self, FeedError, Reports, Sent},
};

/// The loops of one task; they end when this is dropped, whatever they wait for.
#[derive(Debug)]
pub struct Loops {
    handles: Vec<JoinHandle<()>>,
    begin: watch::Sender<bool>,
}

impl Loops {
    /// The task stands: time counts from now on.
    pub fn begin(&self) {
        self.begin.send_replace(true);
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.handles.iter().for_each(JoinHandle::abort);
    }
}

/// Told why a loop cannot begin: the task cannot go on.
pub type Failed = Arc<dyn Fn(String) + Send + Sync>;

/// Makes the loops of a task, which wait for their beginning; must be called inside a runtime.
pub fn start(
    queries: Vec<Query>,
    task: &str,
    fingerprint: u64,
    clusters: &Clusters,
    link: &Path,
    failed: &Failed,
) -> Loops {
    let (begin, begun) = watch::channel(false);
    let start = |(source, query): (usize, Query)| {
        let live = Live {
            query,
            source: u16::try_from(source).unwrap_or(u16::MAX),
            opening: Opening::Queries { task: task.to_owned(), fingerprint },
            task: task.to_owned(),
            clusters: clusters.clone(),
            link: link.to_owned(),
            feed: None,
        };
        let (mut begun, failed) = (begun.clone(), failed.clone());
        tokio::spawn(async move {
            if begun.wait_for(|begun| *begun).await.is_err() {
                return;
            }
            match live.query.client(&live.clusters) {
                Ok(_) => live.run().await,
                Err(error) => failed(format!("{}: failed to get InfluxDB client: {error}", live.query.name)),
            }
        })
    };
    Loops { handles: queries.into_iter().enumerate().map(start).collect(), begin }
}

/// Longest sleep before a tick: until it is noticed that the clock was set.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

/// Waits until the wall clock says `tick`; `false` if it was set back meanwhile, so that ticks count from there.
async fn reached(tick: i64, now: impl Fn() -> i64) -> bool {
    let mut before = now();
    while before < tick {
        let wait = Duration::from_nanos(tick.saturating_sub(before).unsigned_abs());
        tokio::time::sleep(wait.min(CLOCK_CHECK)).await;
        let after = now();
        if after < before {
            return false;
        }
        before = after;
    }
    true
}

struct Live {
    query: Query,
    source: u16,
    opening: Opening,
    task: String,
    clusters: Clusters,
    link: PathBuf,
    feed: Option<(mpsc::Sender<Sent>, Reports)>,
}

impl Live {
    async fn run(mut self) {
        let now = dataplane::clock::now;
        let (mut started, mut begun) = (now(), now());
        while let Some(tick) = self.query.schedule.live(started, begun) {
            if !reached(tick, now).await {
                (started, begun) = (now(), now());
                continue;
            }
            begun = now().max(tick);
            match self.query.ask(&self.clusters, tick, true, begun).await {
                Ok(asked) if asked.batches == 0 => {}
                Ok(asked) => {
                    if let Err(error) = self.hand_over(asked.lines.into()).await {
                        self.feed = None;
                        self.log("cannot hand over the result of a query", &error.to_string());
                    }
                }
                Err(error) => {
                    self.log("error executing query", &error);
                    if self.count_failure().await.is_err() {
                        self.feed = None;
                    }
                }
            }
        }
    }

    /// The data plane keeps the counters of nodes.
    async fn count_failure(&mut self) -> Result<(), FeedError> {
        let failed = Sent::bare(Piece::Failed, self.source);
        self.open().await?.0.send(failed).await.map_err(|_| FeedError::Closed)
    }

    fn log(&self, message: &str, error: &str) {
        let (task, node) = (&self.task, &self.query.name);
        tracing::error!(service = "kapacitor", task, node, err = error, "{message}");
    }

    async fn open(&mut self) -> Result<&mut (mpsc::Sender<Sent>, Reports), FeedError> {
        let feed = match self.feed.take() {
            Some(feed) => feed,
            None => feed::open(&self.link, &self.opening).await?,
        };
        Ok(self.feed.insert(feed))
    }

    /// Returns when the batches have run.
    async fn hand_over(&mut self, mut lines: Bytes) -> Result<(), FeedError> {
        let source = self.source;
        let (pieces, reports) = self.open().await?;
        while !lines.is_empty() {
            let bytes = lines.split_to(lines.len().min(PIECE_BYTES_MAX));
            let piece = Sent { piece: Piece::Batches, source, bytes };
            pieces.send(piece).await.map_err(|_| FeedError::Closed)?;
        }
        pieces.send(Sent::bare(Piece::End, source)).await.map_err(|_| FeedError::Closed)?;
        loop {
            match reports.next().await? {
                FeedReport::Taken { result: Ok(()), .. } => return Ok(()),
                FeedReport::Taken { result: Err(error), .. } => return Err(FeedError::Task(error)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A clock that says one of these times after the other, in milliseconds, and then the last one.
    fn clock(times: &[i64]) -> impl Fn() -> i64 {
        let left = RefCell::new(times.iter().rev().map(|time| time * 1_000_000).collect::<Vec<_>>());
        move || {
            let mut left = left.borrow_mut();
            let last = *left.last().unwrap();
            if left.len() > 1 { left.pop().unwrap() } else { last }
        }
    }

    #[tokio::test]
    async fn a_tick_is_waited_for_by_the_clock_however_it_is_set() {
        assert!(reached(5_000_000, clock(&[0, 3, 6])).await);
        assert!(reached(5_000_000, clock(&[7])).await);
        // An hour that the machine slept.
        assert!(reached(5_000_000, clock(&[0, 3_600_000])).await);
        // An hour back.
        assert!(!reached(5_000_000, clock(&[0, -3_600_000])).await);
    }
}
