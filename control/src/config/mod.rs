//! Configuration: defaults, then a `kapacitor.conf`, then environment, then flags.
//!
//! reference: configuration.md. Sections and keys count in any case. What is not known is named in a warning at the
//! start, never silently passed over and never fatal.

mod check;
mod duration;
mod environment;
mod file;
mod limits;
mod listeners;
mod overrides;
mod scaling;
mod sections;
pub mod services;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

pub use check::{Fault, flag};
pub use duration::parse as parse_duration;
pub use overrides::{Action, Live, Override, OverrideError};
pub use sections::*;

use crate::tick::{DeadmanTexts, Endpoint, Global, GlobalDeadman};
use proto::plan::InfluxDbTarget;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("parse config: open {path}: {error}")]
    Open { path: PathBuf, error: std::io::Error },
    /// Names the file, the line and what is wrong there.
    #[error("parse config: {0}")]
    Parse(String),
    #[error("parse config: {0}")]
    Invalid(String),
    #[error("parse config: {0}")]
    Fault(#[from] Fault),
    #[error("apply env config: {variable}: {error}")]
    Environment { variable: String, error: String },
}

/// A configuration with what was odd about it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What the configuration was read from: defaults, file, environment and flags in one.
    pub table: toml::Table,
    /// The file that was read.
    pub file: Option<PathBuf>,
    pub warnings: Vec<String>,
}

impl Http {
    /// Certificate and private key, if clients must speak TLS; without the second the key is in the first.
    pub fn tls(&self) -> Option<(PathBuf, Option<PathBuf>)> {
        let key = (!self.https_private_key.is_empty()).then(|| PathBuf::from(&self.https_private_key));
        self.https_enabled.then(|| (PathBuf::from(&self.https_certificate), key))
    }
}

/// A key of the configuration that a flag sets: section (empty for none), key, value.
pub type Flag = (&'static str, &'static str, toml::Value);

/// Reads the configuration: `file`, or the first that is there of the usual places.
pub fn load(file: Option<&Path>, environment: &[(String, String)], flags: Vec<Flag>) -> Result<Loaded, ConfigError> {
    let variable = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let home = variable("HOME").unwrap_or("/var/lib/farad").to_owned();
    let mut found = file.map(Path::to_owned).or_else(|| variable("KAPACITOR_CONFIG_PATH").map(PathBuf::from));
    if found.is_none() {
        let usual =
            [Path::new(&home).join(".kapacitor/kapacitor.conf"), PathBuf::from("/etc/kapacitor/kapacitor.conf")];
        found = usual.into_iter().find(|path| path.is_file());
    }
    let mut table = sections::defaults(&home);
    let (mut warnings, mut places) = (Vec::new(), file::Places::new());
    if let Some(path) = found.as_ref().filter(|path| *path != Path::new("/dev/null")) {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Open { path: path.clone(), error })?;
        places = file::merge(&mut table, &text, path, &mut warnings)?;
    }
    let before = table.clone();
    environment::apply(&mut table, environment, &mut warnings)?;
    for (section, key, value) in flags {
        let target = match section {
            "" => Some(&mut table),
            section => table.get_mut(section).and_then(toml::Value::as_table_mut),
        };
        if let Some(target) = target {
            target.insert(key.to_owned(), value);
        }
    }
    let config = Config::of(table.clone()).map_err(|error| environment::blame(&before, environment, error))?;
    config.check().map_err(|fault| {
        let place = |path: &PathBuf| Some((path.clone(), *places.get(fault.section)?.get(fault.element)?));
        match found.as_ref().and_then(place) {
            Some((path, line)) => ConfigError::Parse(format!("{}: line {line}: {fault}", path.display())),
            None => fault.into(),
        }
    })?;
    Ok(Loaded { config, table, file: found, warnings })
}

impl Deadman {
    /// The watch that every task gets.
    pub fn of_all(&self) -> Option<GlobalDeadman> {
        let interval = i64::try_from(self.interval.0.as_nanos()).unwrap_or(i64::MAX);
        self.global.then_some(GlobalDeadman { threshold: self.threshold, interval })
    }

    pub fn texts(&self) -> DeadmanTexts<'_> {
        DeadmanTexts { id: &self.id, message: &self.message }
    }
}

impl Config {
    /// The configuration that a table of sections holds.
    pub fn of(table: toml::Table) -> Result<Config, ConfigError> {
        // With the key.
        let one_line = |error: toml::de::Error| error.to_string().trim_end().replace('\n', " ");
        table.try_into().map_err(|error| ConfigError::Invalid(one_line(error)))
    }

    /// Where the API listens; an address without a host is every address.
    pub fn address(&self) -> Result<SocketAddr, Fault> {
        let text = &self.http.bind_address;
        let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.clone() };
        let invalid = |error: String| Fault::new("http", format!("invalid bind-address {text:?}: {error}"));
        let mut found = full.to_socket_addrs().map_err(|error| invalid(error.to_string()))?;
        found.next().ok_or_else(|| invalid("no such host".into()))
    }

    /// Services that get the events of every alert.
    pub fn global_services(&self) -> Vec<Global> {
        let global = |section: &services::Section| {
            let elements = self.elements(section.name).into_iter();
            let mut global = elements.filter(|element| flag(element, "enabled") && flag(element, "global"));
            let element = global.next()?;
            Some(Global { kind: section.name, state_changes_only: flag(element, "state-changes-only") })
        };
        services::SECTIONS.iter().filter_map(global).collect()
    }

    /// An `[[httppost]]` section.
    pub fn endpoint(&self, name: &str) -> Option<Endpoint> {
        let section = self.httppost.iter().find(|section| section.endpoint == name)?;
        let auth = &section.basic_auth;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // The check at start has found the files readable; a template that is gone since is an empty one.
        let file = |path: &str| (!path.is_empty()).then(|| std::fs::read_to_string(path).unwrap_or_default());
        Some(Endpoint {
            url: section.url.clone(),
            headers: section.headers.clone().into_iter().collect(),
            basic_auth: (!auth.username.is_empty() && !auth.password.is_empty())
                .then(|| (auth.username.clone(), auth.password.clone())),
            row_template: some(&section.row_template).or_else(|| file(&section.row_template_file)),
            alert_template: some(&section.alert_template).or_else(|| file(&section.alert_template_file)),
        })
    }

    /// An enabled InfluxDB by name; the default one by the empty name.
    pub fn influxdb_target(&self, name: &str) -> Option<InfluxDbTarget> {
        let mut enabled = self.influxdb.iter().filter(|cluster| cluster.enabled);
        let only = enabled.clone().count() == 1;
        let cluster = enabled.find(|cluster| match name {
            "" => cluster.default || only,
            name => cluster.name == name,
        })?;
        Some(InfluxDbTarget {
            urls: cluster.urls.clone(),
            username: cluster.username.clone(),
            password: cluster.password.clone(),
            token: cluster.token.clone(),
            ssl_ca: cluster.ssl_ca.clone(),
            ssl_cert: cluster.ssl_cert.clone(),
            ssl_key: cluster.ssl_key.clone(),
            insecure_skip_verify: cluster.insecure_skip_verify,
            timeout: i64::try_from(cluster.timeout.0.as_nanos()).unwrap_or(i64::MAX),
            gzip: cluster.compression == "gzip",
        })
    }

    /// The folder of the store: beside the file that the original would use.
    pub fn store_path(&self) -> PathBuf {
        Path::new(&self.storage.boltdb).with_file_name("farad.store")
    }
}

#[cfg(test)]
mod tests;
