//! What a script may say and hardly means: it is accepted, and then no point or no start succeeds.
//!
//! reference: tickscript §6: functions are looked up for each point, operators on constants when the task starts.

use proto::{expr::BinaryOp, plan::Dbrp};

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
            calls(source, node, false, &mut found);
        }
        if let Statement::Expression(node) = statement
            && !matches!(node.kind, NodeKind::Chain { .. } | NodeKind::Call { .. })
        {
            let warning = Diagnostic::warning("this does nothing: it is neither a var nor a chain of nodes");
            found.push(warning.located(source, node.at, node.at + 1));
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

/// Calls in lambdas that no function takes, and comparisons that are hardly meant.
fn calls(source: &str, node: &Node, in_lambda: bool, found: &mut Vec<Diagnostic>) {
    if found.len() >= DIAGNOSTICS_MAX {
        return;
    }
    let mut each = |nodes: &[Node], in_lambda| {
        nodes.iter().for_each(|node| calls(source, node, in_lambda, found));
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
            if let Some((message, help)) = functions::hopeless(name, arguments.len()).filter(|_| in_lambda) {
                let warning = Diagnostic::warning(message).located(source, node.at, node.at + name.len());
                found.push(Diagnostic { help, ..warning });
            }
        }
        NodeKind::Lambda(body) => each(std::slice::from_ref(body), true),
        NodeKind::Binary { operator, left, right, .. } => {
            each(std::slice::from_ref(left), in_lambda);
            each(std::slice::from_ref(right), in_lambda);
            if let Some((message, help)) = comparison(*operator, &left.kind, &right.kind).filter(|_| in_lambda) {
                let sign = operator.as_str().len();
                found.push(Diagnostic::warning(message).located(source, node.at, node.at + sign).help(help));
            }
        }
        NodeKind::Unary { operand, .. } => each(std::slice::from_ref(operand), in_lambda),
        _ => {}
    }
}

/// What is wrong with a comparison that is accepted, and what was probably meant.
fn comparison(operator: BinaryOp, left: &NodeKind, right: &NodeKind) -> Option<(String, String)> {
    let sign = operator.as_str();
    match (operator, left, right) {
        (BinaryOp::RegexMatch | BinaryOp::RegexNotMatch, _, NodeKind::String { value, .. }) => {
            let message = format!("{sign} takes a regular expression on its right, every point will fail");
            Some((message, format!("write /{}/", value.replace('/', "\\/"))))
        }
        // Two floats are rarely equal: this looks like a string in the wrong quotes.
        (BinaryOp::Equal | BinaryOp::NotEqual, NodeKind::Reference(one), NodeKind::Reference(other)) => {
            let message = format!("{sign} compares two fields or tags here, {one:?} and {other:?}");
            Some((message, format!("write '{other}' if a string is meant")))
        }
        _ => None,
    }
}
