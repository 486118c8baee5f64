//! Accepts client connections and gives each to the least loaded shard.

use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{shards::Shards, tls};
use crate::shard::command::Handover;

/// Runs until it is dropped. With `tls` clients must speak it. Never ends by itself: a full table of descriptors is waited out.
pub async fn run(listener: &TcpListener, shards: &Shards, tls: Option<&TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                if let Some(tls) = tls {
                    tokio::task::spawn_local(tls::serve(tls.clone(), stream, peer, shards.clone()));
                    continue;
                }
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
