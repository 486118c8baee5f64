//! The command line and environment of the data plane.

use std::{os::fd::OwnedFd, path::PathBuf};

use proto::limits::{LimitError, Limits};

use crate::{
    reactor::{Choice, UnknownChoice},
    routing::SHARDS_MAX,
};

pub const USAGE: &str =
    "usage: farad-dataplane --link SOCKET --control SOCKET [--shards N] [--receive auto|io_uring|epoll] [--log-file FILE] [--log-level LEVEL]
    [--log-format logfmt|json] [--tls-certificate FILE] [--tls-key FILE] [--limit NAME=NUMBER]…
The public listening socket is passed as file descriptor 3 (LISTEN_FDS=1).";

#[derive(Debug)]
pub struct Config {
    /// Public listening socket.
    pub public: OwnedFd,
    /// Unix socket on which the control plane connects.
    pub link: PathBuf,
    /// Unix socket of the control plane's HTTP API.
    pub control: PathBuf,
    pub shards: usize,
    pub receive: Choice,
    pub limits: Limits,
    /// Certificate and private key in PEM; the second may be in the first's file. With them clients must speak TLS.
    pub tls: Option<(PathBuf, Option<PathBuf>)>,
    /// As in the configuration of the control plane.
    pub log_file: String,
    pub log_level: String,
    pub log_format: String,
    /// Core of each shard, as far as there is one for each.
    pub cores: Vec<usize>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown argument {0:?}\n{USAGE}")]
    Unknown(String),
    #[error("{0} wants a value\n{USAGE}")]
    NoValue(String),
    #[error("--shards wants a number from 0 (automatic) to {SHARDS_MAX}, not {0:?}")]
    Shards(String),
    #[error("--receive: {0}\n{USAGE}")]
    Receive(#[from] UnknownChoice),
    #[error("--limit wants NAME=NUMBER, not {0:?}")]
    Limit(String),
    #[error("--limit: {0}")]
    LimitValue(#[from] LimitError),
    #[error("{0} is missing\n{USAGE}")]
    Missing(&'static str),
    #[error("no listening socket was passed as file descriptor 3\n{USAGE}")]
    NoListener,
}

impl Config {
    pub fn from_environment() -> Result<Config, ConfigError> {
        let (mut link, mut control, mut shards) = (None, None, 0);
        let (mut certificate, mut key) = (None, None);
        let (mut receive, mut limits) = (Choice::Automatic, Limits::default());
        let (mut log_file, mut log_level, mut log_format) = (String::new(), String::new(), String::new());
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| ConfigError::NoValue(argument.clone()));
            match argument.as_str() {
                "--link" => link = Some(value()?.into()),
                "--control" => control = Some(value()?.into()),
                "--shards" => {
                    let text = value()?;
                    shards = text.parse().ok().filter(|n| *n <= SHARDS_MAX).ok_or(ConfigError::Shards(text))?;
                }
                "--limit" => {
                    let text = value()?;
                    let set = text.split_once('=').and_then(|(name, number)| Some((name, number.parse().ok()?)));
                    let (name, number) = set.ok_or_else(|| ConfigError::Limit(text.clone()))?;
                    limits.set(name, number)?;
                }
                "--receive" => receive = value()?.parse()?,
                "--tls-certificate" => certificate = Some(value()?.into()),
                "--tls-key" => key = Some(value()?.into()),
                "--log-file" => log_file = value()?,
                "--log-level" => log_level = value()?,
                "--log-format" => log_format = value()?,
                _ => return Err(ConfigError::Unknown(argument)),
            }
        }
        let public = listenfd::ListenFd::from_env().take_tcp_listener(0).ok().flatten();
        let cores = allowed_cores();
        let automatic = shards == 0;
        if automatic {
            shards = cores.len().clamp(1, SHARDS_MAX);
        }
        Ok(Config {
            public: public.ok_or(ConfigError::NoListener)?.into(),
            link: link.ok_or(ConfigError::Missing("--link"))?,
            control: control.ok_or(ConfigError::Missing("--control"))?,
            shards,
            receive,
            limits,
            tls: certificate.map(|certificate| (certificate, key)),
            log_file,
            log_level,
            log_format,
            // More shards than cores share them as the system likes.
            cores: if shards <= cores.len() { cores } else { Vec::new() },
        })
    }
}

/// Cores that this process may use: its affinity, cut to the quota of its control group.
fn allowed_cores() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let mut cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
    // The standard library knows of affinity and quotas.
    let quota = std::thread::available_parallelism().map_or(cores.len(), usize::from);
    cores.truncate(quota.max(1));
    cores
}
