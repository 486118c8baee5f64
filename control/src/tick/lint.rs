//! What a script may say and hardly means: it is accepted, and then no point or no start succeeds.
//!
//! reference: tickscript §6: functions are looked up for each point, operators on constants when the task starts.

use dataplane::expr::Lambda;

use super::{
    ast::{Node, NodeKind, Program, Statement},
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic},
    functions,
    pipeline::{Pipeline, PipelineNode},
    value::ScriptValue,
};

/// Warnings of a script that was accepted.
pub fn lint(source: &str, program: &Program, pipeline: &Pipeline) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for statement in &program.statements {
        if let Statement::Declaration { value: node, .. } | Statement::Expression(node) = statement {
            unknown_functions(source, node, false, &mut found);
        }
    }
    for node in &pipeline.nodes {
        for expression in lambdas(node) {
            if let Err(error) = Lambda::compile(expression) {
                let message = format!("the task cannot start: {}: {error}", node.name);
                found.push(Diagnostic::new(message).located(source, node.at, node.at + node.spec.method.len()));
            }
        }
    }
    found.truncate(DIAGNOSTICS_MAX);
    found
}

/// All lambdas of a node and its properties.
fn lambdas(node: &PipelineNode) -> impl Iterator<Item = &proto::Expr> {
    let settings = node.settings.iter().flat_map(|setting| &setting.arguments);
    node.arguments.iter().chain(settings).filter_map(|argument| match argument {
        ScriptValue::Lambda(expression) => Some(expression),
        _ => None,
    })
}

fn unknown_functions(source: &str, node: &Node, in_lambda: bool, found: &mut Vec<Diagnostic>) {
    if found.len() >= DIAGNOSTICS_MAX {
        return;
    }
    let mut each = |nodes: &[Node], in_lambda| {
        nodes.iter().for_each(|node| unknown_functions(source, node, in_lambda, found));
    };
    match &node.kind {
        NodeKind::Chain { head, links } => {
            each(std::slice::from_ref(head), in_lambda);
            for link in links {
                if let NodeKind::Call { arguments, .. } = &link.right.kind {
                    each(arguments, in_lambda);
                }
            }
        }
        NodeKind::Call { name, arguments, .. } => {
            each(arguments, in_lambda);
            if in_lambda && !functions::is_known(name) {
                let message = format!("undefined function: {name:?}, every point will fail");
                let mut warning = Diagnostic::new(message).located(source, node.at, node.at + name.len());
                warning.help = functions::meant(name).map(|meant| format!("did you mean {meant}?"));
                found.push(warning);
            }
        }
        NodeKind::Lambda(body) => each(std::slice::from_ref(body), true),
        NodeKind::Binary { left, right, .. } => {
            each(std::slice::from_ref(left), in_lambda);
            each(std::slice::from_ref(right), in_lambda);
        }
        NodeKind::Unary { operand, .. } => each(std::slice::from_ref(operand), in_lambda),
        _ => {}
    }
}
