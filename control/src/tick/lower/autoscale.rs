//! Nodes that set how many copies of something run (reference: nodes-alert-join-io §9).

use proto::plan::{Autoscale, ResourceName, Scaler};

use super::{LowerError, Lowering};
use crate::tick::{pipeline::PipelineNode, value::ScriptValue};

pub(super) fn lower(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<Autoscale, LowerError> {
    let or = |property: &str, default: &str| node.string(property).unwrap_or(default).to_owned();
    // These are not set by empty texts.
    let given = |property: &str| node.string(property).filter(|text| !text.is_empty()).map(str::to_owned);
    let cluster = node.string("cluster").unwrap_or_default();
    let no_client = |node: &str, service: &str, error: String| {
        LowerError(format!("cannot use the {node} node, could not create {service} client: {error}"))
    };
    let (scaler, tags, name_tag, [name, name_from]) = match node.spec.method {
        "k8sAutoscale" => {
            let access =
                (lowering.kubernetes)(cluster).map_err(|error| no_client("k8sAutoscale", "kubernetes", error))?;
            let namespace = given("namespace").unwrap_or_else(|| "default".to_owned());
            let kind = or("kind", "deployments");
            let tags = [("namespaceTag", "namespace", &namespace), ("kindTag", "kind", &kind)];
            let tags = tags.map(|(property, default, value)| (or(property, default), value.clone())).to_vec();
            // The word that the original takes is not the one of the API.
            let kind = if kind == "replicationcontroller" { "replicationcontrollers".to_owned() } else { kind };
            let scaler = Scaler::Kubernetes { access, namespace, kind };
            (scaler, tags, or("resourceTag", "resource"), ["resourceName", "resourceNameTag"])
        }
        "swarmAutoscale" => {
            let access = (lowering.swarm)(cluster).map_err(|error| no_client("swarmAutoscale", "swarm", error))?;
            // What is emitted has the tag that the name came from.
            let name_tag = given("outputServiceNameTag").unwrap_or_else(|| or("serviceNameTag", ""));
            (Scaler::Swarm { access }, Vec::new(), name_tag, ["serviceName", "serviceNameTag"])
        }
        "ec2Autoscale" => {
            let access = (lowering.ec2)(cluster).map_err(|error| no_client("EC2Autoscale", "ec2", error))?;
            let name_tag = given("outputGroupNameTag").unwrap_or_else(|| or("groupNameTag", ""));
            (Scaler::Ec2 { access }, Vec::new(), name_tag, ["groupName", "groupNameTag"])
        }
        method => return Err(LowerError(format!("{}: {method} is not supported by this version", node.name))),
    };
    let resource = match given(name) {
        Some(name) => ResourceName::Fixed(name),
        None => ResourceName::Tag(or(name_from, "")),
    };
    let Some([ScriptValue::Lambda(replicas)]) = node.setting("replicas") else {
        return Err(LowerError::new("must provide a replicas lambda expression"));
    };
    Ok(Autoscale {
        current_field: or("currentField", ""),
        min: node.int("min").unwrap_or(1),
        max: node.int("max").unwrap_or(0),
        increase_cooldown: node.duration("increaseCooldown").unwrap_or_default(),
        decrease_cooldown: node.duration("decreaseCooldown").unwrap_or_default(),
        tags: tags.into_iter().filter(|(tag, _)| !tag.is_empty()).collect(),
        name_tag,
        ..Autoscale::new(scaler, resource, replicas.clone())
    })
}
