//! The process: arguments, threads, and the life of the I/O thread.

use std::{
    cell::Cell,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    thread,
};

use proto::{feed::feed_path, message::Settings};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::LocalSet,
};

use crate::{
    config::{Config, ConfigError},
    gate::Gate,
    io::{
        accept,
        autoscale::{self, AutoscaleCounters},
        feed::{Feeds, Lanes},
        influxdb::{self, InfluxDbCounters},
        link::Link,
        listeners::Listeners,
        post::{self, PostCounters},
        recording::{Recordings, Taps},
        relay,
        shards::{Loads, Queue, Shards},
        tasks::Tasks,
        tls::{self, TlsError},
        udf, write_log,
    },
    reactor::{self, Choice, Wake},
    recording, scheduling,
    shard::{
        command::{Effects, Seats},
        limits::COMMANDS,
        ring::{Signals, rings},
        thread::{Start, run},
    },
};

#[derive(Debug, thiserror::Error)]
enum ProcessError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on the link's socket {path}: {error}")]
    Link { path: PathBuf, error: std::io::Error },
    #[error("cannot receive by io_uring: {0}")]
    Receive(reactor::Refused),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Runs the data plane until a control plane drains it or a signal ends it.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(service = "run", err = %error, "the data plane ends");
            eprintln!("farad-dataplane: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), ProcessError> {
    let config = Config::from_environment()?;
    crate::logging::start(&config.log_file, &config.log_level, &config.log_format)?;
    raise_file_limit();
    if let Err(error) = scheduling::prefer_latency() {
        tracing::debug!(service = "run", err = %error, "the I/O thread has no short slices of time");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(io_thread(config)))
}

/// Lines about writes that wait for the log. Full: counted as left out.
const WRITE_LINES: usize = 1_024;

/// The signal of a write beyond the limit of file sizes.
const SIGXFSZ: i32 = 25;

async fn io_thread(config: Config) -> Result<(), ProcessError> {
    // A write beyond the largest file that is allowed must fail, not end the process.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    let public = TcpListener::from(config.public);
    public.set_nonblocking(true)?;
    let duplicate = public.try_clone()?.into();
    let public = tokio::net::TcpListener::from_std(public)?;
    let link_socket = bind(&config.link)?;
    let feed_path = feed_path(&config.link);
    let feed_socket = bind(&feed_path)?;
    let tls = config.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key.as_deref())).transpose()?;

    let mut limits = config.limits;
    if limits.connections_max == 0 {
        limits.connections_max =
            rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    }
    let outputs = limits.outputs_max as usize;
    let (alerts, alerts_received) = mpsc::channel(outputs);
    let (posts, posts_received) = mpsc::channel(outputs);
    let (influxdb, influxdb_received) = mpsc::channel(outputs);
    let (autoscale, autoscale_received) = mpsc::channel(outputs);
    let (udf, udf_received) = mpsc::channel(outputs);
    let (failures, failures_received) = mpsc::unbounded_channel();
    let (writes_logged, write_lines) = mpsc::channel(WRITE_LINES);
    let (relays, relays_received) = mpsc::channel(outputs);
    let (settings, settings_seen) = watch::channel(Settings::default());
    let gate = Arc::new(Gate::new(settings_seen.clone()));
    let taps = Taps::default();
    let inhibitors = Default::default();
    let effects = Effects {
        alerts,
        posts,
        influxdb,
        autoscale,
        udf,
        failures,
        relays,
        gate: gate.clone(),
        inhibitors,
        taps: taps.clone(),
        writes: writes_logged,
    };
    let loads = Loads::new(config.shards);
    let order = Arc::new(AtomicU64::new(0));

    let receive = receive_by(config.receive)?;
    let wakes = (0..config.shards).map(|_| Wake::new().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    let mut queues = Vec::new();
    let mut threads = Vec::new();
    let ends = rings(wakes.iter().map(|wake| Signals::new(wake.clone())).collect(), limits.ring_blocks_max as usize);
    for (shard, (ends, wake)) in ends.into_iter().zip(wakes).enumerate() {
        let (commands, received) = mpsc::channel(COMMANDS);
        queues.push(Queue { commands, wake: wake.clone() });
        let start = Start {
            shard,
            shards: config.shards,
            core: config.cores.get(shard).copied(),
            receive,
            wake,
            ends,
            commands: received,
            effects: effects.clone(),
            settings: settings_seen.clone(),
            loads: loads.clone(),
            order: order.clone(),
            limits,
        };
        threads.push(thread::Builder::new().name(format!("shard-{shard}")).spawn(move || run_shard(start))?);
    }
    let shards = Shards::new(queues, loads);

    let counters = Rc::new(PostCounters::default());
    let shown = counters.clone();
    let writes = Rc::new(InfluxDbCounters::default());
    let writes_shown = writes.clone();
    let (draining, drained) = watch::channel(false);
    let (post_queue, posting) = (effects.posts.clone(), counters.clone());
    let (write_queue, writing) = (effects.influxdb.clone(), writes.clone());
    let scalings = Rc::new(AutoscaleCounters::default());
    let scalings_shown = scalings.clone();
    let (scaling_queue, scaling) = (effects.autoscale.clone(), scalings.clone());
    let outputs_are_out = move || {
        post_queue.capacity() == post_queue.max_capacity()
            && posting.waiting.get() == 0
            && write_queue.capacity() == write_queue.max_capacity()
            && writing.waiting.get() == 0
            && scaling_queue.capacity() == scaling_queue.max_capacity()
            && scaling.waiting.get() == 0
    };
    let room = accept::Room { seats: Seats::default(), most: limits.connections_max, refused: Rc::default() };
    let (seats, refused) = (room.seats.clone(), room.refused.clone());
    let udf_dropped = Rc::new(Cell::new(0));
    let udf_shown = udf_dropped.clone();
    let lanes = Lanes::default();
    let tasks = Tasks::new(
        shards.clone(),
        Box::new(move || {
            vec![
                ("client_connections", seats.taken()),
                ("connections_refused", refused.get()),
                ("http_posts_sent", shown.sent.get()),
                ("http_posts_failed", shown.failed.get()),
                ("http_posts_dropped_by_full_queue", shown.dropped.get()),
                ("udf_messages_dropped_by_full_queue", udf_shown.get()),
                ("influxdb_writes", writes_shown.written.get()),
                ("influxdb_writes_failed", writes_shown.failed.get()),
                ("influxdb_writes_retried", writes_shown.retried.get()),
                ("influxdb_writes_dropped_by_full_queue", writes_shown.dropped.get()),
                ("scalings_answered", scalings_shown.answered.get()),
                ("scalings_failed", scalings_shown.failed.get()),
            ]
        }),
        draining,
        lanes.clone(),
        effects.clone(),
        settings_seen.clone(),
    );
    let (ended, files_ended) = mpsc::unbounded_channel();
    let recordings = Recordings::new(taps, recording::start(ended)?, files_ended);
    let feeds = Feeds::new(lanes, &effects, settings_seen.clone());
    tokio::task::spawn_local(feeds.clone().tick());
    tokio::task::spawn_local(feeds.run(feed_socket));
    let relay =
        relay::Relay { control: config.control.into(), shards: shards.clone(), settings: settings_seen.clone(), gate };
    tokio::task::spawn_local(post::run(posts_received, shards.clone(), counters, limits.posts_waiting_max as usize));
    tokio::task::spawn_local(influxdb::run(
        influxdb_received,
        shards.clone(),
        writes,
        drained.clone(),
        limits.influxdb_bytes_max as usize,
    ));
    tokio::task::spawn_local(autoscale::run(autoscale_received, shards.clone(), scalings));
    tokio::task::spawn_local(udf::run(udf_received, shards.clone(), udf_dropped, limits.udf_bytes_max as usize));
    tokio::task::spawn_local(relay::run(relays_received, relay));
    tokio::task::spawn_local(write_log::run(write_lines));
    let (accepting, mut accepts) = watch::channel(false);
    let accepted = tokio::task::spawn_local({
        let (shards, mut drained) = (shards.clone(), drained);
        // Until the control plane says so it may accept on the same socket itself.
        let accept = async move {
            if accepts.wait_for(|accepts| *accepts).await.is_ok() {
                accept::run(&public, &shards, tls.as_ref(), &room).await;
            }
        };
        async move {
            tokio::select! {
                () = accept => {}
                _ = drained.wait_for(|draining| *draining) => {}
            }
        }
    });
    tracing::info!(shards = config.shards, receive = receive.name(), "the data plane is ready");

    let waiting = std::collections::VecDeque::new();
    let mut link = Link {
        tasks,
        public: duplicate,
        alerts: alerts_received,
        failures: failures_received,
        settings,
        accepting,
        waiting,
        limits,
        outputs_are_out: Box::new(outputs_are_out),
        alerts_dropped: 0,
        log: None,
        recordings,
        listeners: Listeners::new(shards),
    };
    tokio::select! {
        () = link.run(&link_socket) => {}
        () = terminated() => {
            // Without a control plane that orders it, the same drain.
            link.tasks.drain().await;
        }
    }
    let _ = accepted.await;
    let _ = std::fs::remove_file(&config.link);
    let _ = std::fs::remove_file(&feed_path);
    tracing::info!("the data plane has drained");
    Ok(())
}

/// How the shards receive: asked once, so that all of them do it alike.
fn receive_by(choice: Choice) -> Result<Choice, ProcessError> {
    match (choice, reactor::probe()) {
        (Choice::Epoll, _) => Ok(Choice::Epoll),
        (_, Ok(())) => Ok(Choice::Uring),
        (Choice::Uring, Err(refused)) => Err(ProcessError::Receive(refused)),
        (Choice::Automatic, Err(refused)) => {
            tracing::warn!(service = "run", reason = %refused, "shards receive by epoll, which costs more time");
            Ok(Choice::Epoll)
        }
    }
}

/// A shard that cannot go on ends the process: the control plane starts another one.
fn run_shard(start: Start) {
    let shard = start.shard;
    if let Err(error) = run(start) {
        tracing::error!(service = "run", shard, err = %error, "a shard cannot go on, the data plane ends");
        std::process::exit(1);
    }
}

/// The link's socket; a file that a dead predecessor left is replaced.
fn bind(path: &Path) -> Result<UnixListener, ProcessError> {
    let link_error = |error| ProcessError::Link { path: path.to_owned(), error };
    if std::os::unix::net::UnixStream::connect(path).is_err() {
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path).map_err(link_error)
}

/// SIGTERM. SIGINT is the control plane's: a terminal sends it to both, and control drains.
async fn terminated() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => loop {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => {}
            }
        },
        _ => std::future::pending().await,
    }
}

/// As many connections as the system lets us have.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
