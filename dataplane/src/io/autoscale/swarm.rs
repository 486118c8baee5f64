//! The copies of a Docker Swarm service (<https://docs.docker.com/reference/api/engine/>, services).

use proto::plan::SwarmAccess;
use reqwest::{Method, header};
use serde_json::Value;

use super::{Clients, Failed, url};
use crate::{node::autoscale::Scale, trust::Trust};

/// Of the API: what daemons of today and of 2017 know. Daemons that want a later one are asked in theirs.
const VERSION: &[&str] = &["v1.30"];
const TOO_OLD: &str = "too old";

/// A service as a server knows it.
struct Found<'a> {
    server: &'a str,
    /// Empty: that of the daemon.
    version: &'static [&'static str],
    service: Value,
}

/// How many copies are wanted, after setting them if they are to be set.
pub async fn scale(clients: &Clients, access: &SwarmAccess, name: &str, set: Option<i64>) -> Scale {
    let api = Api::new(clients, access);
    let failed = |error: String| format!("failed to get swarm service for {name:?}: {error}");
    let mut found = clients.first_that_answers(&access.urls, |server| api.get(server, name)).await.map_err(failed)?;
    let replicas = found.service.pointer_mut("/Spec/Mode/Replicated/Replicas");
    let replicas = replicas.ok_or_else(|| failed("the service is not replicated".to_owned()))?;
    let Some(wanted) = set else {
        return replicas.as_i64().ok_or_else(|| failed("failed to decode swarm server response".to_owned()));
    };
    *replicas = wanted.into();
    let updated = api.update(&found).await;
    updated.map_err(|error| format!("update service request failed for {name:?}: {}", error.text()))?;
    Ok(wanted)
}

/// Whether a manager answers.
pub async fn reach(clients: &Clients, access: &SwarmAccess) -> Result<(), String> {
    let api = Api::new(clients, access);
    let asked = clients.first_that_answers(&access.urls, |server| api.look(server, &["info"])).await;
    let info = asked.map_err(|error| format!("failed to query server version: {error}"))?;
    match info.get("ServerVersion").and_then(Value::as_str) {
        None | Some("") => Err("got empty version from server".to_owned()),
        Some(_) => Ok(()),
    }
}

struct Api<'a> {
    clients: &'a Clients,
    trust: Trust,
}

impl<'a> Api<'a> {
    fn new(clients: &'a Clients, access: &SwarmAccess) -> Api<'a> {
        let SwarmAccess { ssl_ca, ssl_cert, ssl_key, insecure_skip_verify, .. } = access.clone();
        let trust = Trust { authorities: ssl_ca, certificate: ssl_cert, key: ssl_key, insecure: insecure_skip_verify };
        Api { clients, trust }
    }

    async fn get<'s>(&self, server: &'s str, name: &str) -> Result<Found<'s>, Failed> {
        let path = ["services", name];
        let found = |version, service| Found { server, version, service };
        match self.look(server, &[VERSION, &path].concat()).await {
            Err(Failed::Refused(400, error)) if error.contains(TOO_OLD) => {
                self.look(server, &path).await.map(|service| found(&[], service))
            }
            asked => asked.map(|service| found(VERSION, service)),
        }
    }

    async fn look(&self, server: &str, path: &[&str]) -> Result<Value, Failed> {
        self.call(Method::GET, url(server, path)?, None).await
    }

    async fn update(&self, found: &Found<'_>) -> Result<(), Failed> {
        let text = |place: &str| found.service.pointer(place).map(|value| value.to_string().replace('"', ""));
        let wrong = || Failed::Refused(200, "failed to decode swarm server response".to_owned());
        let (id, index) = text("/ID").zip(text("/Version/Index")).ok_or_else(wrong)?;
        let mut url = url(found.server, &[found.version, &["services", &id, "update"]].concat())?;
        url.query_pairs_mut().append_pair("version", &index);
        self.call(Method::POST, url, found.service.get("Spec")).await.map(|_| ())
    }

    async fn call(&self, method: Method, url: reqwest::Url, body: Option<&Value>) -> Result<Value, Failed> {
        let mut request =
            self.clients.get(&self.trust).map_err(|error| Failed::Refused(0, error))?.request(method, url);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let away = |error| Failed::Away(format!("swarm client request failed: {error}"));
        let (status, body) = self.clients.send(&self.trust, request).await.map_err(away)?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        if status == 200 {
            // An update is answered with warnings, or with nothing.
            return Ok(body.unwrap_or_default());
        }
        let message = body.as_ref().and_then(|body| body.get("message")?.as_str()).filter(|text| !text.is_empty());
        let wrong = || format!("failed to understand swarm server error response: Code: {status}");
        Err(Failed::Refused(status, message.map_or_else(wrong, str::to_owned)))
    }
}
