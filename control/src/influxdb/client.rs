//! Requests to one cluster (reference: batch-and-replay §4).

use std::{
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use dataplane::{causes::with_causes, trust::Trust};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::config::Influxdb;

/// Largest answer, packed or not.
const ANSWER_BYTES_MAX: usize = 2 << 30;

/// How much of an answer an error quotes.
const QUOTED_BYTES: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum InfluxError {
    #[error("no such InfluxDB config {0}")]
    NoCluster(String),
    #[error("no default InfluxDB cluster is enabled")]
    NoDefault,
    #[error("invalid URL {url:?} of the InfluxDB cluster {cluster}: {error}")]
    Url { cluster: String, url: String, error: String },
    #[error("TLS of the InfluxDB cluster {cluster}: {error}")]
    Tls { cluster: String, error: String },
    /// What the server says.
    #[error("{0}")]
    Server(String),
    #[error("{0}")]
    Request(String),
    #[error("cannot listen for a subscription: {0}")]
    Listen(String),
    #[error("the answer of InfluxDB has more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// What a server calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

impl Version {
    /// What tasks cannot have of this version; empty if nothing is missing.
    pub fn lacks(&self) -> &'static str {
        match self.0.trim_start_matches('v').split('.').next() {
            Some("2") => "subscriptions; InfluxQL needs a database mapping (DBRP) for each bucket",
            Some("3") => "subscriptions and Flux",
            _ => "",
        }
    }
}

/// A client of one cluster; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<[Url]>,
    /// Round robin over the URLs, beginning with the second.
    next: Arc<AtomicUsize>,
    credentials: Option<(String, String)>,
    token: Option<String>,
}

impl Client {
    pub fn new(section: &Influxdb) -> Result<Client, InfluxError> {
        let cluster = section.name.clone();
        let url = |url: &String| {
            Url::parse(url).map_err(|error| InfluxError::Url {
                cluster: cluster.clone(),
                url: url.clone(),
                error: error.to_string(),
            })
        };
        let urls: Vec<Url> = section.urls.iter().map(url).collect::<Result<_, _>>()?;
        let tls = |error: String| InfluxError::Tls { cluster: section.name.clone(), error };
        let trust = Trust {
            authorities: section.ssl_ca.clone(),
            certificate: section.ssl_cert.clone(),
            key: section.ssl_key.clone(),
            insecure: section.insecure_skip_verify,
        };
        let config = trust.config().map_err(|error| tls(error.to_string()))?;
        let mut builder =
            reqwest::Client::builder().user_agent("KapacitorInfluxDBClient").use_preconfigured_tls(config);
        if !section.timeout.0.is_zero() {
            builder = builder.timeout(section.timeout.0);
        }
        let http = builder.build().map_err(|error| tls(with_causes(&error)))?;
        let credentials = (!section.username.is_empty()).then(|| (section.username.clone(), section.password.clone()));
        let token = (!section.token.is_empty()).then(|| format!("Token {}", section.token));
        Ok(Client { http, urls: urls.into(), next: Arc::new(AtomicUsize::new(1)), credentials, token })
    }

    /// The JSON answer to an InfluxQL query.
    pub async fn query(&self, text: &str) -> Result<Bytes, InfluxError> {
        let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (status, body) = self.send(Method::POST, &format!("/query?db=&q={encoded}"), None).await?;
        if status != StatusCode::OK {
            return Err(InfluxError::Server(said(status, &body)));
        }
        Ok(body)
    }

    /// The annotated CSV of a Flux query.
    pub async fn flux(&self, path: &str, body: String) -> Result<Bytes, InfluxError> {
        let (status, body) = self.send(Method::POST, path, Some(body)).await?;
        if status != StatusCode::OK {
            return Err(InfluxError::Server(format!("flux query error: {}", said(status, &body))));
        }
        Ok(body)
    }

    /// The version, if the server answers.
    pub async fn ping(&self) -> Result<Version, InfluxError> {
        let mut last = InfluxError::Request("no URL".to_owned());
        for url in self.turn() {
            match self.request(Method::GET, url, "/ping").send().await {
                Ok(response) if response.status().is_success() => {
                    let version =
                        response.headers().get("x-influxdb-version").and_then(|version| version.to_str().ok());
                    return Ok(Version(version.unwrap_or("unknown").to_owned()));
                }
                Ok(response) => last = InfluxError::Server(format!("ping: status {}", response.status().as_u16())),
                Err(error) => last = InfluxError::Request(with_causes(&error)),
            }
        }
        Err(last)
    }

    /// All URLs once, beginning with the one whose turn it is.
    fn turn(&self) -> impl Iterator<Item = &Url> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.urls.len().max(1);
        (0..self.urls.len()).filter_map(move |nth| self.urls.get((first + nth) % count))
    }

    fn request(&self, method: Method, url: &Url, target: &str) -> reqwest::RequestBuilder {
        // A path of the URL is thrown away.
        let request = match url.join(target) {
            Ok(url) => self.http.request(method, url),
            Err(_) => self.http.request(method, url.clone()),
        };
        let request = request.header(ACCEPT_ENCODING, "gzip");
        match (&self.token, &self.credentials) {
            (Some(token), _) => request.header(AUTHORIZATION, token),
            (None, Some((user, password))) => request.basic_auth(user, Some(password)),
            (None, None) => request,
        }
    }

    /// Sends a request to the first server that can be reached. An answer, whatever it says, is the answer.
    async fn send(
        &self,
        method: Method,
        target: &str,
        json: Option<String>,
    ) -> Result<(StatusCode, Bytes), InfluxError> {
        let mut last = InfluxError::Request("no URL".to_owned());
        for url in self.turn() {
            let mut request = self.request(method.clone(), url, target);
            request = match &json {
                Some(json) => request.header(CONTENT_TYPE, "application/json").body(json.clone()),
                None => request.body(""),
            };
            match request.send().await {
                Ok(response) => return answer(response).await,
                Err(error) if error.is_connect() => last = InfluxError::Request(with_causes(&error)),
                Err(error) => return Err(InfluxError::Request(with_causes(&error))),
            }
        }
        Err(last)
    }
}

async fn answer(mut response: reqwest::Response) -> Result<(StatusCode, Bytes), InfluxError> {
    let status = response.status();
    let packed = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| InfluxError::Request(with_causes(&error)))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(InfluxError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    if !packed {
        return Ok((status, body.into()));
    }
    let unpack = move || {
        let mut unpacked = Vec::new();
        let limit = ANSWER_BYTES_MAX as u64 + 1;
        flate2::read::MultiGzDecoder::new(&*body).take(limit).read_to_end(&mut unpacked).map(|_| unpacked)
    };
    let unpacked =
        tokio::task::spawn_blocking(unpack).await.map_err(|error| InfluxError::Request(error.to_string()))?;
    let unpacked = unpacked.map_err(|error| InfluxError::Request(format!("the answer cannot be unpacked: {error}")))?;
    if unpacked.len() > ANSWER_BYTES_MAX {
        return Err(InfluxError::TooLarge);
    }
    Ok((status, unpacked.into()))
}

/// What an answer with an error says.
fn said(status: StatusCode, body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |key: &str| value.get(key).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    match word("error").or_else(|| word("message")) {
        Some(text) => text.to_owned(),
        None => {
            let quoted = String::from_utf8_lossy(body.get(..QUOTED_BYTES).unwrap_or(body)).into_owned();
            format!("invalid response: code {}: body: {quoted}", status.as_u16())
        }
    }
}
