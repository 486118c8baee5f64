//! Accepts client connections and gives each to the least loaded shard.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{shards::Shards, tls};
use crate::{
    clock,
    http::Answer,
    shard::command::{Handover, Seats},
};

/// How many clients there may be, and are.
pub struct Room {
    pub seats: Seats,
    pub most: u64,
    /// Connections that found none and were closed.
    pub refused: Rc<Cell<u64>>,
}

/// From one line in the log about refused connections to the next.
const LOG_PERIOD: Duration = Duration::from_secs(1);

/// Runs until it is dropped. With `tls` clients must speak it. Never ends by itself: a full table of descriptors is waited out.
pub async fn run(listener: &TcpListener, shards: &Shards, tls: Option<&TlsAcceptor>, room: &Room) {
    let mut logged: Option<tokio::time::Instant> = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(seat) = room.seats.take(room.most) else {
                    room.refused.set(room.refused.get() + 1);
                    if logged.is_none_or(|at| at.elapsed() > LOG_PERIOD) {
                        logged = Some(tokio::time::Instant::now());
                        let refused = room.refused.get();
                        tracing::error!(service = "http", most = room.most, refused, "too many client connections");
                    }
                    if tls.is_none() {
                        refuse(&stream);
                    }
                    continue;
                };
                let _ = stream.set_nodelay(true);
                if let Some(tls) = tls {
                    tokio::task::spawn_local(tls::serve(tls.clone(), stream, peer, seat, shards.clone()));
                    continue;
                }
                match stream.into_std() {
                    Ok(stream) => shards.connection(Handover { stream, peer, buffered: BytesMut::new(), seat }).await,
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

/// Tells a client that there is no room, as far as it listens.
fn refuse(stream: &TcpStream) {
    let body = b"{\n    \"error\": \"too many connections, try again\"\n}";
    let answer = Answer { status: 503, body, retry_after: true, close: true, ..Answer::TAKEN };
    let mut out = Vec::new();
    answer.write(clock::now(), &mut out);
    // Its bytes fit into the buffer of a new socket.
    let _ = stream.try_write(&out);
}
