//! What no default can mend (reference: configuration §3–§5).

use dataplane::{
    reactor::Choice,
    template::{Kind, Template},
};
use toml::Table;

use super::{Config, HttpPost, Influxdb};
use crate::kafka::sasl::Mechanism;

type Checked = Result<(), String>;

/// What is wrong with a section, or with an element of one that is a list.
#[derive(Debug, thiserror::Error)]
#[error("{section}: {message}")]
pub struct Fault {
    pub section: &'static str,
    pub element: usize,
    pub message: String,
}

impl Fault {
    pub fn new(section: &'static str, message: impl Into<String>) -> Fault {
        Fault { section, element: 0, message: message.into() }
    }
}

impl Config {
    /// Checks everything that would otherwise fail later, or run open where the operator asked for a lock.
    pub fn check(&self) -> Result<(), Fault> {
        self.address()?;
        self.limits()?;
        self.server()?;
        self.clusters()?;
        self.services()
    }

    fn server(&self) -> Result<(), Fault> {
        let fault = |section, message: &str| Err(Fault::new(section, message));
        if self.hostname.is_empty() {
            return fault("hostname", "must configure valid hostname");
        }
        if self.replay.dir.is_empty() {
            return fault("replay", "must specify dir");
        }
        if self.replay.recording_max_size == 0 {
            return fault("replay", "recording-max-size must be at least 1");
        }
        if self.load.enabled && !self.load.dir.starts_with('/') {
            return fault("load", "dir must be an absolute path");
        }
        if self.deadman.global && self.deadman.interval.0.is_zero() {
            return fault("deadman", "interval must be greater than zero");
        }
        if let Err(error) = self.farad.receive.parse::<Choice>() {
            return fault("farad", &error.to_string());
        }
        if !matches!(&*self.farad.log_format, "logfmt" | "json") {
            let message = format!("log-format must be 'logfmt' or 'json', got {:?}", self.farad.log_format);
            return fault("farad", &message);
        }
        if !(4..=31).contains(&self.auth.bcrypt_cost) {
            return fault("auth", &format!("bcrypt-cost must be from 4 to 31, got {}", self.auth.bcrypt_cost));
        }
        Ok(())
    }

    fn clusters(&self) -> Result<(), Fault> {
        let fault = |message: String| Fault::new("influxdb", message);
        let enabled: Vec<_> = self.influxdb.iter().filter(|cluster| cluster.enabled).collect();
        let defaults: Vec<_> = enabled.iter().filter(|cluster| cluster.default).map(|cluster| &*cluster.name).collect();
        if enabled.len() > 1 && defaults.is_empty() {
            return Err(fault("at least one of the enabled InfluxDB clusters must be marked as default.".into()));
        }
        if defaults.len() > 1 {
            return Err(fault(format!("More than one InfluxDB default was specified: {}", defaults.join(" "))));
        }
        for (element, one) in self.influxdb.iter().enumerate() {
            let known = self.influxdb.iter().take(element).any(|other| other.name == one.name);
            let twice = || format!("duplicate name {:?} for influxdb configs", one.name);
            let checked = if known { Err(twice()) } else { cluster(one) };
            checked.map_err(|message| Fault { element, ..fault(message) })?;
        }
        Ok(())
    }

    fn services(&self) -> Result<(), Fault> {
        for (element, endpoint) in self.httppost.iter().enumerate() {
            http_post(endpoint).map_err(|message| Fault { element, ..Fault::new("httppost", message) })?;
        }
        for name in ["discord", "kafka", "mqtt", "slack"] {
            one_default(name, &self.elements(name)).map_err(|message| Fault::new(name, message))?;
        }
        let ids = super::scaling::check_ids(&self.elements("kubernetes"));
        ids.map_err(|message| Fault::new("kubernetes", message))?;
        for section in
            super::services::SECTIONS.iter().filter(|section| !matches!(section.name, "influxdb" | "httppost"))
        {
            for (element, options) in self.elements(section.name).into_iter().enumerate() {
                let checked = service(section.name, options);
                checked.map_err(|message| Fault { element, ..Fault::new(section.name, message) })?;
            }
        }
        Ok(())
    }

    /// The elements of a service's section; a section that is no list is one.
    pub fn elements(&self, section: &str) -> Vec<&Table> {
        match self.services.get(section) {
            Some(toml::Value::Table(table)) => vec![table],
            Some(toml::Value::Array(elements)) => elements.iter().filter_map(toml::Value::as_table).collect(),
            _ => Vec::new(),
        }
    }
}

fn cluster(cluster: &Influxdb) -> Checked {
    let name = &cluster.name;
    if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return Err(format!("name {name:?} must contain only letters, digits, '.', '-' and '_'"));
    }
    if cluster.enabled && cluster.urls.is_empty() {
        return Err("must specify at least one InfluxDB URL".into());
    }
    cluster.urls.iter().try_for_each(|url| is_url(url))?;
    let one_of = |what: &str, value: &str, known: &[&str], names: &str| match known.contains(&value) {
        true => Ok(()),
        false => Err(format!("invalid {what}, must be {names}, got {value:?}")),
    };
    let protocols = "one of 'udp', 'http' or 'https'";
    one_of("subscription protocol", &cluster.subscription_protocol, &["udp", "http", "https"], protocols)?;
    one_of("subscription mode", &cluster.subscription_mode, &["cluster", "server"], "'cluster' or 'server'")?;
    one_of("compression", &cluster.compression, &["none", "gzip"], "'none' or 'gzip'")
}

fn http_post(endpoint: &HttpPost) -> Checked {
    if endpoint.endpoint.is_empty() {
        return Err("must specify endpoint".into());
    }
    is_url(&endpoint.url)?;
    for (kind, one, other, file) in [
        (Kind::Event, "alert-template", &endpoint.alert_template, &endpoint.alert_template_file),
        (Kind::Row, "row-template", &endpoint.row_template, &endpoint.row_template_file),
    ] {
        if !other.is_empty() && !file.is_empty() {
            return Err(format!("cannot specify both {one} and {one}-file"));
        }
        if !file.is_empty() && !file.starts_with('/') {
            return Err(format!("{one}-file must be an absolute path, got {file:?}"));
        }
        let text = match file.as_str() {
            "" => other.clone(),
            file => std::fs::read_to_string(file).map_err(|error| format!("{one}-file: {file}: {error}"))?,
        };
        let parsed = Template::new(kind, &text);
        parsed.map_err(|error| format!("failed to parse {one} of {:?}: {error}", endpoint.endpoint))?;
    }
    Ok(())
}

pub(super) fn text<'a>(table: &'a Table, name: &str) -> &'a str {
    table.get(name).and_then(toml::Value::as_str).unwrap_or_default()
}

pub fn flag(table: &Table, name: &str) -> bool {
    table.get(name).and_then(toml::Value::as_bool).unwrap_or_default()
}

fn integer(table: &Table, name: &str) -> i64 {
    table.get(name).and_then(toml::Value::as_integer).unwrap_or_default()
}

pub(super) fn is_url(text: &str) -> Checked {
    match reqwest::Url::parse(text) {
        Ok(url) if url.has_host() => Ok(()),
        Ok(_) => Err(format!("invalid URL {text:?}: no host")),
        Err(error) => Err(format!("invalid URL {text:?}: {error}")),
    }
}

/// Of several enabled elements exactly one is the default.
fn one_default(section: &str, elements: &[&Table]) -> Checked {
    let enabled: Vec<_> = elements.iter().filter(|element| flag(element, "enabled")).collect();
    let defaults = enabled.iter().filter(|element| flag(element, "default")).count();
    match section {
        "slack" if enabled.len() > 1 => {
            if enabled.iter().any(|element| text(element, "workspace").is_empty()) {
                return Err("workspace must not be empty when several are enabled".into());
            }
            match defaults {
                0 => Err("at least one Slack config must be set as default".into()),
                1 => Ok(()),
                _ => Err("only one config may be set as default".into()),
            }
        }
        "mqtt" if enabled.len() > 1 && defaults == 0 => Err("no configuration is marked as the default".into()),
        "mqtt" if defaults > 1 => Err("more than one configuration is marked as the default".into()),
        _ => Ok(()),
    }
}

/// What one service needs; most of it only when it is enabled.
fn service(name: &str, table: &Table) -> Checked {
    let needs = |option: &str, message: &str| match text(table, option) {
        "" => Err(message.to_owned()),
        _ => Ok(()),
    };
    let url = |option: &str| is_url(text(table, option));
    if name == "smtp" {
        smtp(table)?;
    }
    if name == "ec2" {
        super::scaling::check_ec2(table)?;
    }
    if !flag(table, "enabled") {
        return Ok(());
    }
    match name {
        "alerta" | "hipchat" | "talk" | "slack" => needs("url", "must specify url").and_then(|()| url("url")),
        "kafka" => match table.get("brokers").and_then(toml::Value::as_array) {
            _ if text(table, "id").is_empty() => Err("id must not be empty".into()),
            Some(brokers) if !brokers.is_empty() => Mechanism::find(text(table, "sasl-mechanism")).map(drop),
            _ => Err("no brokers specified, must provide at least one broker URL".into()),
        },
        "kubernetes" => super::scaling::check_kubernetes(table),
        "mqtt" => needs("url", "must specify a url for mqtt service"),
        "opsgenie" => needs("api-key", "api-key cannot be empty").and_then(|()| url("url")),
        "opsgenie2" => {
            needs("api-key", "api-key cannot be empty")?;
            match text(table, "recovery_action") {
                "notes" | "close" => url("url"),
                other => Err(format!("recovery_action must be 'notes' or 'close', got {other:?}")),
            }
        }
        "discord" => needs("url", "must specify url").and_then(|()| url("url")),
        "teams" => needs("channel-url", "must specify channel-url").and_then(|()| url("channel-url")),
        "bigpanda" | "pagerduty" | "pagerduty2" | "servicenow" | "victorops" | "zenoss" => url("url"),
        "pushover" => {
            needs("token", "must specify token")?;
            needs("user-key", "must specify user-key")?;
            url("url")
        }
        "sensu" => needs("addr", "must specify client address"),
        "smtp" => {
            needs("host", "host cannot be empty")?;
            needs("from", "must provide a 'from' address")
        }
        "snmptrap" => needs("addr", "must specify addr"),
        "swarm" => super::scaling::check_swarm(table),
        "telegram" => needs("token", "must specify token").and_then(|()| url("url")),
        _ => Ok(()),
    }
}

/// What mail wants even while it is off.
fn smtp(table: &Table) -> Checked {
    if !(0..=65_535).contains(&integer(table, "port")) {
        return Err(format!("invalid port {}", integer(table, "port")));
    }
    let from = Some(text(table, "from")).filter(|from| !from.is_empty()).map(|address| ("from", address));
    let to = table.get("to").and_then(toml::Value::as_array).into_iter().flatten();
    let to = to.filter_map(toml::Value::as_str).map(|address| ("to", address));
    for (role, address) in from.into_iter().chain(to) {
        let parts = address.rsplit_once('@');
        if !parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains(' ')) {
            return Err(format!("invalid {role} email address: {address:?}"));
        }
    }
    Ok(())
}
