//! Requests to a server (reference: cli §1, §2).

use std::time::Duration;

use dataplane::value::parse_bool;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::CliError;

/// Elements of one list request.
const PAGE: usize = 100;

/// How often a running recording or replay is looked at.
const POLL: Duration = Duration::from_millis(500);

/// Bytes of an id that may stand in a path as they are.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes of a value that may stand in a query as they are.
const QUERY: &AsciiSet = PLAIN;

/// Where the server is; from flags and environment.
#[derive(Debug)]
pub struct Server {
    url: String,
    skip_verify: bool,
}

pub struct Client {
    /// Scheme, host and port.
    origin: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Takes the flags in front of the verb off the arguments; the environment says what they do not.
    pub fn take(arguments: &mut Vec<String>) -> Result<Server, CliError> {
        let mut url = std::env::var("KAPACITOR_URL").ok().filter(|url| !url.is_empty());
        let mut skip_verify = match std::env::var("KAPACITOR_UNSAFE_SSL") {
            Ok(text) if !text.is_empty() => parse_bool(&text)
                .ok_or_else(|| CliError::General(format!("KAPACITOR_UNSAFE_SSL wants a bool, not {text:?}")))?,
            _ => false,
        };
        while let Some(first) = arguments.first() {
            let Some(name) = first.strip_prefix("--").or_else(|| first.strip_prefix('-')) else { break };
            let (name, given) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let (name, given) = (name.to_owned(), given.map(str::to_owned));
            match name.as_str() {
                "url" => {
                    arguments.remove(0);
                    url = match given {
                        Some(value) => Some(value),
                        None if arguments.is_empty() => {
                            return Err(CliError::Usage("flag needs an argument: -url".to_owned()));
                        }
                        None => Some(arguments.remove(0)),
                    };
                }
                "skipVerify" => {
                    arguments.remove(0);
                    let value = given.as_deref().map_or(Some(true), parse_bool);
                    skip_verify = value.ok_or_else(|| CliError::Usage("-skipVerify wants a bool".to_owned()))?;
                }
                // `farad --version`, `farad -help`.
                "version" | "help" | "h" => break,
                _ => return Err(CliError::Usage(format!("flag provided but not defined: -{name}"))),
            }
        }
        Ok(Server { url: url.unwrap_or_else(|| "http://localhost:9092".to_owned()), skip_verify })
    }

    pub fn connect(&self) -> Result<Client, CliError> {
        let url = &self.url;
        let parsed = reqwest::Url::parse(url).map_err(|error| CliError::Address(format!("parse {url:?}: {error}")));
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let origin = match scheme {
            Some("http" | "https") => parsed?.origin().ascii_serialization(),
            Some(scheme) => {
                return Err(CliError::Address(format!(
                    "Unsupported protocol scheme: {scheme}, your address must start with http:// or https://"
                )));
            }
            None => {
                return Err(CliError::Address(format!(
                    "parse {url:?}: no scheme, your address must start with http:// or https://"
                )));
            }
        };
        let http = reqwest::Client::builder().danger_accept_invalid_certs(self.skip_verify).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::failed)?;
        Ok(Client { origin, http: http.map_err(CliError::failed)?, runtime })
    }
}

/// An id as a part of a path.
pub fn segment(id: &str) -> String {
    utf8_percent_encode(id, PLAIN).to_string()
}

/// A value of a query.
pub fn query(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

impl Client {
    /// Sends a request; `path` is below the base, or a link of an answer.
    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<reqwest::Response, CliError> {
        let path = match path.starts_with("/kapacitor/") {
            true => path.to_owned(),
            false => format!("/kapacitor/v1{path}"),
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(CliError::failed)?;
        let mut request = self.http.request(method, format!("{}{path}", self.origin));
        request = request.header("User-Agent", concat!("Farad/", env!("CARGO_PKG_VERSION")));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        request.send().await.map_err(|error| CliError::Failed(chain(&error)))
    }

    /// Hands the body of a successful answer on piece by piece, each with the length that the answer announced; `accept`
    /// asks for a form of it. Returns that length.
    pub fn stream(
        &self,
        path: &str,
        accept: &str,
        mut piece: impl FnMut(&[u8], Option<u64>) -> std::io::Result<()>,
    ) -> Result<Option<u64>, CliError> {
        self.runtime.block_on(async {
            let url = format!("{}{path}", self.origin);
            let request = self.http.get(url).header("User-Agent", concat!("Farad/", env!("CARGO_PKG_VERSION")));
            let sent = request.header("Accept", accept).send().await;
            let mut response = sent.map_err(|error| CliError::Failed(chain(&error)))?;
            if !response.status().is_success() {
                let status = response.status().as_u16();
                return Err(refusal(status, &response.text().await.unwrap_or_default()));
            }
            let length = response.content_length();
            while let Some(bytes) = response.chunk().await.map_err(|error| CliError::Failed(chain(&error)))? {
                if piece(&bytes, length).is_err() {
                    break;
                }
            }
            Ok(length)
        })
    }

    /// The body of an answer that is a success; the server's error otherwise.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<String, CliError> {
        self.runtime.block_on(async {
            let response = self.send(method, path, body).await?;
            let (success, status) = (response.status().is_success(), response.status().as_u16());
            let text = response.text().await.map_err(CliError::failed)?;
            if success { Ok(text) } else { Err(refusal(status, &text)) }
        })
    }

    /// The same, of an answer in JSON.
    pub fn call_json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let text = self.call(method, path, body)?;
        serde_json::from_str(&text).map_err(|error| CliError::Failed(format!("the answer is no JSON: {error}")))
    }

    pub fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call_json("GET", path, None)
    }

    /// All tasks, templates, recordings or replays that match a pattern, page by page.
    pub fn list(&self, kind: &str, fields: &[&str], pattern: &str) -> Result<Vec<Value>, CliError> {
        let fields: String = fields.iter().map(|field| format!("fields={field}&")).collect();
        let (before, behind) = match kind {
            "tasks" => ("dot-view=attributes&", "&replay-id=&script-format=formatted"),
            "templates" => ("", "&script-format=formatted"),
            _ => ("", ""),
        };
        let pattern = query(pattern);
        let mut elements = Vec::new();
        loop {
            let offset = elements.len();
            let page =
                self.get(&format!("/{kind}?{before}{fields}limit={PAGE}&offset={offset}&pattern={pattern}{behind}"))?;
            let page = page.get(kind).and_then(Value::as_array).cloned().unwrap_or_default();
            let last = page.len() < PAGE;
            elements.extend(page);
            if last {
                return Ok(elements);
            }
        }
    }

    /// Waits until a recording or replay has ended, and returns it as it is then.
    pub fn wait(&self, mut object: Value) -> Result<Value, CliError> {
        let waiting = super::progress::Waiting::start();
        while super::text(&object, "status") == "running" {
            waiting.running(&object);
            std::thread::sleep(POLL);
            object = self.get(&super::href(&object, "link"))?;
        }
        Ok(object)
    }
}

fn refusal(status: u16, body: &str) -> CliError {
    let error = serde_json::from_str::<Value>(body).ok();
    let error = error.and_then(|body| body.get("error")?.as_str().map(str::to_owned)).filter(|text| !text.is_empty());
    CliError::Failed(error.unwrap_or_else(|| format!("the server answered {status}: {}", body.trim_end())))
}

/// An error with its causes, and what to do about it.
fn chain(error: &reqwest::Error) -> String {
    let mut text = dataplane::causes::with_causes(error);
    if error.is_connect() {
        text.push_str(". Is the server running there? (-url or KAPACITOR_URL say where it is)");
    }
    text
}
