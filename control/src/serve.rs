//! `farad serve`: everything put together.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use proto::plan::ServerInfo;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    alert::{Alerts, Forgetful, TopicStore},
    api::{self, Api},
    auth::Auth,
    config::{Config, ConfigError, Live, Loaded},
    engine::Engine,
    identity::Identity,
    influxdb::{Clusters, Subscriptions},
    load::Loader,
    recording::{Caps, Recordings, Source},
    replay::Replays,
    statistics,
    store::{self, Store, StoreError},
    supervise::{self, Paths, SuperviseError, Supervision},
    task::Tasks,
};

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Udf(#[from] crate::udf::UdfError),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("open server: {0}")]
    Store(#[from] StoreError),
    #[error("open server: {0}")]
    Supervise(#[from] SuperviseError),
    #[error("open server: cannot use the data folder {path}: {error}")]
    Data { path: PathBuf, error: std::io::Error },
    #[error("open server: cannot log to {file}: {error}")]
    Log { file: String, error: std::io::Error },
    #[error("open server: {0}")]
    Tls(#[from] dataplane::io::tls::TlsError),
    #[error("open server: no runtime: {0}")]
    Runtime(std::io::Error),
}

/// Runs the server until a signal ends it.
pub fn serve(loaded: Loaded) -> Result<(), ServeError> {
    let Loaded { config, table, file, warnings } = loaded;
    let log_error = |error| ServeError::Log { file: config.logging.file.clone(), error };
    dataplane::logging::start(&config.logging.file, &config.logging.level, &config.farad.log_format)
        .map_err(log_error)?;
    tracing::info!(service = "run", version = env!("CARGO_PKG_VERSION"), "farad starting");
    match &file {
        Some(file) => tracing::info!(service = "run", file = %file.display(), "using configuration"),
        None => tracing::info!(service = "run", "no configuration file, using defaults"),
    }
    for warning in warnings {
        tracing::warn!(service = "run", "{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| {
            // Without it answers come later beside full load, and nothing else is wrong.
            let _ = dataplane::scheduling::prefer_latency();
        })
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    runtime.block_on(run(config, table))
}

async fn run(config: Config, table: toml::Table) -> Result<(), ServeError> {
    let data = Path::new(&config.data_dir);
    let data_error = |error| ServeError::Data { path: data.to_owned(), error };
    let identity = Identity::load(data).map_err(data_error)?;
    let server = ServerInfo {
        hostname: config.hostname.clone(),
        cluster_id: identity.cluster_id,
        server_id: identity.server_id,
    };
    let ServerInfo { cluster_id, server_id, .. } = &server;
    tracing::info!(service = "run", cluster_id, server_id, "listing ClusterID and ServerID");
    let address = config.address().map_err(ConfigError::from)?;
    let paths = Paths::new(data)?;
    let control = supervise::claim(&paths).await?;
    crate::udf::open(&config)?;
    store::trial::go_first(&config.store_path())?;
    let store = Store::open(&config.store_path())?;
    let live = Live::open(config, table, store.overrides())?;
    let config = live.get();
    let endpoints = live.clone();
    let endpoint = move |name: &str| endpoints.get().endpoint(name);
    let topics: Arc<dyn TopicStore> = match config.alert.persist_topics {
        true => Arc::new(store.topics()),
        false => Arc::new(Forgetful),
    };
    let (endpoint, surroundings) = (Arc::new(endpoint), Arc::new(live.clone()));
    let alerts = Alerts::open(topics, store.handlers(), endpoint, surroundings, config.alert.buffer_length())?;
    let auth = Auth::open(live.clone(), store.users())?;
    let tls = config.http.tls();
    if let Some((certificate, key)) = &tls {
        // The data plane reads them itself; what is wrong is better said here.
        dataplane::io::tls::acceptor(certificate, key.as_deref())?;
    }
    let (engine, calls) = Engine::new();
    engine.set(|settings| {
        settings.default_retention_policy.clone_from(&config.default_retention_policy);
        (settings.task_groups_max, settings.task_bytes_max) =
            (config.farad.task_groups_max, config.farad.task_bytes_max);
        settings.version = api::VERSION.to_owned();
        settings.auth_enabled = config.http.auth_enabled;
        settings.users_generation = auth.generation();
        settings.listeners = config.listeners();
        settings.log_writes = config.http.log_enabled;
        settings.trace_writes = config.http.write_tracing;
        settings.log_level.clone_from(&config.logging.level);
    });
    let clusters = Clusters::new(live.clone());
    let tasks = Tasks::open(
        &store,
        engine.clone(),
        alerts.clone(),
        live.clone(),
        server.clone(),
        clusters.clone(),
        paths.link.clone(),
    )?;
    let folder = Path::new(&config.replay.dir);
    let caps = Caps { size: config.replay.recording_max_size, duration: config.replay.recording_max_duration.0 };
    let recordings = Recordings::open(&store, folder, caps, engine.clone(), tasks.clone(), clusters.clone())?;
    let replays = Replays::open(&store, recordings.clone(), alerts.clone(), paths.link.clone())?;
    let subscriptions = Subscriptions {
        cluster_id: server.cluster_id.clone(),
        server_id: server.server_id.clone(),
        hostname: server.hostname.clone(),
        port: address.port(),
        engine: engine.clone(),
        auth: auth.clone(),
        held: Arc::default(),
    };
    let loader = Arc::new(Loader {
        folder: PathBuf::from(&config.load.dir),
        ledger: config.store_path().with_file_name("farad.loaded"),
        tasks: tasks.clone(),
        alerts: alerts.clone(),
        errors: AtomicU64::default(),
    });
    let hang_up = signal(SignalKind::hangup()).map_err(ServeError::Runtime)?;
    let api = Api {
        tasks: tasks.clone(),
        recordings: recordings.clone(),
        replays,
        engine: engine.clone(),
        alerts: alerts.clone(),
        server: Arc::new(server.clone()),
        started: Instant::now(),
        latency: Arc::default(),
        loader: loader.clone(),
        live,
        auth: auth.clone(),
        store: store.clone(),
        clusters: clusters.clone(),
        subscriptions: subscriptions.clone(),
        log_requests: config.http.log_enabled,
    };
    tokio::spawn(subscriptions.run(clusters));
    tokio::spawn(statistics::publish(api.clone()));
    tokio::spawn(load(loader, config.load.enabled, hang_up));
    tracing::info!(service = "http", addr = %address, "listening on");
    let supervision = Supervision {
        address,
        paths,
        program: dataplane_program(&config),
        shards: config.farad.shards,
        tls,
        receive: config.farad.receive.clone(),
        limits: config.limits().map_err(ConfigError::from)?,
        log: (config.logging.file.clone(), config.logging.level.clone(), config.farad.log_format.clone()),
        router: api::router(api),
        tasks: Arc::new(Source { tasks, recordings }),
        alerts,
        engine,
        calls,
        shutdown_timeout: config.http.shutdown_timeout.0,
    };
    supervise::run(supervision, control).await?;
    Ok(())
}

/// Loads definitions at the start and at each SIGHUP, which means nothing else and ends nothing.
async fn load(loader: Arc<Loader>, enabled: bool, mut hang_up: Signal) {
    loop {
        if enabled {
            loader.load().await;
        }
        if hang_up.recv().await.is_none() {
            return;
        }
    }
}

/// The configured program, or the one beside this.
fn dataplane_program(config: &Config) -> PathBuf {
    if !config.farad.dataplane.is_empty() {
        return PathBuf::from(&config.farad.dataplane);
    }
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("farad-dataplane")
}
