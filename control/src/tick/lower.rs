//! A pipeline as a plan: the settings of each node become what the data plane runs.
//!
//! Errors here are those of a start (status 500): the script is a task, and it cannot run.

mod alert;
mod autoscale;
mod nodes;
mod sideload;
mod start;

use proto::plan::{
    Dbrp, Ec2Access, EdgeType, InfluxDbTarget, KubernetesAccess, NodeKind, PLAN_VERSION, Plan, ServerInfo,
    SideloadFile, SwarmAccess, TopicLevel, UdfFunction, UdfProgram,
};

pub use sideload::read as read_sideload;

use super::{
    pipeline::{Pipeline, PipelineNode, TaskType},
    table::Edge,
};
use crate::alert::spec::HandlerSpec;

/// An `[[httppost]]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub basic_auth: Option<(String, String)>,
    pub row_template: Option<String>,
    pub alert_template: Option<String>,
}

impl Endpoint {
    /// With the headers that a script or handler names: they replace those of the section, and its login.
    pub fn with_headers(mut self, own: impl IntoIterator<Item = (String, String)>) -> Endpoint {
        let is_login = |name: &str| name.eq_ignore_ascii_case("authorization");
        if self.basic_auth.is_some() {
            self.headers.retain(|(name, _)| !is_login(name));
        }
        for (name, value) in own {
            if is_login(&name) {
                self.basic_auth = None;
            }
            self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
            self.headers.push((name, value));
        }
        self
    }
}

/// A service with `global` in its section (reference: nodes-alert-join-io §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// Name of the section.
    pub kind: &'static str,
    pub state_changes_only: bool,
}

/// What alerts of `deadman` say unless they say something else: `[deadman]` of the configuration (reference:
/// nodes-alert-join-io §6.1).
#[derive(Clone, Copy, Debug)]
pub struct DeadmanTexts<'a> {
    /// The first `NODE_NAME` stands for the watched node.
    pub id: &'a str,
    /// The first `INTERVAL` stands for the interval.
    pub message: &'a str,
}

impl Default for DeadmanTexts<'static> {
    fn default() -> Self {
        DeadmanTexts {
            id: "{{ .Group }}:NODE_NAME for task '{{ .TaskName }}'",
            message: "{{ .ID }} is {{ if eq .Level \"OK\" }}alive{{ else }}dead{{ end }}: \
                      {{ index .Fields \"emitted\" | printf \"%0.3f\" }} points/INTERVAL.",
        }
    }
}

/// What a plan depends on beside its script.
pub struct Lowering<'a> {
    pub task: &'a str,
    /// First part of the names of its alerts' own topics: `main`, or a replay.
    pub master: &'a str,
    pub dbrps: &'a [Dbrp],
    pub server: &'a ServerInfo,
    pub endpoint: &'a dyn Fn(&str) -> Option<Endpoint>,
    /// An enabled InfluxDB by name; the default one by the empty name.
    pub influxdb: &'a dyn Fn(&str) -> Option<InfluxDbTarget>,
    /// A `[[kubernetes]]` section by its id, or why it cannot be used.
    pub kubernetes: &'a dyn Fn(&str) -> Result<KubernetesAccess, String>,
    /// The same of `[[ec2]]`.
    pub ec2: &'a dyn Fn(&str) -> Result<Ec2Access, String>,
    /// The same of `[[swarm]]`.
    pub swarm: &'a dyn Fn(&str) -> Result<SwarmAccess, String>,
    /// The files that the source of a sideload names, or why there are none.
    pub sideload: &'a dyn Fn(&str) -> Result<Vec<SideloadFile>, String>,
    /// A function of the configuration, and how often it is asked for a snapshot, in nanoseconds.
    pub udf: &'a dyn Fn(&str) -> Option<(UdfFunction, i64)>,
    pub deadman: DeadmanTexts<'a>,
    /// Services that every alert goes to.
    pub globals: &'a dyn Fn() -> Vec<Global>,
    /// What topics hold when the task starts.
    pub levels: &'a dyn Fn(&[String]) -> Vec<TopicLevel>,
}

impl<'a> Lowering<'a> {
    /// On a server without sections, files and functions.
    pub fn bare(task: &'a str, dbrps: &'a [Dbrp], server: &'a ServerInfo) -> Lowering<'a> {
        Lowering {
            task,
            master: "main",
            dbrps,
            server,
            endpoint: &|_| None,
            influxdb: &|_| None,
            kubernetes: &|id| Err(format!("unknown kubernetes cluster {id:?}, cannot get client")),
            ec2: &|id| Err(format!("unknown ec2 region {id:?}, cannot get client")),
            swarm: &|id| Err(format!("unknown swarm cluster {id:?}, cannot get client")),
            sideload: &|_| Ok(Vec::new()),
            udf: &|_| None,
            deadman: DeadmanTexts::default(),
            globals: &Vec::new,
            levels: &|_| Vec::new(),
        }
    }
}

/// The handlers of an alert node's own topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeHandlers {
    /// `alert2`
    pub node: String,
    /// `main:TASK:alert2`
    pub topic: String,
    pub handlers: Vec<HandlerSpec>,
}

/// Why a task cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LowerError(pub String);

impl LowerError {
    fn new(message: impl Into<String>) -> Self {
        LowerError(message.into())
    }
}

impl Pipeline {
    /// The plan of a task, and the handlers of its alerts.
    pub fn lower(&self, lowering: &Lowering<'_>) -> Result<(Plan, Vec<NodeHandlers>), LowerError> {
        let mut handlers = Vec::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        // What is wrong with a node says more than that another one does not run.
        self.nodes.iter().try_for_each(|node| start::check(self, node, lowering.dbrps))?;
        for node in &self.nodes {
            let (kind, own) = lower(node, lowering)?;
            handlers.extend(own);
            nodes.push(proto::plan::Node {
                name: node.name.clone(),
                parents: node.parents.clone(),
                provides: if node.provides == Edge::Batch { EdgeType::Batch } else { EdgeType::Stream },
                quiet: node.quiet,
                kind,
            });
        }
        let topics: Vec<String> = nodes.iter().flat_map(|node| topics(&node.kind)).cloned().collect();
        let levels = if topics.is_empty() { Vec::new() } else { (lowering.levels)(&topics) };
        let edge = if self.task_type == TaskType::Stream { EdgeType::Stream } else { EdgeType::Batch };
        let (task, dbrps) = (lowering.task.to_owned(), lowering.dbrps.to_vec());
        Ok((Plan { version: PLAN_VERSION, task, edge, dbrps, nodes, levels }, handlers))
    }

    /// The nodes that a start would refuse whatever the configuration says, with the reason.
    pub fn refusals(&self, dbrps: &[Dbrp]) -> Vec<(&PipelineNode, LowerError)> {
        let server = ServerInfo::default();
        let lowering = Lowering {
            endpoint: &|_| Some(Endpoint::default()),
            influxdb: &|_| Some(InfluxDbTarget::default()),
            kubernetes: &|_| Ok(KubernetesAccess::default()),
            ec2: &|_| Ok(Ec2Access::default()),
            swarm: &|_| Ok(SwarmAccess::default()),
            udf: &|_| Some((UdfFunction { program: UdfProgram::Socket { path: String::new() }, timeout: 0 }, 0)),
            ..Lowering::bare("", dbrps, &server)
        };
        let refusal = |node| {
            let checked = start::check(self, node, dbrps).and_then(|()| lower(node, &lowering).map(|_| ()));
            checked.err().map(|error| (node, error))
        };
        self.nodes.iter().filter_map(refusal).collect()
    }
}

fn lower(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<(NodeKind, Option<NodeHandlers>), LowerError> {
    match node.spec.method {
        "alert" => {
            let (alert, handlers) = alert::lower(node, lowering)?;
            Ok((NodeKind::Alert(Box::new(alert)), handlers))
        }
        _ => Ok((nodes::lower(node, lowering)?, None)),
    }
}

/// The topics that a node sends events to.
fn topics(kind: &NodeKind) -> impl Iterator<Item = &String> {
    let alert = match kind {
        NodeKind::Alert(alert) => Some(alert),
        _ => None,
    };
    alert.into_iter().flat_map(|alert| alert.anonymous_topic.iter().chain(&alert.topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_script_replace_those_of_the_section_and_its_login() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let endpoint = Endpoint {
            headers: vec![pair("Authorization", "section"), pair("X", "section"), pair("Y", "section")],
            basic_auth: Some(pair("user", "password")),
            ..Endpoint::default()
        };
        let own = endpoint.clone().with_headers([pair("x", "script")]);
        assert_eq!(own.headers, [pair("Y", "section"), pair("x", "script")]);
        assert!(own.basic_auth.is_some());
        let own = endpoint.with_headers([pair("authorization", "script")]);
        assert_eq!(own.basic_auth, None);
        assert_eq!(own.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).count(), 1);
    }
}
