//! Accepts client connections and gives each to the least loaded shard.

use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpListener;

use super::shards::Shards;
use crate::shard::command::Handover;

/// Runs until it is dropped. Never ends by itself: a full table of descriptors is waited out.
pub async fn run(listener: &TcpListener, shards: &Shards) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                match stream.into_std() {
                    Ok(stream) => shards.connection(Handover { stream, peer, buffered: BytesMut::new() }).await,
                    Err(error) => tracing::error!(%error, "cannot hand over a connection"),
                }
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; the limit of open files may be too low (ulimit -n)");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
