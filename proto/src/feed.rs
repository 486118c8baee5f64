//! A feed: a connection of its own that carries the recorded or queried data of one task from control to the data plane.
//!
//! Bulk data keeps off the link, so that commands and reports never wait behind it. The data plane listens on the
//! link's path with `.feed` at its end. Control opens with one [`Opening`] (a [`crate::frame`]), which is answered by
//! [`FeedReport::Opened`]; then it sends pieces, and the data plane's [`FeedReport`]s come back. The socket's own flow
//! control is the back-pressure. A feed that closes before [`Piece::Finish`] was given up: its instance ends.
//!
//! ```text
//! piece   = kind source length payload
//! kind    = u16, little endian: a `Piece`
//! source  = u16: index of the query node among those of the plan, 0 for streams
//! length  = u32: bytes of the payload, PIECE_BYTES_MAX at most
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    message::{AlertEvent, NodeStatistics, Refusal},
    plan::Plan,
};

/// Largest payload of a piece.
pub const PIECE_BYTES_MAX: usize = 1 << 20;

/// Longest line of a recording of batches: one batch, as JSON.
pub const BATCH_BYTES_MAX: usize = 512 << 20;

/// Longest line of a recording of a stream.
pub const STREAM_LINE_BYTES_MAX: usize = 4 << 20;

/// Bytes of a piece before its payload.
pub const PIECE_HEAD_BYTES: usize = 8;

/// Where the data plane listens for feeds.
pub fn feed_path(link: &Path) -> PathBuf {
    let mut path = link.as_os_str().to_owned();
    path.push(".feed");
    path.into()
}

/// What a feed is for; its first message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Opening {
    /// An instance of the task beside all others, which ends with the feed.
    Replay {
        plan: Box<Plan>,
        /// Times are moved so that the first point of each source falls on this moment; `None` leaves them.
        first_point_at: Option<i64>,
        /// Batches without points come from a file, where they are skipped.
        skip_empty_batches: bool,
    },
    /// Results of the queries of a batch task that was started over the link.
    Queries { task: String, fingerprint: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Piece {
    /// Text of a stream recording: database, retention policy and point, each on a line. May end anywhere.
    Stream = 1,
    /// Text of a batch recording: a JSON object a line and batch. May end anywhere.
    Batches = 2,
    /// The source has no more (a replay), or the result is complete (queries); answered by [`FeedReport::Taken`].
    End = 3,
    /// The clock of the instance stands at this time: nanoseconds since 1970, little endian.
    Clock = 4,
    /// Asks for the rows of the httpOut node with this endpoint; answered by [`FeedReport::HttpOut`].
    HttpOut = 5,
    /// Asks for the statistics; answered by [`FeedReport::Statistics`].
    Statistics = 6,
    /// There is no more data: the instance drains and ends; answered by [`FeedReport::Finished`].
    Finish = 7,
    /// A query of this source failed, or its answer cannot be read: counted as an error of its node.
    Failed = 8,
}

/// Why bytes are no piece.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    #[error("a feed holds a piece of unknown kind {0}")]
    Kind(u16),
    #[error("a feed holds a piece of {0} bytes, {PIECE_BYTES_MAX} are the most")]
    TooLong(usize),
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceHead {
    pub piece: Piece,
    pub source: u16,
    pub length: usize,
}

impl PieceHead {
    /// `length` must not exceed [`PIECE_BYTES_MAX`].
    pub fn encode(self) -> [u8; PIECE_HEAD_BYTES] {
        let mut head = [0; PIECE_HEAD_BYTES];
        head[..2].copy_from_slice(&(self.piece as u16).to_le_bytes());
        head[2..4].copy_from_slice(&self.source.to_le_bytes());
        head[4..].copy_from_slice(&(self.length as u32).to_le_bytes());
        head
    }

    pub fn decode(head: [u8; PIECE_HEAD_BYTES]) -> Result<PieceHead, PieceError> {
        let [k0, k1, s0, s1, length @ ..] = head;
        let kind = u16::from_le_bytes([k0, k1]);
        let piece = match kind {
            1 => Piece::Stream,
            2 => Piece::Batches,
            3 => Piece::End,
            4 => Piece::Clock,
            5 => Piece::HttpOut,
            6 => Piece::Statistics,
            7 => Piece::Finish,
            8 => Piece::Failed,
            _ => return Err(PieceError::Kind(kind)),
        };
        let length = u32::from_le_bytes(length) as usize;
        if length > PIECE_BYTES_MAX {
            return Err(PieceError::TooLong(length));
        }
        Ok(PieceHead { piece, source: u16::from_le_bytes([s0, s1]), length })
    }
}

/// What the data plane says on a feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FeedReport {
    Opened(Result<(), Refusal>),
    /// Everything up to a [`Piece::End`] of this source has run, or why it could not be read.
    Taken {
        source: u16,
        result: Result<(), String>,
    },
    Alert(Box<AlertEvent>),
    /// JSON rows, comma-separated; `None` before any.
    HttpOut(Result<Option<String>, Refusal>),
    Statistics(Vec<NodeStatistics>),
    /// The instance ended by itself: a node failed, or the data cannot be read.
    Failed(FeedFailure),
    /// The counters when the data had come, before draining; nothing follows.
    Finished(Vec<NodeStatistics>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum FeedFailure {
    /// Names the node.
    #[error("{0}")]
    Node(String),
    #[error("{0}")]
    Data(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_and_bad_ones_are_refused() {
        let head = PieceHead { piece: Piece::Batches, source: 7, length: 65_537 };
        assert_eq!(PieceHead::decode(head.encode()), Ok(head));
        let unknown = [9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(PieceHead::decode(unknown), Err(PieceError::Kind(9)));
        let long = PieceHead { length: PIECE_BYTES_MAX + 1, ..head };
        assert_eq!(PieceHead::decode(long.encode()), Err(PieceError::TooLong(PIECE_BYTES_MAX + 1)));
    }
}
