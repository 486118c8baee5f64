//! A replay from its start to its end.

use std::{collections::VecDeque, path::PathBuf};

use proto::{
    Plan,
    feed::{FeedFailure, FeedReport, Opening, Piece},
    message::TaskStatistics,
    plan::{EdgeType, NodeKind},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Progress, Question, Replays,
    feed::{self, FeedError, Reports, Sent},
    file::{BatchFile, FileError, StreamFile},
    pump::Pump,
};
use crate::{api::task_stats, batch::Query, engine::EngineError, recording::answer, store::StoredReplay};

/// Where the data come from.
pub(super) enum Source {
    File(PathBuf),
    /// The queries of the task, or why there are none.
    Range {
        queries: Result<Vec<Query>, String>,
        range: (i64, i64),
    },
    Query {
        query: String,
        cluster: String,
    },
}

/// An opened recording.
enum Opened {
    Stream(Box<StreamFile>),
    Batches(BatchFile),
    Range(Vec<Query>, (i64, i64)),
    /// Text of a stream recording.
    Text(Vec<u8>),
    /// Lines of a batch recording, of the only query.
    Lines(Vec<u8>),
}

impl Replays {
    /// `now` is the moment of the request.
    pub(super) async fn run(
        self,
        replay: StoredReplay,
        source: Source,
        now: i64,
        progress: Progress,
        questions: mpsc::Receiver<Question>,
    ) {
        let id = replay.id.clone();
        let result = self.play(&replay, source, now, progress, questions).await;
        self.ended(&id, result, dataplane::clock::now());
    }

    async fn play(
        &self,
        replay: &StoredReplay,
        source: Source,
        now: i64,
        progress: Progress,
        mut questions: mpsc::Receiver<Question>,
    ) -> Result<serde_json::Value, String> {
        let master = master(&replay.id);
        let start = |error: String| format!("task start: {error}");
        let (plan, handlers) = self.shared.tasks.replayed(&replay.task, &master).map_err(start)?;
        let (edge, queries) = (plan.edge, queries(&plan));
        let skip_empty_batches = matches!(source, Source::File(_));
        let clusters = self.shared.recordings.clusters().clone();
        let asking = clusters.clone();
        let open = move || match (source, edge) {
            (Source::File(path), EdgeType::Stream) => {
                StreamFile::open(&path, &progress).map(|file| Opened::Stream(Box::new(file)))
            }
            (Source::File(path), EdgeType::Batch) => BatchFile::open(&path, queries, &progress).map(Opened::Batches),
            (Source::Range { queries, range }, _) => Ok(Opened::Range(queries.map_err(FileError::Query)?, range)),
            (Source::Query { query, cluster }, EdgeType::Stream) => {
                let text = answer(&query, &cluster, &asking).and_then(|answer| answer.stream());
                text.map(Opened::Text).map_err(FileError::Query)
            }
            (Source::Query { .. }, EdgeType::Batch) if queries != 1 => {
                Err(FileError::Sources { found: 1, wanted: queries })
            }
            (Source::Query { query, cluster }, EdgeType::Batch) => {
                let lines = answer(&query, &cluster, &asking).and_then(|answer| answer.batches());
                lines.map(Opened::Lines).map_err(FileError::Query)
            }
        };
        let opened =
            blocking(open).await.and_then(|opened| opened.map_err(|error| format!("running replay: {error}")))?;
        let first_point_at = (!replay.recording_time).then_some(now);
        let opening = Opening::Replay { plan: Box::new(plan), first_point_at, skip_empty_batches };
        self.shared.alerts.register(&handlers);
        let fed = async {
            let (pieces, mut reports) = feed::open(&self.shared.link, &opening).await.map_err(|error| match error {
                FeedError::Refused(refusal) => start(refusal.to_string()),
                error => format!("running replay: {error}"),
            })?;
            let pump = Pump { pieces: pieces.clone(), clock: replay.clock, first_point_at };
            let pumped = tokio::task::spawn_blocking(move || {
                match opened {
                    Opened::Stream(file) => pump.stream(*file)?,
                    Opened::Batches(file) => pump.batches(file, queries)?,
                    Opened::Range(queries, range) => pump.range(&queries, range, now, &clusters)?,
                    Opened::Text(text) => pump.stream(&*text)?,
                    Opened::Lines(lines) => pump.lines(&lines)?,
                }
                let last = u16::try_from(queries.max(1)).unwrap_or(u16::MAX);
                let ends = (0..last).map(|source| Sent::bare(Piece::End, source));
                for end in ends.chain([Sent::bare(Piece::Finish, 0)]) {
                    let _ = pump.pieces.blocking_send(end);
                }
                Ok(())
            });
            self.follow(&mut reports, &pieces, pumped, &mut questions).await
        };
        let result = fed.await;
        self.shared.alerts.end_replay(&master, &replay.task);
        result
    }

    /// Takes the reports of a feed until its end.
    async fn follow(
        &self,
        reports: &mut Reports,
        pieces: &mpsc::Sender<Sent>,
        mut pumped: tokio::task::JoinHandle<Result<(), FileError>>,
        questions: &mut mpsc::Receiver<Question>,
    ) -> Result<serde_json::Value, String> {
        // Answers come in the order of the questions of their kind.
        let (mut rows_wanted, mut counts_wanted) = (VecDeque::new(), VecDeque::new());
        let mut pumping = true;
        loop {
            tokio::select! {
                report = reports.next() => match report.map_err(|error| format!("running replay: {error}"))? {
                    // A replay waits for its handlers: until then no further report is taken, and so no further data.
                    FeedReport::Alert(event) => self.shared.alerts.event_with_room(*event).await,
                    FeedReport::HttpOut(rows) => {
                        if let Some(reply) = rows_wanted.pop_front() {
                            let _ = oneshot::Sender::send(reply, rows.map_err(EngineError::Refused));
                        }
                    }
                    FeedReport::Taken { result: Err(error), .. } => return Err(format!("running replay: {error}")),
                    FeedReport::Failed(FeedFailure::Node(error)) => return Err(format!("task run: {error}")),
                    FeedReport::Failed(FeedFailure::Data(error)) => return Err(format!("running replay: {error}")),
                    FeedReport::Finished(mut nodes) => {
                        // What queries count is of live tasks only.
                        nodes.iter_mut().for_each(|node| node.extra.retain(|(name, _)| !name.ends_with("_queried")));
                        return Ok(task_stats(&TaskStatistics { nodes, ..TaskStatistics::default() }));
                    }
                    FeedReport::Statistics(nodes) => {
                        if let Some(reply) = counts_wanted.pop_front() {
                            let _ = oneshot::Sender::send(reply, nodes);
                        }
                    }
                    FeedReport::Opened(_) | FeedReport::Taken { .. } => {}
                },
                done = &mut pumped, if pumping => {
                    pumping = false;
                    match done {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return Err(format!("running replay: {error}")),
                        Err(error) => return Err(format!("running replay: {error}")),
                    }
                }
                Some(question) = questions.recv() => {
                    let asked = match question {
                        Question::HttpOut { endpoint, reply } => {
                            rows_wanted.push_back(reply);
                            Sent { piece: Piece::HttpOut, source: 0, bytes: endpoint.into() }
                        }
                        Question::Statistics { reply } => {
                            counts_wanted.push_back(reply);
                            Sent::bare(Piece::Statistics, 0)
                        }
                    };
                    // Not awaited: the feed may be full until reports have been taken.
                    let pieces = pieces.clone();
                    tokio::spawn(async move {
                        let _ = pieces.send(asked).await;
                    });
                }
            }
        }
    }
}

/// First part of the names of a replay's own topics; never that of live tasks.
fn master(id: &str) -> String {
    if id == "main" { "replay main".to_owned() } else { id.to_owned() }
}

fn queries(plan: &Plan) -> usize {
    plan.nodes.iter().filter(|node| node.kind == NodeKind::Query).count()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
