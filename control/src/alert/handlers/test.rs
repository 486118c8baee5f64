//! One message through a service, to see whether it arrives (reference: http-api §20).

use std::sync::Arc;

use dataplane::io::autoscale;
use proto::{plan::Scaler, value::Level};
use serde_json::{Map, Value};

use super::post;
use crate::{
    alert::{delivery::Item, service, spec::Post},
    config::{Config, Live, flag},
};

/// Sends a test message; `options` are complete. The error is what the API shows.
pub async fn test(live: &Live, service: &str, options: &Map<String, Value>) -> Result<(), String> {
    let config = &*live.get();
    let text = |name: &str| options.get(name).and_then(Value::as_str).unwrap_or_default();
    match service {
        "httppost" => {
            let headers: Vec<(String, String)> = options
                .get("headers")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect();
            let event = crate::alert::event::test_event();
            let item = Item { event: Arc::new(event), previous: Level::Ok, hops: 0 };
            let post = Post { url: text("url").to_owned(), headers, capture_response: true, ..Post::default() };
            let mut result = Ok(());
            post::Receiver::new(&post).events(&[item], |_, done| result = done).await;
            result.map_err(|error| error.to_string())
        }
        "ec2" | "kubernetes" | "swarm" => autoscale::reach(&scaler(config, service, text("id"))?).await,
        "influxdb" => ping(config, text("cluster")).await,
        name if service::name(name).is_some() => {
            let sent = service::test(name, options, Arc::new(live.clone())).await;
            sent.map_err(|error| error.to_string())
        }
        service => {
            let enabled = config.elements(service).into_iter().any(|element| flag(element, "enabled"));
            Err(if enabled {
                format!("tests of {service} are not supported by this version")
            } else {
                "service is not enabled".to_owned()
            })
        }
    }
}

/// What a section is the way to.
fn scaler(config: &Config, section: &str, id: &str) -> Result<Scaler, String> {
    let found = match section {
        "ec2" => config.ec2_access(id).map(|access| Scaler::Ec2 { access }),
        "swarm" => config.swarm_access(id).map(|access| Scaler::Swarm { access }),
        _ => config.kubernetes_access(id).map(|access| {
            let (namespace, kind) = (String::new(), String::new());
            Scaler::Kubernetes { access, namespace, kind }
        }),
    };
    found.map_err(|error| match error.strip_suffix(", cannot get client") {
        _ if section == "ec2" => format!("discoverer {id:?} is not enabled or does not exist"),
        Some(unknown) => unknown.to_owned(),
        None => format!("failed to get client: {error}"),
    })
}

/// Asks an InfluxDB cluster, the default one by the empty name, whether it is there.
async fn ping(config: &Config, name: &str) -> Result<(), String> {
    let enabled = || config.influxdb.iter().filter(|cluster| cluster.enabled);
    let cluster = match name {
        "" => enabled().find(|cluster| cluster.default).or_else(|| enabled().next()),
        name => enabled().find(|cluster| cluster.name == name),
    };
    let cluster = cluster.ok_or_else(|| format!("cluster {name:?} is not enabled or does not exist"))?;
    let client = post::client(cluster.insecure_skip_verify).ok_or("no HTTP client could be made")?;
    let url = cluster.urls.first().ok_or("the cluster has no URL")?;
    let request = client.get(format!("{}/ping", url.trim_end_matches('/')));
    let request = match cluster.username.as_str() {
        "" => request,
        user => request.basic_auth(user, Some(&cluster.password)),
    };
    let answer = request.send().await.map_err(|error| format!("failed to ping the influxdb cluster: {error}"))?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("failed to ping the influxdb cluster: it answered {}", answer.status())),
    }
}
