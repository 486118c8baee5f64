//! The data plane's life: started, watched, replaced, drained.
//!
//! ```text
//! start     an answering data plane of the same version is taken over, with the listening socket that it passes;
//!           else the socket is made here and a data plane started with it as descriptor 3
//! run       commands and reports over the link
//! death     this process answers on its duplicate of the socket (writes 503), starts another data plane at once
//! SIGTERM   drain: what was accepted runs through, events are delivered, then both processes end
//! ```

mod fallback;
mod paths;
mod spawn;

use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::Router;
use dataplane::io::tls;
use proto::limits::Limits;
use tokio::{
    net::{UnixListener, UnixStream},
    process::Child,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    alert::Alerts,
    engine::{Call, Engine, EngineError, Tasks},
    link::{Link, LinkError},
};
pub use fallback::Peer;
pub use paths::Paths;

/// How long a data plane may take to answer on its link.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Longest pause before a data plane that keeps dying is started again.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    #[error("cannot listen on {address}: {error}. Is another server running there?")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("cannot use {path}: {error}")]
    Path { path: PathBuf, error: io::Error },
    #[error("another control plane runs with this data folder (it answers on {0})")]
    Taken(PathBuf),
    #[error("cannot start the data plane {program}: {error}")]
    Spawn { program: PathBuf, error: io::Error },
    #[error("cannot watch for signals: {0}")]
    Signal(io::Error),
}

/// What a supervision needs.
pub struct Supervision {
    pub address: SocketAddr,
    pub paths: Paths,
    /// The program of the data plane.
    pub program: PathBuf,
    /// 0: as many as cores.
    pub shards: usize,
    /// How the shards receive: `auto`, `io_uring` or `epoll`.
    pub receive: String,
    pub limits: Limits,
    /// Certificate and private key, if clients must speak TLS.
    pub tls: Option<(PathBuf, Option<PathBuf>)>,
    /// File, level and format of the log.
    pub log: (String, String, String),
    pub router: Router,
    pub tasks: Tasks,
    pub alerts: Alerts,
    pub engine: Engine,
    pub calls: mpsc::Receiver<Call>,
    pub shutdown_timeout: Duration,
}

/// Runs until SIGTERM or SIGINT; everything that was accepted is done then. `control` is what [`claim`] gave.
pub async fn run(mut supervision: Supervision, control: UnixListener) -> Result<(), SuperviseError> {
    let router = supervision.router.clone();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(control, router).await {
            tracing::error!(service = "http", err = %error, "the API's socket failed");
        }
    });
    let saving = supervision.alerts.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let saving = saving.clone();
            let _ = tokio::task::spawn_blocking(move || saving.save()).await;
        }
    });
    let mut terminate = signal(SignalKind::terminate()).map_err(SuperviseError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SuperviseError::Signal)?;
    let (engine, alerts) = (supervision.engine.clone(), supervision.alerts.clone());
    let limit = supervision.shutdown_timeout;
    let draining = Cell::new(false);
    {
        let serving = serve(&mut supervision, &draining);
        tokio::pin!(serving);
        let first = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::select! {
            result = &mut serving => return result,
            () = first => {}
        }
        tracing::info!(service = "run", "signal received, draining");
        draining.set(true);
        let drain = async {
            let _ = engine.drain().await;
            alerts.drained().await;
        };
        tokio::select! {
            // Commands are still carried out by the same link.
            result = &mut serving => drop(result),
            _ = tokio::time::timeout(limit, drain) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    alerts.save();
    let _ = std::fs::remove_file(&supervision.paths.control);
    tracing::info!(service = "run", "stopped");
    Ok(())
}

/// One data plane after the other; the one that is drained has no successor.
async fn serve(supervision: &mut Supervision, draining: &Cell<bool>) -> Result<(), SuperviseError> {
    let (mut link, mut listener, mut child) = match adopt(supervision).await {
        Some((link, listener)) => (Some(link), listener, None),
        None => (None, bind(supervision.address)?, None),
    };
    let mut pause = Duration::ZERO;
    loop {
        let born = Instant::now();
        let mut connected = match link.take() {
            Some(link) => link,
            None => {
                let started = start(supervision, &listener, &mut child).await;
                match started {
                    Ok(link) => link,
                    Err(error) => {
                        tracing::error!(service = "run", err = %error, "the data plane did not start");
                        pause = (pause * 2).clamp(Duration::from_millis(100), RESTART_PAUSE_MAX);
                        stand_in(supervision, &listener, tokio::time::sleep(pause)).await;
                        continue;
                    }
                }
            }
        };
        if let Some(passed) = connected.listener.take() {
            listener = TcpListener::from(passed);
        }
        let (tasks, alerts) = (supervision.tasks.clone(), supervision.alerts.clone());
        let error = match connected.reconcile(supervision.engine.settings(), &tasks, &alerts).await {
            Ok(()) => {
                tracing::info!(service = "run", pid = connected.hello.pid, "the data plane is ready");
                connected.serve(&mut supervision.calls, &tasks, &alerts).await
            }
            Err(error) => error,
        };
        if draining.get() {
            std::future::pending::<()>().await;
        }
        tracing::error!(service = "run", err = %error, "the data plane is gone");
        tasks.lost();
        pause = if born.elapsed() < Duration::from_secs(10) {
            (pause * 2).clamp(Duration::from_millis(50), RESTART_PAUSE_MAX)
        } else {
            Duration::ZERO
        };
        // Whatever is left of it must not go on beside its successor.
        kill(connected.hello.pid);
        if let Some(mut child) = child.take() {
            let _ = child.start_kill();
            let _ = child.wait().await;
        }
        if !pause.is_zero() {
            stand_in(supervision, &listener, tokio::time::sleep(pause)).await;
        }
    }
}

/// A data plane that runs already, if it can be kept.
async fn adopt(supervision: &Supervision) -> Option<(Link, TcpListener)> {
    let stream = UnixStream::connect(&supervision.paths.link).await.ok()?;
    let mut link = tokio::time::timeout(START_LIMIT, Link::open(stream)).await.ok()?.ok()?;
    let listener = TcpListener::from(link.listener.take()?);
    let same_place = listener.local_addr().is_ok_and(|address| same_place(address, supervision.address));
    if link.hello.version == env!("CARGO_PKG_VERSION") && same_place {
        tracing::info!(service = "run", pid = link.hello.pid, "taking over a running data plane");
        return Some((link, listener));
    }
    tracing::info!(
        service = "run",
        pid = link.hello.pid,
        "replacing a running data plane of another version or address"
    );
    let (engine, mut calls) = Engine::new();
    let drain = async { engine.drain().await };
    let _ = tokio::select! {
        drained = drain => drained,
        _ = link.serve(&mut calls, &supervision.tasks, &supervision.alerts) => Err(EngineError::Away),
    };
    drop(listener);
    for _ in 0..100 {
        if UnixStream::connect(&supervision.paths.link).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    None
}

fn same_place(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && (one.ip() == other.ip() || one.ip().is_unspecified() && other.ip().is_unspecified())
}

/// Starts a data plane and opens its link; meanwhile requests are answered here.
async fn start(
    supervision: &mut Supervision,
    listener: &TcpListener,
    child: &mut Option<Child>,
) -> Result<Link, SuperviseError> {
    let link = supervision.paths.link.clone();
    let _ = std::fs::remove_file(&link);
    *child = Some(spawn::spawn(supervision, listener)?);
    let path_error = |error| SuperviseError::Path { path: link.clone(), error };
    let connect = async {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Ok(stream) = UnixStream::connect(&link).await {
                return Link::open(stream).await;
            }
            if Instant::now() > end {
                return Err(LinkError::Io(io::ErrorKind::TimedOut.into()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut opened = None;
    let connect = async { opened = Some(connect.await) };
    stand_in(supervision, listener, connect).await;
    match opened {
        Some(Ok(link)) => Ok(link),
        Some(Err(error)) => Err(path_error(io::Error::other(error.to_string()))),
        None => Err(path_error(io::ErrorKind::TimedOut.into())),
    }
}

/// Answers requests and refuses calls until `done`.
async fn stand_in(supervision: &mut Supervision, listener: &TcpListener, done: impl Future<Output = ()>) {
    // Read anew, as the next data plane does.
    let tls = supervision.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key.as_deref()));
    let tls = tls.transpose().unwrap_or_else(|error| {
        tracing::error!(service = "run", err = %error, "requests wait for the data plane");
        None
    });
    let answers = supervision.tls.is_none() || tls.is_some();
    let router = supervision.router.clone();
    let accepting = answers.then(|| fallback::Fallback::start(listener, router, tls));
    tokio::pin!(done);
    loop {
        tokio::select! {
            () = &mut done => break,
            Some(call) = supervision.calls.recv() => drop(call.reply.send(Err(EngineError::Away))),
        }
    }
    if let Some(accepting) = accepting {
        accepting.stop().await;
    }
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, SuperviseError> {
    let listen = || -> io::Result<TcpListener> {
        let family =
            if address.is_ipv4() { rustix::net::AddressFamily::INET } else { rustix::net::AddressFamily::INET6 };
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let socket: OwnedFd = rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    listen().map_err(|error| SuperviseError::Listen { address, error })
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4_096;

/// Takes the API's unix socket, over which the data plane relays: whoever has it owns the data folder. Must be called
/// before anything of the folder is opened.
pub async fn claim(paths: &Paths) -> Result<UnixListener, SuperviseError> {
    let path = &paths.control;
    if UnixStream::connect(path).await.is_ok() {
        return Err(SuperviseError::Taken(path.clone()));
    }
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).map_err(|error| SuperviseError::Path { path: path.clone(), error })
}
