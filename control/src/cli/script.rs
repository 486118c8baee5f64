//! `check` and `fmt`: scripts, without a server.

use serde_json::{Value, json};

use super::{CliError, flags::Flags, input};
use crate::tick::{
    compile_template,
    diagnostic::{Diagnostic, Severity},
    settle_script,
    udf::Udfs,
};

/// What is to be said of a script. It is read as a template, so that vars need no values; which functions the server has is
/// not known here.
fn findings(source: &str) -> Vec<Diagnostic> {
    match compile_template(source, &Udfs::Any) {
        Ok(template) => template.compiled.warnings.clone(),
        Err(error) => error.diagnostics,
    }
}

/// The refusal of the script of a file, with the places in it.
pub fn explained(error: CliError, path: Option<&str>) -> CliError {
    let (CliError::Failed(message), Some(path)) = (&error, path) else { return error };
    let Ok(source) = input::read(path) else { return error };
    let mut text = message.clone();
    for found in findings(&source).iter().filter(|found| found.severity == Severity::Error) {
        let rendered = found.render(path, &source);
        // What the server said needs no repetition.
        let shown = rendered.strip_prefix(&format!("error: {message}")).unwrap_or(&rendered);
        text.push('\n');
        text.push_str(shown.trim_matches('\n'));
    }
    CliError::Failed(text)
}

/// Says what is wrong with scripts, with the lines.
pub fn check(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must provide at least one file".to_owned()));
    }
    let (mut wrong, mut files) = (0, Vec::new());
    for path in &flags.words {
        let source = input::read(path)?;
        let found = findings(&source);
        wrong += usize::from(found.iter().any(|found| found.severity == Severity::Error));
        if !flags.is_set("json") {
            found.iter().for_each(|found| eprint!("{}", found.render(path, &source)));
        }
        files.push(json!({ "file": path, "diagnostics": found }));
    }
    super::result(&flags, &Value::Array(files))?;
    match wrong {
        0 => Ok(()),
        1 => Err(CliError::Failed("1 script has errors".to_owned())),
        wrong => Err(CliError::Failed(format!("{wrong} scripts have errors"))),
    }
}

/// Rewrites scripts in their standard form; `--check` only says which are not. One that has errors stays as it is.
pub fn fmt(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["check", "json"])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must provide at least one file".to_owned()));
    }
    let (mut differ, mut broken) = (Vec::new(), false);
    for path in &flags.words {
        let source = input::read(path)?;
        let formatted = match settle_script(&source) {
            Ok(formatted) => formatted,
            Err(found) => {
                broken = true;
                found.iter().for_each(|found| eprint!("{}", found.render(path, &source)));
                continue;
            }
        };
        if formatted == source {
            continue;
        }
        differ.push(path.as_str());
        if !flags.is_set("check") {
            std::fs::write(path, formatted).map_err(|error| CliError::Failed(format!("write {path}: {error}")))?;
        }
    }
    super::result(&flags, &json!(differ))?;
    match (differ.is_empty() || !flags.is_set("check"), broken) {
        (true, false) => Ok(()),
        (true, true) => Err(CliError::Failed("what has errors was left as it is".to_owned())),
        (false, _) => Err(CliError::Failed(format!("not formatted: {}", differ.join(" ")))),
    }
}
