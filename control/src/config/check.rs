//! What no default can mend (reference: configuration §3–§5).

use dataplane::{
    reactor::Choice,
    template::{Kind, Template},
};
use toml::Table;

use super::{Config, ConfigError};

type Checked = Result<(), String>;

impl Config {
    /// Checks everything that would otherwise fail later, or run open where the operator asked for a lock.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.address()?;
        self.server().and_then(|()| self.clusters()).and_then(|()| self.services()).map_err(ConfigError::Invalid)
    }

    fn server(&self) -> Checked {
        if self.hostname.is_empty() {
            return Err("must configure valid hostname".into());
        }
        if self.replay.dir.is_empty() {
            return Err("replay: must specify dir".into());
        }
        if self.replay.recording_max_size == 0 {
            return Err("replay: recording-max-size must be at least 1".into());
        }
        if self.load.enabled && !self.load.dir.starts_with('/') {
            return Err("load: dir must be an absolute path".into());
        }
        if self.deadman.global && self.deadman.interval.0.is_zero() {
            return Err("deadman: interval must be greater than zero".into());
        }
        if let Err(error) = self.farad.receive.parse::<Choice>() {
            return Err(format!("farad: {error}"));
        }
        if !matches!(&*self.farad.log_format, "logfmt" | "json") {
            return Err(format!("farad: log-format must be 'logfmt' or 'json', got {:?}", self.farad.log_format));
        }
        if !(4..=31).contains(&self.auth.bcrypt_cost) {
            return Err(format!("auth: bcrypt-cost must be from 4 to 31, got {}", self.auth.bcrypt_cost));
        }
        Ok(())
    }

    fn clusters(&self) -> Checked {
        let enabled: Vec<_> = self.influxdb.iter().filter(|cluster| cluster.enabled).collect();
        let defaults: Vec<_> = enabled.iter().filter(|cluster| cluster.default).map(|cluster| &*cluster.name).collect();
        if enabled.len() > 1 && defaults.is_empty() {
            return Err("at least one of the enabled InfluxDB clusters must be marked as default.".into());
        }
        if defaults.len() > 1 {
            return Err(format!("More than one InfluxDB default was specified: {}", defaults.join(" ")));
        }
        for (index, cluster) in self.influxdb.iter().enumerate() {
            let name = &cluster.name;
            if self.influxdb[..index].iter().any(|other| other.name == *name) {
                return Err(format!("duplicate name {name:?} for influxdb configs"));
            }
            if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')) {
                return Err(format!("influxdb: name {name:?} must contain only letters, digits, '.', '-' and '_'"));
            }
            if cluster.enabled && cluster.urls.is_empty() {
                return Err("must specify at least one InfluxDB URL".into());
            }
            for url in &cluster.urls {
                is_url(url)?;
            }
            if !matches!(&*cluster.subscription_protocol, "udp" | "http" | "https") {
                return Err(format!(
                    "invalid subscription protocol, must be one of 'udp', 'http' or 'https', got {:?}",
                    cluster.subscription_protocol
                ));
            }
            if !matches!(&*cluster.subscription_mode, "cluster" | "server") {
                return Err(format!(
                    "invalid subscription mode, must be 'cluster' or 'server', got {:?}",
                    cluster.subscription_mode
                ));
            }
            if !matches!(&*cluster.compression, "none" | "gzip") {
                return Err(format!("invalid compression, must be 'none' or 'gzip', got {:?}", cluster.compression));
            }
        }
        Ok(())
    }

    fn services(&self) -> Checked {
        for endpoint in &self.httppost {
            if endpoint.endpoint.is_empty() {
                return Err("httppost: must specify endpoint".into());
            }
            is_url(&endpoint.url)?;
            for (kind, one, other, file) in [
                (Kind::Event, "alert-template", &endpoint.alert_template, &endpoint.alert_template_file),
                (Kind::Row, "row-template", &endpoint.row_template, &endpoint.row_template_file),
            ] {
                if !other.is_empty() && !file.is_empty() {
                    return Err(format!("httppost: cannot specify both {one} and {one}-file"));
                }
                if !file.is_empty() && !file.starts_with('/') {
                    return Err(format!("httppost: {one}-file must be an absolute path, got {file:?}"));
                }
                let text = match file.as_str() {
                    "" => other.clone(),
                    file => std::fs::read_to_string(file)
                        .map_err(|error| format!("httppost: {one}-file: {file}: {error}"))?,
                };
                let parsed = Template::new(kind, &text);
                parsed
                    .map_err(|error| format!("httppost: failed to parse {one} of {:?}: {error}", endpoint.endpoint))?;
            }
        }
        for name in ["discord", "kafka", "mqtt", "slack"] {
            one_default(name, &self.elements(name))?;
        }
        for section in
            super::services::SECTIONS.iter().filter(|section| !matches!(section.name, "influxdb" | "httppost"))
        {
            for element in self.elements(section.name) {
                service(section.name, element).map_err(|message| format!("{}: {message}", section.name))?;
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

fn text<'a>(table: &'a Table, name: &str) -> &'a str {
    table.get(name).and_then(toml::Value::as_str).unwrap_or_default()
}

pub fn flag(table: &Table, name: &str) -> bool {
    table.get(name).and_then(toml::Value::as_bool).unwrap_or_default()
}

fn integer(table: &Table, name: &str) -> i64 {
    table.get(name).and_then(toml::Value::as_integer).unwrap_or_default()
}

fn is_url(text: &str) -> Checked {
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
                return Err("slack: workspace must not be empty when several are enabled".into());
            }
            match defaults {
                0 => Err("at least one Slack config must be set as default".into()),
                1 => Ok(()),
                _ => Err("slack: only one config may be set as default".into()),
            }
        }
        "mqtt" if enabled.len() > 1 && defaults == 0 => Err("no configuration is marked as the default".into()),
        "mqtt" if defaults > 1 => Err("mqtt: more than one configuration is marked as the default".into()),
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
    if name == "smtp" && !(0..=65_535).contains(&integer(table, "port")) {
        return Err(format!("invalid port {}", integer(table, "port")));
    }
    if !flag(table, "enabled") {
        return Ok(());
    }
    match name {
        "alerta" | "hipchat" | "talk" | "slack" => needs("url", "must specify url").and_then(|()| url("url")),
        "kafka" => match table.get("brokers").and_then(toml::Value::as_array) {
            Some(brokers) if !brokers.is_empty() => Ok(()),
            _ => Err("no brokers specified, must provide at least one broker URL".into()),
        },
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
            needs("from", "must provide a 'from' address")?;
            let to = table.get("to").and_then(toml::Value::as_array).into_iter().flatten();
            let to = to.filter_map(toml::Value::as_str).map(|address| ("to", address));
            for (role, address) in std::iter::once(("from", text(table, "from"))).chain(to) {
                let parts = address.rsplit_once('@');
                if !parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains(' ')) {
                    return Err(format!("invalid {role} email address: {address:?}"));
                }
            }
            Ok(())
        }
        "snmptrap" => needs("addr", "must specify addr"),
        "telegram" => needs("token", "must specify token").and_then(|()| url("url")),
        _ => Ok(()),
    }
}
