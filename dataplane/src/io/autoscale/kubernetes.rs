//! The scale of a Kubernetes resource (<https://kubernetes.io/docs/reference/using-api/>, subresource `scale`).

use proto::plan::KubernetesAccess;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};

use super::{Clients, Failed, url};
use crate::{node::autoscale::Scale, trust::Trust};

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
    let api = Api::new(clients, access);
    let found = clients.first_that_answers(&access.urls, |server| api.get(server, resource)).await;
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

/// Whether the API answers.
pub async fn reach(clients: &Clients, access: &KubernetesAccess) -> Result<(), String> {
    let api = Api::new(clients, access);
    let asked = clients.first_that_answers(&access.urls, |server| api.look(server, &["api"])).await;
    asked.map(|_| ()).map_err(|error| format!("failed to query server versions: {error}"))
}

struct Api<'a> {
    clients: &'a Clients,
    access: &'a KubernetesAccess,
    trust: Trust,
}

impl<'a> Api<'a> {
    fn new(clients: &'a Clients, access: &'a KubernetesAccess) -> Api<'a> {
        Api { clients, access, trust: Trust { authorities: access.ca_path.clone(), ..Trust::default() } }
    }

    /// The first group is that of today: what it says counts where none knows the resource.
    async fn get(&self, server: &str, resource: &Resource<'_>) -> Result<Found, Failed> {
        let mut missing = None;
        for group in resource.groups() {
            let path = ["namespaces", resource.namespace, resource.kind, resource.name, "scale"];
            let url = url(server, &[group, &path].concat())?;
            match self.call(Method::GET, url.clone(), None).await {
                Ok(scale) => return Ok(Found { url, scale }),
                Err(Failed::Refused(404, error)) => drop(missing.get_or_insert(error)),
                Err(error) if missing.is_none() => return Err(error),
                Err(_) => {}
            }
        }
        Err(Failed::Refused(404, missing.unwrap_or_default()))
    }

    async fn look(&self, server: &str, path: &[&str]) -> Result<Value, Failed> {
        self.call(Method::GET, url(server, path)?, None).await
    }

    async fn call(&self, method: Method, url: reqwest::Url, patch: Option<&Value>) -> Result<Value, Failed> {
        let client = self.clients.get(&self.trust).map_err(|error| Failed::Refused(0, error))?;
        let mut request = self.authorized(client.request(method, url)).await?;
        if let Some(patch) = patch {
            request = request.header(header::CONTENT_TYPE, "application/json-patch+json").body(patch.to_string());
        }
        let away = |error| Failed::Away(format!("k8s client request failed: {error}"));
        let (status, body) = self.clients.send(&self.trust, request).await.map_err(away)?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        if status == 200 {
            let wrong = || Failed::Refused(status, format!("failed to decode k8s server response: Code: {status}"));
            return body.ok_or_else(wrong);
        }
        let message = body.as_ref().and_then(|body| body.get("message")?.as_str());
        let wrong = || format!("failed to understand k8s server response: Code: {status}");
        Err(Failed::Refused(status, message.map_or_else(wrong, str::to_owned)))
    }

    async fn authorized(&self, request: RequestBuilder) -> Result<RequestBuilder, Failed> {
        let KubernetesAccess { token, token_path, .. } = self.access;
        let token = match token_path.as_str() {
            "" => token.clone(),
            path => {
                let read = tokio::fs::read_to_string(path).await;
                read.map_err(|error| Failed::Refused(0, format!("could not load token: {path}: {error}")))?
            }
        };
        Ok(if token.trim().is_empty() { request } else { request.bearer_auth(token.trim()) })
    }
}
