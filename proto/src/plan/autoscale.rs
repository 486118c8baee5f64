//! `k8sAutoscale`, `swarmAutoscale` and `ec2Autoscale` in a plan.

use serde::{Deserialize, Serialize};

use crate::expr::Expr;

/// reference: nodes-alert-join-io §9. The cluster of the configuration is already resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Autoscale {
    pub scaler: Scaler,
    pub resource: ResourceName,
    /// Wanted copies.
    pub replicas: Expr,
    /// Name of the current number in `replicas`; empty: none.
    pub current_field: String,
    /// At least 1; counts before `max`.
    pub min: i64,
    /// 0: none.
    pub max: i64,
    pub increase_cooldown: i64,
    pub decrease_cooldown: i64,
    /// Tags of an event beside its group's.
    pub tags: Vec<(String, String)>,
    /// The tag for the name of what was scaled; empty: none.
    pub name_tag: String,
}

impl Autoscale {
    /// Without bounds but the least, without cooldowns and without tags of its own.
    pub fn new(scaler: Scaler, resource: ResourceName, replicas: Expr) -> Autoscale {
        Autoscale {
            scaler,
            resource,
            replicas,
            current_field: String::new(),
            min: 1,
            max: 0,
            increase_cooldown: 0,
            decrease_cooldown: 0,
            tags: Vec::new(),
            name_tag: String::new(),
        }
    }
}

/// Where the name of what is scaled comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceName {
    Fixed(String),
    /// The value of this tag.
    Tag(String),
}

/// What runs the copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scaler {
    Kubernetes {
        access: KubernetesAccess,
        namespace: String,
        /// `deployments`, `replicasets` or `replicationcontrollers`.
        kind: String,
    },
    Swarm {
        access: SwarmAccess,
    },
    Ec2 {
        access: Ec2Access,
    },
}

/// Where EC2 Auto Scaling is and how it lets us in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ec2Access {
    pub url: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

/// Where the managers of a Docker Swarm are and how they let us in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SwarmAccess {
    /// Tried in turn.
    pub urls: Vec<String>,
    /// File of the authorities that are trusted; empty: those of the web.
    pub ssl_ca: String,
    /// Files of what shows who asks; empty: none.
    pub ssl_cert: String,
    pub ssl_key: String,
    pub insecure_skip_verify: bool,
}

/// Where a Kubernetes API is and how it lets us in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KubernetesAccess {
    /// Tried in turn.
    pub urls: Vec<String>,
    pub token: String,
    /// File of the token, which is renewed now and then; empty: `token` counts.
    pub token_path: String,
    /// File of the authorities that are trusted; empty: those of the web.
    pub ca_path: String,
}
