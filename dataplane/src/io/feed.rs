//! Feeds: connections on which control sends what replays and batch tasks are fed (see [`proto::feed`]).

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::Arc,
};

use bytes::{Buf, Bytes, BytesMut};
use hashbrown::HashMap;
use proto::{
    feed::{FeedReport, Opening, PIECE_HEAD_BYTES, Piece, PieceError, PieceHead},
    frame::{self, FrameError},
    message::{Refusal, Settings},
    plan::Plan,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::spawn_local,
};

use super::tasks::limits;
use crate::{
    clock,
    group::Account,
    lane::{Alerts, Lane, Manner, Queues, Start},
    node::alert::Inhibitors,
    routing::Instance,
    shard::command::{Effects, HttpOutPart},
};

/// Reports that wait for a feed's socket. Full: the lane waits.
const REPORTS: usize = 256;

/// How exactly timers of batch tasks keep their time.
const TICK: std::time::Duration = std::time::Duration::from_millis(100);

/// Instances of replays are numbered apart from those of tasks.
const FIRST_INSTANCE: Instance = 1 << 62;

#[derive(Debug, thiserror::Error)]
enum FeedError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Piece(#[from] PieceError),
}

/// The lanes of batch tasks that run, by task.
pub type Lanes = Rc<RefCell<HashMap<String, (u64, Lane)>>>;

/// What feeds need of the I/O thread.
pub struct Feeds {
    lanes: Lanes,
    queues: Queues,
    settings: watch::Receiver<Settings>,
    next_instance: Cell<Instance>,
}

impl Feeds {
    pub fn new(lanes: Lanes, effects: &Effects, settings: watch::Receiver<Settings>) -> Rc<Feeds> {
        let queues = Queues::of(effects);
        Rc::new(Feeds { lanes, queues, settings, next_instance: Cell::new(FIRST_INSTANCE) })
    }

    /// Tells live batch tasks the time. Runs until it is dropped.
    pub async fn tick(self: Rc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            let now = clock::now();
            self.lanes.borrow().values().for_each(|(_, lane)| lane.clock(now));
        }
    }

    /// Accepts feeds until it is dropped. Runs on the I/O thread's local set.
    pub async fn run(self: Rc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let feeds = self.clone();
                    spawn_local(async move {
                        if let Err(error) = feeds.serve(stream).await {
                            tracing::warn!(%error, "a feed broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept feeds");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(&self, stream: UnixStream) -> Result<(), FeedError> {
        let (mut read, write) = stream.into_split();
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let opening = loop {
            if let Some(opening) = frame::decode::<Opening>(&mut buffer)? {
                break opening;
            }
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let (reports, outgoing) = mpsc::channel(REPORTS);
        let writing = spawn_local(write_reports(write, outgoing));
        match opening {
            Opening::Replay { plan, first_point_at, skip_empty_batches } => {
                let manner = Manner { first_point_at, skip_empty_batches, follows_data: true };
                match self.replay(*plan, manner, reports.clone()).await {
                    Ok(lane) => {
                        let _ = reports.send(FeedReport::Opened(Ok(()))).await;
                        pieces(&mut read, &mut buffer, &lane, &reports).await?;
                    }
                    Err(error) => {
                        let _ = reports.send(FeedReport::Opened(Err(Refusal::CannotStart(error)))).await;
                    }
                }
            }
            Opening::Queries { task, fingerprint } => {
                let found = self.lanes.borrow().get(&task).filter(|(known, _)| *known == fingerprint).cloned();
                match found {
                    Some((_, lane)) => {
                        let _ = reports.send(FeedReport::Opened(Ok(()))).await;
                        pieces(&mut read, &mut buffer, &lane, &reports).await?;
                    }
                    None => {
                        let _ = reports.send(FeedReport::Opened(Err(Refusal::UnknownTask(task)))).await;
                    }
                }
            }
        }
        drop(reports);
        let _ = writing.await;
        Ok(())
    }

    async fn replay(&self, plan: Plan, manner: Manner, reports: mpsc::Sender<FeedReport>) -> Result<Lane, String> {
        plan.check().map_err(|error| error.to_string())?;
        let instance = self.next_instance.get();
        self.next_instance.set(instance + 1);
        let failures = reports.clone();
        Lane::start(Start {
            instance,
            plan: Arc::new(plan),
            manner,
            alerts: Alerts::Feed(reports),
            queues: self.queues.clone(),
            loopback: None,
            // A replay silences no live alert, and none silences it.
            inhibitors: Arc::new(Inhibitors::default()),
            account: Arc::new(Account::new(limits(&self.settings.borrow()))),
            failed: Box::new(move |failure| drop(failures.blocking_send(FeedReport::Failed(failure)))),
        })
        .await
    }
}

/// Carries out pieces until the feed ends.
async fn pieces(
    read: &mut OwnedReadHalf,
    buffer: &mut BytesMut,
    lane: &Lane,
    reports: &mpsc::Sender<FeedReport>,
) -> Result<(), FeedError> {
    // Sources with a line that is not complete.
    let mut open: Vec<u16> = Vec::new();
    while let Some((piece, source, bytes)) = next_piece(read, buffer).await? {
        match piece {
            Piece::Stream | Piece::Batches => {
                if !open.contains(&source) {
                    open.push(source);
                }
                lane.data(piece, source, bytes).await;
            }
            Piece::End => {
                open.retain(|other| *other != source);
                let result = lane.end(source, false).await.map_err(|failure| failure.to_string());
                let _ = reports.send(FeedReport::Taken { source, result }).await;
            }
            Piece::Failed => lane.failed(source),
            Piece::Clock => {
                if let Ok(now) = <[u8; 8]>::try_from(&*bytes) {
                    lane.clock(i64::from_le_bytes(now));
                }
            }
            Piece::HttpOut => {
                let endpoint = String::from_utf8_lossy(&bytes).into_owned();
                let rows = match lane.http_out(&endpoint).await {
                    Some(part) => rows(part),
                    None => Err(Refusal::UnknownEndpoint { task: String::new(), endpoint }),
                };
                let _ = reports.send(FeedReport::HttpOut(rows)).await;
            }
            Piece::Statistics => {
                let _ = reports.send(FeedReport::Statistics(lane.statistics().await.1)).await;
            }
            Piece::Finish => {
                let report = match lane.finish().await {
                    Ok(statistics) => FeedReport::Finished(statistics),
                    Err(failure) => FeedReport::Failed(failure),
                };
                let _ = reports.send(report).await;
                return Ok(());
            }
        }
    }
    for source in open {
        let _ = lane.end(source, true).await;
    }
    Ok(())
}

async fn next_piece(read: &mut OwnedReadHalf, buffer: &mut BytesMut) -> Result<Option<(Piece, u16, Bytes)>, FeedError> {
    while buffer.len() < PIECE_HEAD_BYTES {
        if read.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    let mut head = [0; PIECE_HEAD_BYTES];
    buffer.copy_to_slice(&mut head);
    let head = PieceHead::decode(head)?;
    buffer.reserve(head.length.saturating_sub(buffer.len()).max(PIECE_HEAD_BYTES));
    while buffer.len() < head.length {
        if read.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head.piece, head.source, buffer.split_to(head.length).freeze())))
}

async fn write_reports(mut write: OwnedWriteHalf, mut reports: mpsc::Receiver<FeedReport>) {
    while let Some(report) = reports.recv().await {
        let Ok(frame) = frame::encode(&report) else { continue };
        if write.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Rows in order of first appearance, comma-separated.
pub fn rows(mut part: HttpOutPart) -> Result<Option<String>, Refusal> {
    part.sort_by_key(|(order, _)| *order);
    let rows = part.into_iter().map(|(_, row)| row).collect::<Result<Vec<_>, _>>().map_err(Refusal::NotJson)?;
    Ok((!rows.is_empty()).then(|| rows.join(",")))
}
