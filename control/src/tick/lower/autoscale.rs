//! Nodes that set how many copies of something run (reference: nodes-alert-join-io §9).

use proto::plan::{Autoscale, ResourceName, Scaler};

use super::{LowerError, Lowering};
use crate::tick::{pipeline::PipelineNode, value::ScriptValue};

pub(super) fn lower(node: &PipelineNode, lowering: &Lowering<'_>) -> Result<Autoscale, LowerError> {
    let or = |property, default: &str| node.string(property).unwrap_or(default).to_owned();
    let cluster = node.string("cluster").unwrap_or_default();
    let no_client = |service: &str, error: String| {
        let method = node.spec.method;
        LowerError(format!("cannot use the {method} node, could not create {service} client: {error}"))
    };
    let (scaler, tags, name_tag, [name, name_from]) = match node.spec.method {
        "k8sAutoscale" => {
            let namespace = Some(or("namespace", "")).filter(|name| !name.is_empty()).unwrap_or("default".to_owned());
            let kind = or("kind", "deployments");
            let tags = [("namespaceTag", "namespace", &namespace), ("kindTag", "kind", &kind)];
            let tags = tags.map(|(property, default, value)| (or(property, default), value.clone()));
            let access = (lowering.kubernetes)(cluster).map_err(|error| no_client("kubernetes", error))?;
            let name_tag = or("resourceTag", "resource");
            (
                Scaler::Kubernetes { access, namespace, kind },
                tags.to_vec(),
                name_tag,
                ["resourceName", "resourceNameTag"],
            )
        }
        method => return Err(LowerError(format!("{}: {method} is not supported by this version", node.name))),
    };
    let resource = match node.string(name).filter(|name| !name.is_empty()) {
        Some(name) => ResourceName::Fixed(name.to_owned()),
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
