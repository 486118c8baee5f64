//! Scripts and what becomes of them: `golden/NAME.tick` beside `NAME.plan.json`, the plan that the data plane gets, and
//! `NAME.txt`, the findings as a terminal shows them. `FARAD_TEST_BLESS=1` writes both anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use control::tick::{Lowering, Options, compile, diagnostic::Diagnostic, vars::Vars};
use proto::plan::{Dbrp, ServerInfo};
use serde_json::Value;

#[test]
fn scripts_give_these_plans_and_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut scripts: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "tick"));
    scripts.sort();
    assert!(!scripts.is_empty());
    let wrong: Vec<_> = scripts.iter().flat_map(|script| check(script).unwrap()).collect();
    assert!(wrong.is_empty(), "FARAD_TEST_BLESS=1 writes anew what was meant\n{}", wrong.join("\n"));
}

/// What differs from the files beside a script.
fn check(script: &Path) -> io::Result<Vec<String>> {
    let source = fs::read_to_string(script)?;
    let file = script.file_name().unwrap_or_default().to_string_lossy();
    let (plan, findings) = outcome(&source, &file)?;
    let beside = [(script.with_extension("plan.json"), plan), (script.with_extension("txt"), findings)];
    beside.into_iter().filter_map(|(file, got)| compare(file, got).transpose()).collect()
}

/// Plan and findings of a script.
fn outcome(source: &str, file: &str) -> io::Result<(Option<String>, Option<String>)> {
    let compiled = match compile(source, Options { vars: &Vars::new() }) {
        Ok(compiled) => compiled,
        Err(error) => {
            let findings = error.diagnostics.iter().map(|found| found.render(file, source)).collect();
            return Ok((None, Some(findings)));
        }
    };
    let render = |found: &Diagnostic| found.render(file, source);
    let mut findings: String = compiled.warnings.iter().map(render).collect();
    let dbrps =
        if compiled.dbrps.is_empty() { vec![Dbrp { db: "d".to_owned(), rp: "r".to_owned() }] } else { compiled.dbrps };
    let server = ServerInfo::default();
    let lowering = Lowering::bare("t", &dbrps, &server);
    let plan = match compiled.pipeline.lower(&lowering) {
        Ok((plan, _)) => Some(laid_out(&serde_json::to_value(plan)?, 0) + "\n"),
        Err(error) => {
            findings += &format!("error: {error}\n");
            None
        }
    };
    Ok((plan, (!findings.is_empty()).then_some(findings)))
}

fn compare(file: PathBuf, got: Option<String>) -> io::Result<Option<String>> {
    let want = fs::read_to_string(&file).ok();
    if want == got {
        return Ok(None);
    }
    if std::env::var_os("FARAD_TEST_BLESS").is_some() {
        match got {
            Some(got) => fs::write(file, got)?,
            None => fs::remove_file(file)?,
        }
        return Ok(None);
    }
    let show = |text: Option<String>| text.unwrap_or_else(|| "nothing\n".to_owned());
    Ok(Some(format!("{}\nwant {}got {}", file.display(), show(want), show(got))))
}

/// JSON with a line for whatever fits on one, so that it reads and diffs well.
fn laid_out(value: &Value, depth: usize) -> String {
    let flat = value.to_string();
    if flat.len() + depth <= 120 {
        return flat;
    }
    let (pad, end) = (" ".repeat(depth + 1), " ".repeat(depth));
    match value {
        Value::Object(map) => {
            let key = |key: &String| Value::String(key.clone());
            let rows: Vec<_> =
                map.iter().map(|(name, value)| format!("{pad}{}: {}", key(name), laid_out(value, depth + 1))).collect();
            format!("{{\n{}\n{end}}}", rows.join(",\n"))
        }
        Value::Array(values) => {
            let rows: Vec<_> = values.iter().map(|value| format!("{pad}{}", laid_out(value, depth + 1))).collect();
            format!("[\n{}\n{end}]", rows.join(",\n"))
        }
        _ => flat,
    }
}
