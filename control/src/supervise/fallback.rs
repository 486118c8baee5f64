//! Answering on the public socket while there is no data plane.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{Extension, Router};
use dataplane::io::tls::{self, TlsAcceptor};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

/// How long a connection may take for the head of its request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// A running stand-in.
pub struct Fallback {
    accepting: Option<JoinHandle<()>>,
}

/// Address of a client that is served here.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Fallback {
    /// Accepts on a duplicate of the socket, with `tls` clients that speak it. Where that fails requests wait in the
    /// socket's queue instead.
    pub fn start(listener: &TcpListener, router: Router, tls: Option<TlsAcceptor>) -> Fallback {
        let duplicate = listener.try_clone().and_then(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        });
        let accepting = duplicate.ok().map(|listener| {
            tokio::spawn(async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, peer)) => {
                            let router = router.clone().layer(Extension(Peer(peer)));
                            drop(tokio::spawn(accepted(stream, tls.clone(), router)));
                        }
                        Err(error) => {
                            tracing::error!(service = "http", err = %error, "cannot accept connections");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            })
        });
        Fallback { accepting }
    }

    /// Accepts nothing more. What was accepted is still answered, even if its request has yet to come.
    pub async fn stop(self) {
        if let Some(accepting) = self.accepting {
            accepting.abort();
            let _ = accepting.await;
        }
    }
}

async fn accepted(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    match tls {
        None => serve(stream, router).await,
        Some(tls) => {
            if let Some(stream) = tls::handshake(&tls, stream).await {
                serve(stream, router).await;
            }
        }
    }
}

/// Answers one request and closes: the next one belongs to the data plane.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let mut server = http1::Builder::new();
    server.keep_alive(false).half_close(true).timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    // A client that leaves in the middle of its request is nobody's concern.
    let _ = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}
