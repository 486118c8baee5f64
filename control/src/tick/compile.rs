//! A script, checked: all that can be said of it before it starts.

use proto::plan::Dbrp;

use super::{
    diagnostic::Diagnostic,
    format::format,
    interpret::{interpret, task_type},
    parser::parse,
    pipeline::{Pipeline, TaskType},
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
    let prefixed = |mut diagnostic: Diagnostic| {
        if !diagnostic.message.starts_with("invalid task type") {
            diagnostic.message.insert_str(0, "invalid TICKscript: ");
        }
        diagnostic
    };
    for (name, var) in options.vars {
        var.check().map_err(|error| Diagnostic::new(format!("invalid var {name}: {error}")))?;
    }
    let parsed = parse(source);
    if !parsed.diagnostics.is_empty() {
        return Err(CompileError { diagnostics: parsed.diagnostics.into_iter().map(prefixed).collect() });
    }
    let task_type = task_type(&parsed.program)?;
    let done = interpret(source, &parsed.program, task_type, options.vars).map_err(prefixed)?;
    validate::pipeline(&done.pipeline)
        .map_err(|(at, message)| prefixed(Diagnostic::new(message).at(source, at, at + 1)))?;
    Ok(Compiled { task_type, dbrps: done.dbrps, pipeline: done.pipeline })
}

/// The script in its standard form; as it is if it does not parse.
pub fn format_script(source: &str) -> String {
    let parsed = parse(source);
    if parsed.diagnostics.is_empty() { format(&parsed.program) } else { source.to_owned() }
}
