//! Answering on the public socket while there is no data plane.

use std::net::TcpListener;

use axum::Router;
use tokio::{sync::oneshot, task::JoinHandle};

/// A running stand-in.
pub struct Fallback {
    stop: oneshot::Sender<()>,
    serving: Option<JoinHandle<()>>,
}

impl Fallback {
    /// Accepts on a duplicate of the socket. Where that fails, and with TLS, requests wait in the socket's queue instead.
    pub fn start(listener: &TcpListener, router: Router, tls: bool) -> Fallback {
        let (stop, stopped) = oneshot::channel::<()>();
        let duplicate = listener.try_clone().and_then(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        });
        let serving = duplicate.ok().filter(|_| !tls).map(|listener| {
            tokio::spawn(async move {
                let stopped = async { drop(stopped.await) };
                let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
            })
        });
        Fallback { stop, serving }
    }

    /// Accepts nothing more. Open connections finish their request and close, by themselves.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        // Accepting ends at once; connections that are idle close with the task, which is not waited for.
        if let Some(serving) = self.serving {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), serving).await;
        }
    }
}
