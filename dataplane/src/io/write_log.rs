//! What the log says of writes: shards hand it over and go on, the lines are made here.

use tokio::sync::mpsc;

use crate::{
    http::access_log::Line,
    shard::{command::WriteLog, limits::TRACED_BYTES},
};

/// Writes lines for as long as there are shards. Runs on the I/O thread's local set.
pub async fn run(mut writes: mpsc::Receiver<WriteLog>) {
    while let Some(write) = writes.recv().await {
        match write {
            WriteLog::Answered { head, peer, begun, took, status, request_id } => {
                let host = peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
                let id = request_id.map(|id| id.to_string()).unwrap_or_default();
                Line::of_head(&head, host, begun).write(status, &id, took);
            }
            WriteLog::Body { text, bytes } => {
                let body = String::from_utf8_lossy(&text);
                if bytes > text.len() {
                    tracing::debug!(service = "http", %body, bytes, shown = TRACED_BYTES, "write body received by handler: %s");
                } else {
                    tracing::debug!(service = "http", %body, "write body received by handler: %s");
                }
            }
            WriteLog::LeftOut(writes) => tracing::info!(service = "http", writes, "writes that were not logged"),
        }
    }
}
