//! A script, checked: all that can be said of it before it starts.

use proto::{limits::EXPR_DEPTH_MAX, plan::Dbrp};

use super::{
    diagnostic::Diagnostic,
    format::format,
    interpret::{Declared, Environment, interpret, task_type},
    lint::lint,
    parser::parse,
    pipeline::{Pipeline, PipelineNode, TaskType},
    udf::Udfs,
    validate,
    vars::Vars,
};

/// What stands beside the script.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub vars: &'a Vars,
}

/// A script that is a task.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub task_type: TaskType,
    /// From the script's `dbrp` statements.
    pub dbrps: Vec<Dbrp>,
    pub pipeline: Pipeline,
    /// What is accepted and hardly meant.
    pub warnings: Vec<Diagnostic>,
}

/// Why a script is no task; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// In the order in which the API reports them: its one-line error is the first.
    pub diagnostics: Vec<Diagnostic>,
}

impl std::error::Error for CompileError {}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.diagnostics.first().map_or("", |first| &first.message))
    }
}

impl From<Diagnostic> for CompileError {
    fn from(diagnostic: Diagnostic) -> Self {
        CompileError { diagnostics: vec![diagnostic] }
    }
}

/// Checks a script and makes its pipeline. The texts of errors begin as the API's do.
pub fn compile(source: &str, options: Options<'_>) -> Result<Compiled, CompileError> {
    compile_with_udfs(source, options, &Udfs::default())
}

/// As [`compile`], with the user-defined functions that the script may call.
pub fn compile_with_udfs(source: &str, options: Options<'_>, udfs: &Udfs) -> Result<Compiled, CompileError> {
    Ok(compile_in(source, Environment { vars: options.vars, udfs, template: false })?.0)
}

pub(super) fn compile_in(
    source: &str,
    environment: Environment<'_>,
) -> Result<(Compiled, Vec<Declared>), CompileError> {
    for (name, var) in environment.vars {
        var.check().map_err(|error| Diagnostic::new(format!("invalid var {name}: {error}")))?;
    }
    let parsed = parse(source);
    if !parsed.diagnostics.is_empty() {
        return Err(prefixed(parsed.diagnostics));
    }
    let task_type = task_type(&parsed.program)?;
    let done = interpret(source, &parsed.program, task_type, environment).map_err(prefixed)?;
    let wrong = validate::pipeline(&done.pipeline);
    if !wrong.is_empty() {
        let located = |(node, message): (&PipelineNode, String)| {
            Diagnostic::new(message).at(source, node.at, node.at + node.spec.method.len())
        };
        return Err(prefixed(wrong.into_iter().map(located).collect()));
    }
    let starts = done.declared.iter().all(|var| var.type_name.is_none());
    let warnings = lint(source, &parsed.program, environment.vars, &done.pipeline, &done.dbrps, starts);
    Ok((Compiled { task_type, dbrps: done.dbrps, pipeline: done.pipeline, warnings }, done.declared))
}

fn prefixed(mut diagnostics: Vec<Diagnostic>) -> CompileError {
    for diagnostic in &mut diagnostics {
        diagnostic.message.insert_str(0, "invalid TICKscript: ");
    }
    CompileError { diagnostics }
}

/// Most runs of the formatter until its result is its own standard form: a break before one operator breaks before the
/// next one in the next run.
const FORMAT_RUNS_MAX: usize = 2 * EXPR_DEPTH_MAX;

/// The script in a standard form that formatting leaves as it is.
pub fn settle_script(source: &str) -> Result<String, Vec<Diagnostic>> {
    let mut text = source.to_owned();
    for _ in 0..FORMAT_RUNS_MAX {
        let parsed = parse(&text);
        if !parsed.diagnostics.is_empty() {
            return Err(parsed.diagnostics);
        }
        let formatted = format(&parsed.program);
        if formatted == text {
            break;
        }
        text = formatted;
    }
    Ok(text)
}

/// The script as the formatter writes it once, which is what the API shows; as it is if it does not parse.
pub fn format_script(source: &str) -> String {
    let parsed = parse(source);
    if parsed.diagnostics.is_empty() { format(&parsed.program) } else { source.to_owned() }
}
