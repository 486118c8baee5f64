//! The scale of a Kubernetes resource (<https://kubernetes.io/docs/reference/using-api/>, subresource `scale`).

use proto::plan::KubernetesAccess;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};

use super::{Clients, Trust, url};
use crate::node::autoscale::Scale;

/// What is scaled.
pub struct Resource<'a> {
    pub namespace: &'a str,
    /// In the plural, as paths name it.
    pub kind: &'a str,
    pub name: &'a str,
}

/// Where a scale is, and what it is.
struct Found {
    url: reqwest::Url,
    scale: Value,
}

/// Why a request came to nothing.
enum Failed {
    /// Another server may answer.
    Away(String),
    Missing(String),
    Refused(String),
}

impl Failed {
    fn text(self) -> String {
        let (Failed::Away(text) | Failed::Missing(text) | Failed::Refused(text)) = self;
        text
    }
}

impl Resource<'_> {
    /// API groups that may know it, and their versions: what it is now, and what it was before Kubernetes 1.9.
    fn groups(&self) -> [&'static [&'static str]; 2] {
        let now: &[_] = match self.kind {
            "replicationcontrollers" => &["api", "v1"],
            _ => &["apis", "apps", "v1"],
        };
        [now, &["apis", "extensions", "v1beta1"]]
    }

    fn shown(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind, self.name)
    }
}

/// How many copies there are, after setting them if they are to be set.
pub async fn scale(clients: &Clients, access: &KubernetesAccess, resource: &Resource<'_>, set: Option<i64>) -> Scale {
    let api = Api { clients, access, trust: Trust { ca_path: access.ca_path.clone() } };
    let found = api.get(resource).await;
    let found = found.map_err(|error| format!("failed to get scale {}: {error}", resource.shown()))?;
    // A scale of none says nothing.
    let replicas = found.scale.pointer("/spec/replicas");
    let current = replicas.and_then(Value::as_i64).unwrap_or_default();
    let Some(wanted) = set else { return Ok(current) };
    let op = if replicas.is_some() { "replace" } else { "add" };
    let patch = json!([{ "op": op, "path": "/spec/replicas", "value": wanted }]);
    let patched = api.call(Method::PATCH, found.url, Some(&patch)).await.map_err(Failed::text);
    patched.map_err(|error| format!("failed to update scale {}: {error}", resource.shown()))?;
    Ok(wanted)
}

struct Api<'a> {
    clients: &'a Clients,
    access: &'a KubernetesAccess,
    trust: Trust,
}

impl Api<'_> {
    /// Asks the servers in turn until one answers.
    async fn get(&self, resource: &Resource<'_>) -> Result<Found, String> {
        let mut away = "no URL".to_owned();
        for server in &self.access.urls {
            let mut missing = None;
            for group in resource.groups() {
                let path = ["namespaces", resource.namespace, resource.kind, resource.name, "scale"];
                let url = url(server, &[group, &path].concat())?;
                match self.call(Method::GET, url.clone(), None).await {
                    Ok(scale) => return Ok(Found { url, scale }),
                    // The first group is that of today: what it says counts.
                    Err(Failed::Missing(error)) => drop(missing.get_or_insert(error)),
                    Err(Failed::Refused(error)) => return Err(missing.unwrap_or(error)),
                    Err(Failed::Away(error)) => {
                        away = error;
                        break;
                    }
                }
            }
            if let Some(error) = missing {
                return Err(error);
            }
        }
        Err(away)
    }

    async fn call(&self, method: Method, url: reqwest::Url, patch: Option<&Value>) -> Result<Value, Failed> {
        let client = self.clients.get(&self.trust).map_err(Failed::Refused)?;
        let mut request = self.authorized(client.request(method, url)).await?;
        if let Some(patch) = patch {
            request = request.header(header::CONTENT_TYPE, "application/json-patch+json").body(patch.to_string());
        }
        let away = |error| Failed::Away(format!("k8s client request failed: {error}"));
        let (status, body) = self.clients.send(&self.trust, request).await.map_err(away)?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        if status == 200 {
            let wrong = || Failed::Refused(format!("failed to decode k8s server response: Code: {status}"));
            return body.ok_or_else(wrong);
        }
        let message = body.as_ref().and_then(|body| body.get("message")?.as_str());
        let wrong = || format!("failed to understand k8s server response: Code: {status}");
        let error = message.map_or_else(wrong, str::to_owned);
        Err(if status == 404 { Failed::Missing(error) } else { Failed::Refused(error) })
    }

    async fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, Failed> {
        let KubernetesAccess { token, token_path, .. } = self.access;
        let token = match token_path.as_str() {
            "" => token.clone(),
            path => {
                let read = tokio::fs::read_to_string(path).await;
                read.map_err(|error| Failed::Refused(format!("could not load token: {path}: {error}")))?
            }
        };
        Ok(if token.trim().is_empty() { request } else { request.bearer_auth(token.trim()) })
    }
}
