//! The sections that are read, with their defaults (reference: configuration §3, §4).

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration, written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(i64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) => super::duration::parse(&text).map(Span).map_err(de::Error::custom),
            Written::Number(0) => Ok(Span::default()),
            Written::Number(n) => Err(de::Error::custom(format!("time: missing unit in duration \"{n}\""))),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::tick::dot::duration(self.0.as_nanos() as u64))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    pub hostname: String,
    #[serde(rename = "data_dir")]
    pub data_dir: String,
    pub skip_config_overrides: bool,
    pub default_retention_policy: String,
    pub http: Http,
    pub auth: Auth,
    pub replay: Replay,
    pub storage: Storage,
    pub task: Task,
    pub load: Load,
    pub logging: Logging,
    pub config_override: Enabled,
    pub stats: Stats,
    pub deadman: Deadman,
    pub alert: Alert,
    pub influxdb: Vec<Influxdb>,
    pub httppost: Vec<HttpPost>,
    #[serde(default)]
    pub udf: Udf,
    pub udp: Vec<Udp>,
    pub farad: Farad,
    /// Sections of services: see [`super::services`].
    #[serde(flatten)]
    pub services: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Http {
    pub bind_address: String,
    pub auth_enabled: bool,
    pub log_enabled: bool,
    pub write_tracing: bool,
    pub pprof_enabled: bool,
    pub https_enabled: bool,
    pub https_certificate: String,
    pub https_private_key: String,
    pub shutdown_timeout: Span,
    pub shared_secret: String,
}

/// Users count whenever `[http] auth-enabled` is set; `enabled` is accepted as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Auth {
    pub enabled: bool,
    pub cache_expiration: Span,
    pub bcrypt_cost: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Replay {
    pub dir: String,
    /// Largest file of a recording, in bytes.
    pub recording_max_size: u64,
    /// How long a recording may take by the wall clock; 0: as long as it likes.
    pub recording_max_duration: Span,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Storage {
    pub boltdb: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Task {
    pub dir: String,
    pub snapshot_interval: Span,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub enabled: bool,
    pub dir: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Logging {
    pub file: String,
    pub level: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enabled {
    pub enabled: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    pub enabled: bool,
    pub stats_interval: Span,
    pub database: String,
    pub retention_policy: String,
    pub timing_sample_rate: f64,
    pub timing_movavg_size: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deadman {
    pub interval: Span,
    pub threshold: f64,
    pub id: String,
    pub message: String,
    pub global: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alert {
    /// States of topics outlive the server.
    pub persist_topics: bool,
    /// Events that wait for one handler.
    pub topic_buffer_length: i64,
}

impl Alert {
    /// Events that wait for one handler: less than a thousand are the default, and a million are enough.
    pub fn buffer_length(&self) -> usize {
        match self.topic_buffer_length {
            ..1_000 => 5_000,
            length => length.min(1_000_000) as usize,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Influxdb {
    pub enabled: bool,
    pub name: String,
    pub default: bool,
    pub urls: Vec<String>,
    pub username: String,
    pub password: String,
    /// Of an InfluxDB 2 or 3: sent instead of user and password.
    pub token: String,
    pub ssl_ca: String,
    pub ssl_cert: String,
    pub ssl_key: String,
    pub insecure_skip_verify: bool,
    pub timeout: Span,
    /// `none` or `gzip`, of writes.
    pub compression: String,
    pub disable_subscriptions: bool,
    pub subscription_protocol: String,
    pub subscription_mode: String,
    pub subscriptions: BTreeMap<String, Vec<String>>,
    pub excluded_subscriptions: BTreeMap<String, Vec<String>>,
    pub kapacitor_hostname: String,
    pub http_port: u16,
    pub udp_bind: String,
    pub udp_buffer: i64,
    pub udp_read_buffer: i64,
    pub startup_timeout: Span,
    pub subscriptions_sync_interval: Span,
}

impl Default for Influxdb {
    fn default() -> Self {
        Influxdb {
            enabled: true,
            name: "default".into(),
            default: false,
            urls: vec!["http://localhost:8086".into()],
            username: String::new(),
            password: String::new(),
            token: String::new(),
            ssl_ca: String::new(),
            ssl_cert: String::new(),
            ssl_key: String::new(),
            insecure_skip_verify: false,
            timeout: Span::default(),
            compression: "none".into(),
            disable_subscriptions: false,
            subscription_protocol: "http".into(),
            subscription_mode: "cluster".into(),
            subscriptions: BTreeMap::new(),
            excluded_subscriptions: BTreeMap::from([("_kapacitor".to_owned(), vec!["autogen".to_owned()])]),
            kapacitor_hostname: String::new(),
            http_port: 0,
            udp_bind: String::new(),
            udp_buffer: 1_000,
            udp_read_buffer: 0,
            startup_timeout: Span(Duration::from_secs(300)),
            subscriptions_sync_interval: Span(Duration::from_secs(60)),
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct HttpPost {
    pub endpoint: String,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub basic_auth: BasicAuth,
    pub alert_template: String,
    pub alert_template_file: String,
    pub row_template: String,
    pub row_template_file: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    pub username: String,
    pub password: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Udp {
    pub enabled: bool,
    pub bind_address: String,
    pub read_buffer: i64,
    pub buffer: i64,
    pub database: String,
    pub retention_policy: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Udf {
    pub functions: BTreeMap<String, UdfFunction>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UdfFunction {
    pub prog: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub socket: String,
    pub timeout: Span,
}

/// A listener for streams of lines without HTTP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Lines {
    /// `HOST:PORT`, or the path of a unix socket behind `unix:`.
    pub bind_address: String,
    pub database: String,
    pub retention_policy: String,
}

/// What only Farad has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Farad {
    /// 0: as many as cores.
    pub shards: usize,
    /// Streams of lines without HTTP.
    pub lines: Vec<Lines>,
    /// How shards receive: `auto` (io_uring where the kernel grants it), `io_uring` or `epoll`.
    pub receive: String,
    /// Empty: the program beside this one.
    pub dataplane: String,
    /// `logfmt` or `json`.
    pub log_format: String,
    /// Most groups of one task, and most bytes of their state; 0: no limit.
    pub task_groups_max: u64,
    pub task_bytes_max: u64,
    /// Limits of the data plane (see [`proto::limits::SETTABLE`]).
    #[serde(flatten)]
    pub limits: BTreeMap<String, u64>,
}

/// The defaults, as the table that a file is laid over.
pub fn defaults(home: &str) -> toml::Table {
    let folder = format!("{home}/.kapacitor");
    let text = |path: &str| toml::Value::String(format!("{folder}/{path}"));
    let mut table: toml::Table = toml::from_str(DEFAULTS).unwrap_or_default();
    table.insert("data_dir".into(), toml::Value::String(folder.clone()));
    for (section, key, path) in [
        ("replay", "dir", "replay"),
        ("storage", "boltdb", "kapacitor.db"),
        ("task", "dir", "tasks"),
        ("load", "dir", "load"),
    ] {
        if let Some(toml::Value::Table(section)) = table.get_mut(section) {
            section.insert(key.into(), text(path));
        }
    }
    if let Some(toml::Value::Table(farad)) = table.get_mut("farad") {
        for limit in &proto::limits::SETTABLE {
            // The defaults are far below 2⁶³.
            farad.insert(limit.key.to_owned(), toml::Value::Integer(limit.default.cast_signed()));
        }
    }
    for section in super::services::SECTIONS {
        table.insert(section.name.to_owned(), section.absent());
    }
    table
}

const DEFAULTS: &str = r#"
hostname = "localhost"
data_dir = ""
skip-config-overrides = false
default-retention-policy = ""
udp = []

[http]
bind-address = ":9092"
auth-enabled = false
log-enabled = true
write-tracing = false
pprof-enabled = false
https-enabled = false
https-certificate = "/etc/ssl/kapacitor.pem"
https-private-key = ""
shutdown-timeout = "10s"
shared-secret = ""

[auth]
enabled = false
cache-expiration = "10m0s"
bcrypt-cost = 10

[replay]
dir = ""
recording-max-size = 274877906944
recording-max-duration = "0s"

[storage]
boltdb = ""

[task]
dir = ""
snapshot-interval = "1m0s"

[udf.functions]

[load]
enabled = false
dir = ""

[logging]
file = "STDERR"
level = "INFO"

[config-override]
enabled = true

[stats]
enabled = true
stats-interval = "10s"
database = "_kapacitor"
retention-policy = "autogen"
timing-sample-rate = 0.1
timing-movavg-size = 1000

[deadman]
interval = "10s"
threshold = 0.0
id = "{{ .Group }}:NODE_NAME for task '{{ .TaskName }}'"
message = "{{ .ID }} is {{ if eq .Level \"OK\" }}alive{{ else }}dead{{ end }}: {{ index .Fields \"emitted\" | printf \"%0.3f\" }} points/INTERVAL."
global = false

[alert]
persist-topics = true
topic-buffer-length = 5000

[farad]
shards = 0
receive = "auto"
lines = []
dataplane = ""
log-format = "logfmt"
task-groups-max = 16000000
task-bytes-max = 0
"#;
