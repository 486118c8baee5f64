//! `serve` and `config`.

use std::path::Path;

use super::{CliError, flags::Flags};
use crate::config::{self, Loaded};

const FLAGS: [&str; 5] = ["config", "hostname", "shards", "log-file", "log-level"];

fn load(arguments: &[String]) -> Result<Loaded, CliError> {
    let flags = Flags::read(arguments, &FLAGS, &[])?;
    // A variable that is not UTF-8 is none of ours.
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let failed = |error: config::ConfigError| CliError::Failed(format!("run: {error}"));
    let mut loaded = config::load(flags.get("config").map(Path::new), &environment).map_err(failed)?;
    let config = &mut loaded.config;
    for (name, value) in [
        ("hostname", &mut config.hostname),
        ("log-file", &mut config.logging.file),
        ("log-level", &mut config.logging.level),
    ] {
        if let Some(given) = flags.get(name) {
            given.clone_into(value);
        }
    }
    if let Some(shards) = flags.get("shards") {
        let number = shards.parse().ok().filter(|shards| *shards <= dataplane::routing::SHARDS_MAX);
        config.farad.shards = number.ok_or_else(|| {
            CliError::Usage(format!(
                "-shards wants a number from 0 to {}, not {shards:?}",
                dataplane::routing::SHARDS_MAX
            ))
        })?;
    }
    Ok(loaded)
}

pub fn run(arguments: &[String]) -> Result<(), CliError> {
    let loaded = load(arguments)?;
    crate::serve::serve(loaded).map_err(|error| CliError::Failed(format!("run: {error}")))
}

/// Prints the effective configuration.
pub fn config(arguments: &[String]) -> Result<(), CliError> {
    let loaded = load(arguments)?;
    if let Some(file) = &loaded.file {
        eprintln!("Merging with configuration at: {}", file.display());
    }
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    print!("{}", toml::to_string(&loaded.config).map_err(CliError::failed)?);
    Ok(())
}
