//! Where autoscale nodes find what they scale (reference: configuration §5).
//!
//! Errors are what a start of a task says; those of files are found when the configuration is read.

use proto::plan::{Ec2Access, KubernetesAccess, SwarmAccess};
use toml::{Table, Value};

use super::{
    Config,
    check::{flag, text},
};

/// What Kubernetes puts into every pod.
const POD_SECRETS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Config {
    /// A `[[kubernetes]]` section by its id.
    pub fn kubernetes_access(&self, id: &str) -> Result<KubernetesAccess, String> {
        Ok(kubernetes(self.cluster("kubernetes", "kubernetes cluster", id)?))
    }

    /// A `[[swarm]]` section by its id.
    pub fn swarm_access(&self, id: &str) -> Result<SwarmAccess, String> {
        Ok(swarm(self.cluster("swarm", "swarm cluster", id)?))
    }

    /// An `[[ec2]]` section by its id.
    pub fn ec2_access(&self, id: &str) -> Result<Ec2Access, String> {
        let section = self.cluster("ec2", "ec2 region", id)?;
        let given = |option| text(section, option).to_owned();
        Ok(Ec2Access {
            url: ec2_url(text(section, "region"), |name| std::env::var(name).ok()),
            region: given("region"),
            access_key: given("access-key"),
            secret_key: given("secret-key"),
        })
    }

    /// An enabled element; `what` the section holds, as an error names it.
    fn cluster(&self, section: &str, what: &str, id: &str) -> Result<&Table, String> {
        // Of several with one id the last counts.
        let found = self.elements(section).into_iter().rfind(|element| text(element, "id") == id);
        match found {
            None => Err(format!("unknown {what} {id:?}, cannot get client")),
            Some(element) if !flag(element, "enabled") => Err("service is not enabled".to_owned()),
            Some(element) => Ok(element),
        }
    }
}

/// What is wrong with the `[[kubernetes]]` sections together.
pub(super) fn check_ids(sections: &[&Table]) -> Result<(), String> {
    match sections.len() > 1 && sections.iter().any(|section| text(section, "id").is_empty()) {
        true => Err("id must not be empty".to_owned()),
        false => Ok(()),
    }
}

/// What is wrong with an enabled `[[kubernetes]]` section.
pub(super) fn check_kubernetes(section: &Table) -> Result<(), String> {
    let servers = texts(section, "api-servers");
    if flag(section, "in-cluster") {
        for option in ["api-servers", "token", "ca-path", "namespace"] {
            if !text(section, option).is_empty() || option == "api-servers" && !servers.is_empty() {
                return Err(format!("in-cluster specified, cannot also specify {option}"));
            }
        }
    } else if servers.is_empty() {
        return Err("no api-servers specified, must provide at least one server URL".to_owned());
    }
    servers.iter().try_for_each(|server| super::check::is_url(server))?;
    if !["", "node", "pod", "service", "endpoint", "endpoints"].contains(&text(section, "resource")) {
        return Err("Resource must be one of node, pod, service, or endpoints".to_owned());
    }
    let KubernetesAccess { token_path, ca_path, .. } = kubernetes(section);
    readable(&[&token_path, &ca_path]).map_err(|error| format!("failed to create k8s client config: {error}"))
}

/// What is wrong with an enabled `[[swarm]]` section.
pub(super) fn check_swarm(section: &Table) -> Result<(), String> {
    let SwarmAccess { urls, ssl_ca, ssl_cert, ssl_key, .. } = swarm(section);
    if urls.is_empty() {
        return Err("no api-servers specified, must provide at least one server URL".to_owned());
    }
    urls.iter().try_for_each(|server| super::check::is_url(server))?;
    let failed = |error: String| format!("failed to create swarm client config: {error}");
    match (ssl_cert.is_empty(), ssl_key.is_empty()) {
        (false, true) => Err(failed("Must provide both key and cert files: only cert file provided.".to_owned())),
        (true, false) => Err(failed("Must provide both key and cert files: only key file provided.".to_owned())),
        _ => readable(&[&ssl_ca, &ssl_cert, &ssl_key]).map_err(failed),
    }
}

fn swarm(section: &Table) -> SwarmAccess {
    let file = |option| text(section, option).to_owned();
    SwarmAccess {
        urls: texts(section, "servers"),
        ssl_ca: file("ssl-ca"),
        ssl_cert: file("ssl-cert"),
        ssl_key: file("ssl-key"),
        insecure_skip_verify: flag(section, "insecure-skip-verify"),
    }
}

fn kubernetes(section: &Table) -> KubernetesAccess {
    if flag(section, "in-cluster") {
        let secret = |name: &str| format!("{POD_SECRETS}/{name}");
        return KubernetesAccess {
            urls: vec![in_cluster_url(|name| std::env::var(name).ok())],
            token: String::new(),
            token_path: secret("token"),
            ca_path: secret("ca.crt"),
        };
    }
    KubernetesAccess {
        urls: texts(section, "api-servers"),
        token: text(section, "token").to_owned(),
        token_path: String::new(),
        ca_path: text(section, "ca-path").to_owned(),
    }
}

/// The address that Kubernetes tells every pod.
fn in_cluster_url(variable: impl Fn(&str) -> Option<String>) -> String {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    let host = given("KUBERNETES_SERVICE_HOST").unwrap_or_else(|| "kubernetes".to_owned());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    match given("KUBERNETES_SERVICE_PORT") {
        Some(port) => format!("https://{host}:{port}"),
        None => format!("https://{host}"),
    }
}

/// What is wrong with an `[[ec2]]` section, also while it is off.
pub(super) fn check_ec2(section: &Table) -> Result<(), String> {
    match (text(section, "id"), text(section, "region")) {
        ("", _) => Err("ec2 discovery must be given a ID".to_owned()),
        (id, "") => Err(format!("ec2 discovery, {id}, requires a region")),
        _ => Ok(()),
    }
}

/// The endpoint of a region, or what stands in for all of AWS by the variables that its tools know.
fn ec2_url(region: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let own = given("AWS_ENDPOINT_URL_AUTO_SCALING").or_else(|| given("AWS_ENDPOINT_URL"));
    own.unwrap_or_else(|| format!("https://autoscaling.{region}.{domain}"))
}

/// Whether the files that are named can be read.
fn readable(paths: &[&str]) -> Result<(), String> {
    for path in paths.iter().filter(|path| !path.is_empty()) {
        std::fs::File::open(path).map_err(|error| format!("failed to read {path:?}: {error}"))?;
    }
    Ok(())
}

fn texts(section: &Table, option: &str) -> Vec<String> {
    let values = section.get(option).and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, text: &str) -> Table {
        let mut table = super::super::services::Section::find(name).unwrap().element();
        table.extend(text.parse::<Table>().unwrap());
        table
    }

    #[test]
    fn a_pod_finds_its_cluster_by_what_it_was_told() {
        let url = |host: &str, port: &str| {
            in_cluster_url(|name| Some(if name.ends_with("HOST") { host.to_owned() } else { port.to_owned() }))
        };
        assert_eq!(url("10.0.0.1", "6443"), "https://10.0.0.1:6443");
        assert_eq!(url("fd00::1", ""), "https://[fd00::1]");
        assert_eq!(in_cluster_url(|_| None), "https://kubernetes");
    }

    #[test]
    fn a_region_has_its_endpoint_unless_the_environment_has_one() {
        assert_eq!(ec2_url("eu-west-1", |_| None), "https://autoscaling.eu-west-1.amazonaws.com");
        assert_eq!(ec2_url("cn-north-1", |_| None), "https://autoscaling.cn-north-1.amazonaws.com.cn");
        let all = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://x".to_owned());
        assert_eq!(ec2_url("eu-west-1", all), "http://x");
        assert_eq!(ec2_url("eu-west-1", |name| Some(name.to_owned())), "AWS_ENDPOINT_URL_AUTO_SCALING");
    }

    #[test]
    fn sections_that_contradict_themselves_are_refused() {
        for (text, expected) in [
            ("", "no api-servers specified"),
            ("api-servers = ['nowhere']", "invalid URL"),
            ("in-cluster = true\napi-servers = ['http://x']", "cannot also specify api-servers"),
            ("in-cluster = true\ntoken = 'x'", "cannot also specify token"),
            ("api-servers = ['http://x']\nresource = 'x'", "Resource must be one of"),
            ("api-servers = ['http://x']\nca-path = '/nowhere'", "failed to read \"/nowhere\""),
        ] {
            let error = check_kubernetes(&section("kubernetes", text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let (named, nameless) = (section("kubernetes", "id = 'a'"), section("kubernetes", ""));
        assert_eq!(check_ids(&[&named, &nameless]).unwrap_err(), "id must not be empty");
        assert_eq!((check_ids(&[&nameless]), check_ids(&[&named, &named])), (Ok(()), Ok(())));
        let good = section("kubernetes", "api-servers = ['http://x', 'https://y']\ntoken = 'secret'");
        check_kubernetes(&good).unwrap();
        let KubernetesAccess { urls, token, token_path, .. } = kubernetes(&good);
        assert_eq!((urls.len(), &*token, &*token_path), (2, "secret", ""));
        for (text, expected) in [
            ("", "no api-servers specified"),
            ("servers = ['http://x']\nssl-cert = '/x'", "only cert file provided"),
            ("servers = ['http://x']\nssl-key = '/x'", "only key file provided"),
            ("servers = ['http://x']\nssl-ca = '/nowhere'", "failed to read \"/nowhere\""),
        ] {
            let error = check_swarm(&section("swarm", text)).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        check_swarm(&section("swarm", "servers = ['http://x']")).unwrap();
        assert_eq!(check_ec2(&section("ec2", "")).unwrap_err(), "ec2 discovery must be given a ID");
        assert_eq!(check_ec2(&section("ec2", "id = 'e'")).unwrap_err(), "ec2 discovery, e, requires a region");
        check_ec2(&section("ec2", "id = 'e'\nregion = 'eu-west-1'")).unwrap();
    }
}
