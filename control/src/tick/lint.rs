//! What a script may say and hardly means: it is accepted, and then no point or no start succeeds.
//!
//! reference: tickscript §6: functions are looked up for each point, operators on constants when the task starts.

use proto::plan::Dbrp;

use super::{
    ast::{Node, NodeKind, Program, Statement},
    diagnostic::{DIAGNOSTICS_MAX, Diagnostic, suggest},
    functions,
    pipeline::Pipeline,
    vars::Vars,
};

/// Warnings of a script that was accepted.
///
/// `starts` says that all vars have values, so that a start can be tried.
pub fn lint(
    source: &str,
    program: &Program,
    vars: &Vars,
    pipeline: &Pipeline,
    dbrps: &[Dbrp],
    starts: bool,
) -> Vec<Diagnostic> {
    let mut found = unknown_vars(program, vars);
    for statement in &program.statements {
        if let Statement::Declaration { value: node, .. } | Statement::Expression(node) = statement {
            unknown_functions(source, node, false, &mut found);
        }
    }
    let refusals = if starts { pipeline.refusals(dbrps) } else { Vec::new() };
    for (node, error) in refusals.into_iter().take(DIAGNOSTICS_MAX) {
        let warning = Diagnostic::warning(format!("the task cannot start: {error}"));
        found.push(warning.located(source, node.at, node.at + node.spec.method.len()));
    }
    found.truncate(DIAGNOSTICS_MAX);
    found
}

/// Values for vars that the script does not have.
fn unknown_vars(program: &Program, vars: &Vars) -> Vec<Diagnostic> {
    let declared = |statement| match statement {
        &Statement::Declaration { ref name, .. } | &Statement::TypedDeclaration { ref name, .. } => {
            Some(name.name.as_str())
        }
        _ => None,
    };
    let declared: Vec<&str> = program.statements.iter().filter_map(declared).collect();
    let unknown = vars.keys().filter(|name| !declared.contains(&name.as_str())).take(DIAGNOSTICS_MAX);
    let warning = |name: &String| {
        let warning = Diagnostic::warning(format!("the script has no var {name:?}"));
        match suggest(name, declared.iter().copied()) {
            Some(meant) => warning.help(format!("did you mean {meant}?")),
            None => warning,
        }
    };
    unknown.map(warning).collect()
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
                let mut warning = Diagnostic::warning(message).located(source, node.at, node.at + name.len());
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
