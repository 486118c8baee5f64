//! `list tasks`.

use serde_json::Value;

use super::{CliError, client::Client, flags::Flags};

pub fn run(url: &str, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let Some((kind, patterns)) = flags.words.split_first() else {
        return Err(CliError::Usage("Must specify 'tasks'".to_owned()));
    };
    if kind != "tasks" {
        return Err(CliError::Failed(format!("cannot list '{kind}' did you mean 'tasks'?")));
    }
    let client = Client::new(url)?;
    let all = [String::new()];
    let mut tasks = Vec::new();
    for pattern in if patterns.is_empty() { &all[..] } else { patterns } {
        tasks.extend(client.tasks(pattern, &["type", "status", "executing", "dbrps"])?);
    }
    let text = |task: &Value, key: &str| task.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    tasks.sort_by_key(|task| text(task, "id"));
    if flags.is_set("json") {
        say!("{}", Value::Array(tasks));
        return Ok(());
    }
    let width = tasks.iter().map(|task| text(task, "id").chars().count()).max().unwrap_or(0).max(2) + 1;
    say!("{:width$}{:10}{:10}{:10}Databases and Retention Policies", "ID", "Type", "Status", "Executing");
    for task in &tasks {
        let executing = task.get("executing").and_then(Value::as_bool).unwrap_or_default();
        say!(
            "{:width$}{:10}{:10}{executing:<10}{}",
            text(task, "id"),
            text(task, "type"),
            text(task, "status"),
            dbrps(task)
        );
    }
    Ok(())
}

/// `["db"."rp" "db2"."rp2"]`
pub fn dbrps(task: &Value) -> String {
    let dbrps = task.get("dbrps").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |dbrp: &Value| format!("{}.{}", dbrp["db"], dbrp["rp"]);
    format!("[{}]", dbrps.iter().map(text).collect::<Vec<_>>().join(" "))
}
