//! Alert handlers: what scripts and topics name, and how the API spells it.

use dataplane::template::{Kind, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{aggregate::AggregateMessage, matching::Match, service};
use crate::tick::Endpoint;

/// One handler (reference: nodes-alert-join-io §4.3, §5.4). Durations are nanoseconds, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandlerSpec {
    Post(Post),
    Tcp {
        address: String,
    },
    Exec {
        program: String,
        arguments: Vec<String>,
    },
    Log {
        path: String,
        mode: u32,
    },
    Publish {
        topics: Vec<String>,
    },
    Aggregate {
        id: String,
        interval: i64,
        topic: String,
        message: String,
    },
    /// A service of the configuration; its options as JSON.
    Service {
        kind: String,
        options: String,
    },
}

/// Where and how events are posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Post {
    /// A template over the event where it has `{{`.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub basic_auth: Option<(String, String)>,
    /// Makes the body in place of the event's JSON.
    pub template: Option<String>,
    pub capture_response: bool,
    pub timeout: i64,
    pub skip_ssl_verification: bool,
}

impl Post {
    /// To an endpoint; the error says which of its templates does not parse.
    pub fn new(endpoint: Endpoint) -> Result<Post, String> {
        let Endpoint { url, headers, basic_auth, alert_template, .. } = endpoint;
        let post = Post { url, headers, basic_auth, template: alert_template, ..Post::default() };
        post.templates()?;
        Ok(post)
    }

    /// The templates of body and URL.
    pub fn templates(&self) -> Result<[Option<Template>; 2], String> {
        let parse = |source: &str| Template::new(Kind::Event, source).map_err(|error| error.to_string());
        let body = self.template.as_deref().map(parse).transpose()?;
        let url = self.url.contains("{{").then(|| parse(&self.url)).transpose()?;
        Ok([body, url])
    }
}

/// A handler of a topic as the API shows and the store keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicHandler {
    pub topic: String,
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub options: Value,
    #[serde(default, rename = "match")]
    pub condition: String,
}

/// What is wrong with a handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The request makes no handler at all.
    #[error("invalid handler spec: {0}")]
    Malformed(String),
    /// The handler cannot work.
    #[error("{0}")]
    Unusable(String),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct PostOptions {
    url: String,
    endpoint: String,
    headers: std::collections::BTreeMap<String, String>,
    capture_response: bool,
    timeout: i64,
    skip_ssl_verification: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct TcpOptions {
    address: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ExecOptions {
    prog: String,
    args: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LogOptions {
    path: String,
    mode: i64,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { path: String::new(), mode: 0o600 }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PublishOptions {
    topics: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AggregateOptions {
    id: String,
    interval: i64,
    topic: String,
    message: String,
}

impl Default for AggregateOptions {
    fn default() -> Self {
        AggregateOptions {
            id: String::new(),
            interval: 0,
            topic: String::new(),
            message: "Received {{ .Count }} events in the last {{.Interval}}.".to_owned(),
        }
    }
}

impl HandlerSpec {
    /// A `log` handler, if path and mode can be used.
    pub fn log(path: &str, mode: i64) -> Result<HandlerSpec, String> {
        if !path.starts_with('/') {
            return Err(format!("log path must be absolute: {path} is not absolute"));
        }
        if mode & 0o200 == 0 || !(0..=0o7777).contains(&mode) {
            return Err(format!("invalid file mode {mode:o}: the owner must be able to write"));
        }
        Ok(HandlerSpec::Log { path: path.to_owned(), mode: mode as u32 })
    }
}

impl TopicHandler {
    /// Checks what a request must have; ids are part of paths.
    pub fn check(&self) -> Result<(), SpecError> {
        let word = |text: &str, more: &str| {
            let allowed = |c: char| c.is_alphabetic() || c.is_ascii_digit() || "-._".contains(c) || more.contains(c);
            !text.is_empty() && text.len() <= 200 && text.chars().all(allowed)
        };
        if !word(&self.topic, ":") {
            let message = "topic ID must contain only letters, numbers, '-', '.', ':' and '_'.";
            return Err(SpecError::Malformed(format!("{message} {:?}", self.topic)));
        }
        if !word(&self.id, "") {
            let message = "handler ID must contain only letters, numbers, '-', '.' and '_'.";
            return Err(SpecError::Malformed(format!("{message} {:?}", self.id)));
        }
        if self.kind.is_empty() {
            return Err(SpecError::Malformed("handler Kind must not be empty".to_owned()));
        }
        Ok(())
    }

    /// The handler ready to run. `endpoint` finds `[[httppost]]` sections.
    pub fn build(
        &self,
        endpoint: &dyn Fn(&str) -> Option<Endpoint>,
    ) -> Result<(HandlerSpec, Option<Match>), SpecError> {
        let condition = match self.condition.as_str() {
            "" => None,
            text => Some(Match::new(text).map_err(SpecError::Unusable)?),
        };
        Ok((self.spec(endpoint).map_err(SpecError::Unusable)?, condition))
    }

    fn spec(&self, endpoint: &dyn Fn(&str) -> Option<Endpoint>) -> Result<HandlerSpec, String> {
        Ok(match self.kind.as_str() {
            "post" => {
                let options: PostOptions = self.options()?;
                let endpoint = match options.endpoint.as_str() {
                    "" => Endpoint { url: options.url, ..Endpoint::default() },
                    name => endpoint(name).ok_or_else(|| format!("endpoint '{name}' does not exist"))?,
                };
                if endpoint.url.is_empty() {
                    return Err("must specify url or endpoint".to_owned());
                }
                HandlerSpec::Post(Post {
                    capture_response: options.capture_response,
                    timeout: options.timeout,
                    skip_ssl_verification: options.skip_ssl_verification,
                    ..Post::new(endpoint.with_headers(options.headers))?
                })
            }
            "tcp" => HandlerSpec::Tcp { address: self.options::<TcpOptions>()?.address },
            "exec" => {
                let options: ExecOptions = self.options()?;
                HandlerSpec::Exec { program: options.prog, arguments: options.args }
            }
            "log" => {
                let options: LogOptions = self.options()?;
                HandlerSpec::log(&options.path, options.mode)?
            }
            "publish" => HandlerSpec::Publish { topics: self.options::<PublishOptions>()?.topics },
            "aggregate" => {
                let options: AggregateOptions = self.options()?;
                if options.interval <= 0 {
                    return Err("aggregate interval must be positive".to_owned());
                }
                AggregateMessage::new(&options.message)?;
                HandlerSpec::Aggregate {
                    id: options.id,
                    interval: options.interval,
                    topic: options.topic,
                    message: options.message,
                }
            }
            kind if service::name(kind).is_some() => {
                service::check(kind, self.options.clone())
                    .map_err(|error| format!("failed to decode options of kind {kind:?}: {error}"))?;
                HandlerSpec::Service { kind: kind.to_owned(), options: self.options.to_string() }
            }
            kind => return Err(format!("unsupported action kind {kind:?}")),
        })
    }

    fn options<T: for<'a> Deserialize<'a> + Default>(&self) -> Result<T, String> {
        if self.options.is_null() {
            return Ok(T::default());
        }
        let failed = |error: serde_json::Error| format!("failed to decode options of kind {:?}: {error}", self.kind);
        serde_json::from_value(self.options.clone()).map_err(failed)
    }
}
