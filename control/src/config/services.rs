//! The sections whose options can be overridden while the server runs: services that alerts go to, InfluxDB clusters and
//! `[[httppost]]` endpoints (reference: configuration §4, §5).
//!
//! One declarative table says names, kinds, defaults and what is secret; files, environment, overrides and the API all
//! go by it.

use toml::{Table, Value};

/// What an option holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Flag,
    Integer,
    Duration,
    Texts,
    /// Names to texts.
    TextMap,
    /// Names to lists of texts.
    ListMap,
    /// `{username, password}`.
    Login,
}

/// One option with its default.
#[derive(Clone, Copy, Debug)]
pub struct ServiceOption {
    pub name: &'static str,
    pub kind: Kind,
    /// The API says only whether it is set.
    pub secret: bool,
    /// Newer than the API that clients know: the API shows it only where it differs from its default.
    pub newer: bool,
    default: &'static str,
}

/// One section.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    pub name: &'static str,
    /// The option that names an element, of sections that are lists.
    pub key: Option<&'static str>,
    pub options: &'static [ServiceOption],
    /// What an element without options is: the printed defaults, or zeroes.
    elements_have_defaults: bool,
    /// Whether an element is there without a file.
    pub present: bool,
    /// Of Kapacitor 1.8, or of those that are there for who needs them: the API shows it once something of it is set.
    pub newer: bool,
}

const fn option(name: &'static str, kind: Kind, default: &'static str) -> ServiceOption {
    ServiceOption { name, kind, secret: false, newer: false, default }
}

const fn text(name: &'static str) -> ServiceOption {
    option(name, Kind::Text, "")
}

const fn text_or(name: &'static str, default: &'static str) -> ServiceOption {
    option(name, Kind::Text, default)
}

const fn secret(name: &'static str) -> ServiceOption {
    ServiceOption { name, kind: Kind::Text, secret: true, newer: false, default: "" }
}

const fn newer(option: ServiceOption) -> ServiceOption {
    ServiceOption { newer: true, ..option }
}

const fn flag(name: &'static str) -> ServiceOption {
    option(name, Kind::Flag, "false")
}

const fn flag_on(name: &'static str) -> ServiceOption {
    option(name, Kind::Flag, "true")
}

const fn texts(name: &'static str) -> ServiceOption {
    option(name, Kind::Texts, "[]")
}

const fn integer(name: &'static str, default: &'static str) -> ServiceOption {
    option(name, Kind::Integer, default)
}

const fn duration(name: &'static str, default: &'static str) -> ServiceOption {
    option(name, Kind::Duration, default)
}

const fn section(name: &'static str, options: &'static [ServiceOption]) -> Section {
    Section { name, key: None, options, elements_have_defaults: true, present: true, newer: false }
}

const fn list(name: &'static str, key: &'static str, options: &'static [ServiceOption]) -> Section {
    Section { name, key: Some(key), options, elements_have_defaults: false, present: true, newer: false }
}

const fn newer_section(section: Section) -> Section {
    Section { newer: true, ..section }
}

/// A list without an element until a file has one.
const fn list_without_element(section: Section) -> Section {
    Section { newer: true, present: false, ..section }
}

/// All overridable sections, by name.
pub const SECTIONS: &[Section] = &[
    section(
        "alerta",
        &[
            flag("enabled"),
            text("url"),
            flag("insecure-skip-verify"),
            secret("token"),
            text("token-prefix"),
            text("environment"),
            text("origin"),
            duration("timeout", "0s"),
        ],
    ),
    newer_section(section(
        "bigpanda",
        &[
            flag("enabled"),
            text("app-key"),
            secret("token"),
            text_or("url", "https://api.bigpanda.io/data/v2/alerts"),
            text_or("auto-attributes", "tags,fields"),
            flag("insecure-skip-verify"),
            flag("global"),
            flag("state-changes-only"),
        ],
    )),
    newer_section(list(
        "discord",
        "workspace",
        &[
            flag("enabled"),
            flag_on("default"),
            text("workspace"),
            text("url"),
            flag("timestamp"),
            text("username"),
            text("avatar-url"),
            text("embed-title"),
            flag("global"),
            flag("state-changes-only"),
            text("ssl-ca"),
            text("ssl-cert"),
            text("ssl-key"),
            flag("insecure-skip-verify"),
        ],
    )),
    list_without_element(list(
        "ec2",
        "id",
        &[
            flag("enabled"),
            text("id"),
            text("region"),
            text("access-key"),
            secret("secret-key"),
            text("profile"),
            duration("refresh-interval", "0s"),
            integer("port", "0"),
        ],
    )),
    section(
        "hipchat",
        &[flag("enabled"), text("url"), secret("token"), text("room"), flag("global"), flag("state-changes-only")],
    ),
    list(
        "httppost",
        "endpoint",
        &[
            text_or("endpoint", "example"),
            text_or("url", "http://example.com"),
            option("headers", Kind::TextMap, "{}"),
            ServiceOption {
                name: "basic-auth",
                kind: Kind::Login,
                newer: false,
                secret: true,
                default: "{username='', password=''}",
            },
            text("alert-template"),
            text("alert-template-file"),
            text("row-template"),
            text("row-template-file"),
        ],
    ),
    Section {
        elements_have_defaults: true,
        ..list(
            "influxdb",
            "name",
            &[
                flag_on("enabled"),
                text_or("name", "default"),
                flag("default"),
                option("urls", Kind::Texts, "['http://localhost:8086']"),
                text("username"),
                secret("password"),
                newer(secret("token")),
                text("ssl-ca"),
                text("ssl-cert"),
                text("ssl-key"),
                flag("insecure-skip-verify"),
                duration("timeout", "0s"),
                newer(text_or("compression", "none")),
                flag("disable-subscriptions"),
                text_or("subscription-protocol", "http"),
                text_or("subscription-mode", "cluster"),
                option("subscriptions", Kind::ListMap, "{}"),
                option("excluded-subscriptions", Kind::ListMap, "{_kapacitor=['autogen']}"),
                text("kapacitor-hostname"),
                integer("http-port", "0"),
                text("udp-bind"),
                integer("udp-buffer", "1000"),
                integer("udp-read-buffer", "0"),
                duration("startup-timeout", "5m0s"),
                duration("subscriptions-sync-interval", "1m0s"),
            ],
        )
    },
    list(
        "kafka",
        "id",
        &[
            flag("enabled"),
            text_or("id", "default"),
            texts("brokers"),
            duration("timeout", "0s"),
            integer("batch-size", "0"),
            duration("batch-timeout", "0s"),
            flag("use-ssl"),
            text("ssl-ca"),
            text("ssl-cert"),
            text("ssl-key"),
            flag("insecure-skip-verify"),
            newer(text("sasl-username")),
            newer(secret("sasl-password")),
            newer(text("sasl-mechanism")),
        ],
    ),
    list_without_element(list(
        "kubernetes",
        "id",
        &[
            flag("enabled"),
            text("id"),
            flag("in-cluster"),
            texts("api-servers"),
            secret("token"),
            text("ca-path"),
            text("namespace"),
            text("resource"),
        ],
    )),
    list(
        "mqtt",
        "name",
        &[
            flag("enabled"),
            text_or("name", "default"),
            flag("default"),
            text("url"),
            text("ssl-ca"),
            text("ssl-cert"),
            text("ssl-key"),
            flag("insecure-skip-verify"),
            text("client-id"),
            text("username"),
            secret("password"),
        ],
    ),
    section(
        "opsgenie",
        &[
            flag("enabled"),
            secret("api-key"),
            texts("teams"),
            texts("recipients"),
            text_or("url", "https://api.opsgenie.com/v1/json/alert"),
            text_or("recovery_url", "https://api.opsgenie.com/v1/json/alert/note"),
            flag("global"),
        ],
    ),
    section(
        "opsgenie2",
        &[
            flag("enabled"),
            secret("api-key"),
            texts("teams"),
            texts("recipients"),
            text_or("url", "https://api.opsgenie.com/v2/alerts"),
            text_or("recovery_action", "notes"),
            flag("global"),
        ],
    ),
    section(
        "pagerduty",
        &[
            flag("enabled"),
            text_or("url", "https://events.pagerduty.com/generic/2010-04-15/create_event.json"),
            secret("service-key"),
            flag("global"),
        ],
    ),
    section(
        "pagerduty2",
        &[
            flag("enabled"),
            text_or("url", "https://events.pagerduty.com/v2/enqueue"),
            secret("routing-key"),
            flag("global"),
        ],
    ),
    section(
        "pushover",
        &[
            flag("enabled"),
            secret("token"),
            secret("user-key"),
            text_or("url", "https://api.pushover.net/1/messages.json"),
        ],
    ),
    section("sensu", &[flag("enabled"), text("addr"), text_or("source", "Kapacitor"), texts("handlers")]),
    newer_section(section(
        "servicenow",
        &[
            flag("enabled"),
            text_or("url", "https://instance.service-now.com/api/global/em/jsonv2"),
            text("source"),
            text("username"),
            secret("password"),
            flag("global"),
            flag("state-changes-only"),
        ],
    )),
    list(
        "slack",
        "workspace",
        &[
            flag("enabled"),
            flag_on("default"),
            text("workspace"),
            secret("url"),
            text("channel"),
            text_or("username", "kapacitor"),
            text("icon-emoji"),
            flag("global"),
            flag("state-changes-only"),
            text("ssl-ca"),
            text("ssl-cert"),
            text("ssl-key"),
            flag("insecure-skip-verify"),
        ],
    ),
    section(
        "smtp",
        &[
            flag("enabled"),
            text_or("host", "localhost"),
            integer("port", "25"),
            text("username"),
            secret("password"),
            flag("no-verify"),
            flag("global"),
            flag("state-changes-only"),
            text("from"),
            texts("to"),
            duration("idle-timeout", "30s"),
        ],
    ),
    section(
        "snmptrap",
        &[
            flag("enabled"),
            text_or("addr", "localhost:162"),
            ServiceOption { name: "community", kind: Kind::Text, secret: true, newer: false, default: "kapacitor" },
            integer("retries", "1"),
        ],
    ),
    list_without_element(list(
        "swarm",
        "id",
        &[
            flag("enabled"),
            text("id"),
            texts("servers"),
            text("ssl-ca"),
            text("ssl-cert"),
            text("ssl-key"),
            flag("insecure-skip-verify"),
        ],
    )),
    section("talk", &[flag("enabled"), secret("url"), text("author_name")]),
    newer_section(section(
        "teams",
        &[flag("enabled"), text("channel-url"), flag("global"), flag("state-changes-only")],
    )),
    section(
        "telegram",
        &[
            flag("enabled"),
            text_or("url", "https://api.telegram.org/bot"),
            secret("token"),
            text("chat-id"),
            text("parse-mode"),
            flag("disable-web-page-preview"),
            flag("disable-notification"),
            flag("global"),
            flag("state-changes-only"),
        ],
    ),
    section(
        "victorops",
        &[
            flag("enabled"),
            secret("api-key"),
            text("routing-key"),
            text_or("url", "https://alert.victorops.com/integrations/generic/20131114/alert"),
            flag("global"),
            flag("json-data"),
        ],
    ),
    newer_section(section(
        "zenoss",
        &[
            flag("enabled"),
            text_or("url", "https://tenant.zenoss.io:8080/zport/dmd/evconsole_router"),
            text("username"),
            secret("password"),
            text_or("action", "EventsRouter"),
            text_or("method", "add_event"),
            text_or("type", "rpc"),
            integer("tid", "1"),
            text_or("collector", "Kapacitor"),
            option("severity-map", Kind::TextMap, "{OK='Clear', Info='Info', Warning='Warning', Critical='Critical'}"),
            flag("global"),
            flag("state-changes-only"),
        ],
    )),
];

impl Section {
    pub fn find(name: &str) -> Option<&'static Section> {
        SECTIONS.iter().find(|section| section.name == name)
    }

    pub fn option(&self, name: &str) -> Option<&'static ServiceOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The printed defaults.
    pub fn defaults(&self) -> Table {
        self.options.iter().map(|option| (option.name.to_owned(), option.value())).collect()
    }

    /// What a written element is laid over.
    pub fn element(&self) -> Table {
        if self.key.is_none() || self.elements_have_defaults {
            return self.defaults();
        }
        self.options.iter().map(|option| (option.name.to_owned(), option.kind.zero())).collect()
    }

    /// Whether the API lists it: newer sections once something of them is set.
    pub fn is_listed(&self, table: &Table) -> bool {
        !self.newer || table.get(self.name).is_some_and(|section| *section != self.absent())
    }

    /// The section as it is without a file.
    pub fn absent(&self) -> Value {
        match self.key {
            None => Value::Table(self.defaults()),
            Some(_) if self.present => Value::Array(vec![Value::Table(self.defaults())]),
            Some(_) => Value::Array(Vec::new()),
        }
    }
}

impl ServiceOption {
    /// The printed default.
    pub fn value(&self) -> Value {
        match self.kind {
            Kind::Text | Kind::Duration => Value::String(self.default.to_owned()),
            kind => self.default.parse().unwrap_or_else(|_| kind.zero()),
        }
    }
}

impl Kind {
    pub fn zero(self) -> Value {
        match self {
            Kind::Text => Value::String(String::new()),
            Kind::Flag => Value::Boolean(false),
            Kind::Integer => Value::Integer(0),
            Kind::Duration => Value::String("0s".to_owned()),
            Kind::Texts => Value::Array(Vec::new()),
            Kind::TextMap | Kind::ListMap | Kind::Login => Value::Table(Table::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_of_its_kind() {
        for section in SECTIONS {
            for option in section.options {
                let value = option.value();
                assert!(value.same_type(&option.kind.zero()), "{}.{}: {value}", section.name, option.name);
                let written = match &value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                assert!(!written.is_empty() || option.default.is_empty(), "{}.{}", section.name, option.name);
            }
            assert!(section.key.is_none_or(|key| section.option(key).is_some()), "{}", section.name);
        }
        let names: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
        assert!(names.is_sorted());
    }
}
