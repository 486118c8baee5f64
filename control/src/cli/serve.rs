//! `serve` and `config`.

use std::path::Path;

use super::{CliError, flags::Flags};
use crate::config::{self, Loaded};

const FLAGS: [&str; 6] = ["config", "hostname", "shards", "log-file", "log-level", "pidfile"];

fn load(flags: &Flags) -> Result<Loaded, CliError> {
    // A variable that is not UTF-8 is none of ours.
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let failed = |error: config::ConfigError| CliError::Failed(format!("run: {error}"));
    let mut set: Vec<config::Flag> = Vec::new();
    for (flag, section, key) in
        [("hostname", "", "hostname"), ("log-file", "logging", "file"), ("log-level", "logging", "level")]
    {
        if let Some(given) = flags.get(flag) {
            set.push((section, key, given.into()));
        }
    }
    if let Some(shards) = flags.get("shards") {
        let number: Option<i64> =
            shards.parse().ok().filter(|n| (0..=dataplane::routing::SHARDS_MAX as i64).contains(n));
        let number = number.ok_or_else(|| {
            CliError::Usage(format!(
                "-shards wants a number from 0 to {}, not {shards:?}",
                dataplane::routing::SHARDS_MAX
            ))
        })?;
        set.push(("farad", "shards", number.into()));
    }
    config::load(flags.get("config").map(Path::new), &environment, set).map_err(failed)
}

pub fn run(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &FLAGS, &[])?;
    let loaded = load(&flags)?;
    if let Some(path) = flags.get("pidfile") {
        std::fs::write(path, std::process::id().to_string())
            .map_err(|error| CliError::Failed(format!("run: write pid file {path}: {error}")))?;
    }
    crate::serve::serve(loaded).map_err(|error| CliError::Failed(format!("run: {error}")))
}

/// Prints the effective configuration.
pub fn config(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &FLAGS, &["json"])?;
    let loaded = load(&flags)?;
    if let Some(file) = &loaded.file {
        eprintln!("Merging with configuration at: {}", file.display());
    }
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    if !flags.is_set("json") {
        super::print(&toml::to_string(&loaded.config).map_err(CliError::failed)?);
    }
    super::result(&flags, &serde_json::to_value(&loaded.config).map_err(CliError::failed)?)
}

/// Opens and reads the store in a folder: see [`crate::store::trial`].
pub fn try_store(arguments: &[String]) -> Result<(), CliError> {
    arguments.iter().try_for_each(|path| crate::store::trial::run(Path::new(path)).map_err(CliError::failed))
}
