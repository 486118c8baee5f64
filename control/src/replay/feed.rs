//! Control's end of a feed (see [`proto::feed`]).

use std::{io, path::Path};

use bytes::{Bytes, BytesMut};
use proto::{
    feed::{FeedReport, Opening, Piece, PieceHead, feed_path},
    frame::{self, FrameError},
    message::Refusal,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

/// Pieces that wait for the socket. Full: the source is not read.
const PIECES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("the data plane is restarting, try again")]
    Away(io::Error),
    #[error("the data plane ended")]
    Closed,
    #[error("the feed: {0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(Refusal),
    /// The task cannot go on.
    #[error("{0}")]
    Task(String),
}

/// A piece on its way.
pub struct Sent {
    pub piece: Piece,
    pub source: u16,
    pub bytes: Bytes,
}

impl Sent {
    pub fn bare(piece: Piece, source: u16) -> Sent {
        Sent { piece, source, bytes: Bytes::new() }
    }

    pub fn clock(now: i64) -> Sent {
        Sent { piece: Piece::Clock, source: 0, bytes: Bytes::copy_from_slice(&now.to_le_bytes()) }
    }
}

/// What the data plane says.
pub struct Reports {
    read: OwnedReadHalf,
    buffer: BytesMut,
}

/// Opens a feed; pieces go into the sender, which waits while the data plane is busy.
pub async fn open(link: &Path, opening: &Opening) -> Result<(mpsc::Sender<Sent>, Reports), FeedError> {
    let stream = UnixStream::connect(feed_path(link)).await.map_err(FeedError::Away)?;
    let (read, mut write) = stream.into_split();
    write.write_all(&frame::encode(opening)?).await.map_err(FeedError::Away)?;
    let mut reports = Reports { read, buffer: BytesMut::with_capacity(16 << 10) };
    match reports.next().await? {
        FeedReport::Opened(Ok(())) => {}
        FeedReport::Opened(Err(refusal)) => return Err(FeedError::Refused(refusal)),
        _ => return Err(FeedError::Closed),
    }
    let (pieces, outgoing) = mpsc::channel(PIECES);
    tokio::spawn(write_pieces(write, outgoing));
    Ok((pieces, reports))
}

impl Reports {
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<FeedReport, FeedError> {
        loop {
            if let Some(report) = frame::decode(&mut self.buffer)? {
                return Ok(report);
            }
            match self.read.read_buf(&mut self.buffer).await {
                Ok(1..) => {}
                _ => return Err(FeedError::Closed),
            }
        }
    }
}

/// Ends when all senders are gone, which ends the feed, or when the socket breaks, which the reader of reports sees.
async fn write_pieces(mut write: OwnedWriteHalf, mut pieces: mpsc::Receiver<Sent>) {
    while let Some(Sent { piece, source, bytes }) = pieces.recv().await {
        let head = PieceHead { piece, source, length: bytes.len() }.encode();
        let sent = async {
            write.write_all(&head).await?;
            write.write_all(&bytes).await
        };
        if sent.await.is_err() {
            return;
        }
    }
}
