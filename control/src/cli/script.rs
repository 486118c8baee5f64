//! `check` and `fmt`: scripts, without a server.

use super::{CliError, flags::Flags};
use crate::tick::{compile_template, settle_script, udf::Udfs};

fn read(path: &str) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::Failed(format!("open {path}: {error}")))
}

/// Says what is wrong with scripts, with the lines.
pub fn check(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &[])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must provide at least one file".to_owned()));
    }
    let mut wrong = 0;
    for path in &flags.words {
        let source = read(path)?;
        // As a template, so that vars need no values; which functions the server has is not known here.
        match compile_template(&source, &Udfs::Any) {
            Ok(template) => {
                let warnings = template.compiled.warnings.iter();
                warnings.for_each(|found| eprint!("{}", found.render(path, &source)));
            }
            Err(error) => {
                wrong += 1;
                error.diagnostics.iter().for_each(|found| eprint!("{}", found.render(path, &source)));
            }
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err(CliError::Failed("1 script has errors".to_owned())),
        wrong => Err(CliError::Failed(format!("{wrong} scripts have errors"))),
    }
}

/// Rewrites scripts in their standard form; `--check` only says which are not. One that has errors stays as it is.
pub fn fmt(arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["check"])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must provide at least one file".to_owned()));
    }
    let (mut differ, mut broken) = (Vec::new(), false);
    for path in &flags.words {
        let source = read(path)?;
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
        if flags.is_set("check") {
            differ.push(path.as_str());
        } else {
            std::fs::write(path, formatted).map_err(|error| CliError::Failed(format!("write {path}: {error}")))?;
        }
    }
    match (differ.is_empty(), broken) {
        (true, false) => Ok(()),
        (true, true) => Err(CliError::Failed("what has errors was left as it is".to_owned())),
        (false, _) => Err(CliError::Failed(format!("not formatted: {}", differ.join(" ")))),
    }
}
