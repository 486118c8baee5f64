//! What only a start finds wrong with a node (status 500), and needs no plan.
//!
//! reference: nodes-alert-join-io §1.1, §6.2, §7, §8; batch-and-replay §1.

use dataplane::{
    expr::Lambda,
    template::{Kind, Template},
};
use proto::plan::Dbrp;

use super::LowerError;
use crate::tick::{
    interpret::unresolved,
    pipeline::{Pipeline, PipelineNode},
    table::{Edge, When},
    value::ScriptValue,
};

pub(super) fn check(pipeline: &Pipeline, node: &PipelineNode, dbrps: &[Dbrp]) -> Result<(), LowerError> {
    edges(pipeline, node)?;
    node.lambdas().try_for_each(|lambda| expression(node, lambda))?;
    for setting in &node.settings {
        let property = setting.property;
        let checked = property.limit.check(property.name, &setting.arguments, When::Start);
        checked.map_err(|message| LowerError(format!("{}: {message}", node.name)))?;
    }
    match node.spec.method {
        "stats" if !matches!(node.arguments.first(), Some(ScriptValue::Duration(interval)) if *interval > 0) => {
            Err(LowerError::new("stats interval must be greater than zero"))
        }
        "kapacitorLoopback" => {
            let into = |property| node.string(property).unwrap_or_default();
            let (db, rp) = (into("database"), into("retentionPolicy"));
            match dbrps.iter().any(|dbrp| dbrp.db == db && dbrp.rp == rp) {
                true => Err(LowerError(format!("loop detected on dbrp: {db}.{rp}"))),
                false => Ok(()),
            }
        }
        "alert" | "deadman" => templates(node),
        "query" => schedule(node).and_then(|()| query(node)),
        "queryFlux" => schedule(node),
        _ => Ok(()),
    }
}

/// The texts of an alert that are templates.
fn templates(node: &PipelineNode) -> Result<(), LowerError> {
    for (property, kind) in [("id", Kind::Id), ("message", Kind::Message), ("details", Kind::Details)] {
        let Some(text) = node.string(property) else { continue };
        Template::new(kind, text).map_err(|error| LowerError(format!("{}: {property}: {error}", node.name)))?;
    }
    Ok(())
}

/// Operators on constants, and names that nothing stands for.
fn expression(node: &PipelineNode, lambda: &proto::Expr) -> Result<(), LowerError> {
    if let Some(name) = unresolved(lambda) {
        return Err(LowerError(format!("{}: {name} has no value in a lambda", node.name)));
    }
    Lambda::compile(lambda).map(|_| ()).map_err(|error| LowerError(format!("{}: {error}", node.name)))
}

/// Parents of one kind, and of the kind that a UDF wants.
fn edges(pipeline: &Pipeline, node: &PipelineNode) -> Result<(), LowerError> {
    let parents = || node.parents.iter().filter_map(|parent| pipeline.nodes.get(*parent));
    let wanted = match &node.udf {
        Some(call) if call.udf.wants != Edge::Same => Some(call.udf.wants),
        _ => parents().next().map(|first| first.provides),
    };
    let Some(wanted) = wanted else { return Ok(()) };
    let word = |edge| if edge == Edge::Batch { "batch" } else { "stream" };
    match parents().find(|parent| parent.provides != wanted) {
        Some(parent) => Err(LowerError(format!(
            "cannot add child mismatched edges: {}:{} -> {}:{}",
            parent.name,
            word(parent.provides),
            node.name,
            word(wanted)
        ))),
        None => Ok(()),
    }
}

fn schedule(node: &PipelineNode) -> Result<(), LowerError> {
    let every = node.duration("every").unwrap_or_default();
    let cron = node.string("cron").is_some_and(|cron| !cron.is_empty());
    match (every, cron) {
        (0, false) => Err(LowerError::new("must define one of 'every' or 'cron'")),
        (1.., true) | (..0, true) => Err(LowerError::new("must not set both 'every' and 'cron' properties")),
        (..0, false) => Err(LowerError::new("'every' duration must be non-negative")),
        _ => Ok(()),
    }
}

fn query(node: &PipelineNode) -> Result<(), LowerError> {
    let mut times = 0;
    dimensions(node.setting("groupBy").unwrap_or_default(), &mut times)?;
    if times > 1 {
        return Err(LowerError::new("groupBy cannot have more than one time dimension"));
    }
    Ok(())
}

/// Lists inside are flattened; `times` counts the time dimensions.
fn dimensions(arguments: &[ScriptValue], times: &mut usize) -> Result<(), LowerError> {
    for argument in arguments {
        match argument {
            ScriptValue::String(_) | ScriptValue::Star => {}
            ScriptValue::Time { .. } | ScriptValue::Duration(_) => *times += 1,
            ScriptValue::List(items) => dimensions(items, times)?,
            other => {
                let found = other.type_name();
                return Err(LowerError(format!("invalid dimension type:{found}, must be string or time.Duration")));
            }
        }
    }
    Ok(())
}
