//! `enable`, `disable`, `reload`.

use serde_json::{Value, json};

use super::{CliError, client::Server, flags::Flags};

/// Brings every task that matches to each of the states, one after the other.
pub fn run(server: &Server, arguments: &[String], states: &[&str]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must pass at least one task ID".to_owned()));
    }
    let client = server.connect()?;
    let mut changed: Vec<Value> = Vec::new();
    for state in states {
        for pattern in &flags.words {
            for task in client.list("tasks", &["link"], pattern)? {
                let (id, href) = (super::text(&task, "id"), super::href(&task, "link"));
                let verb = if *state == "enabled" { "enabling" } else { "disabling" };
                client
                    .call("PATCH", &href, Some(&json!({ "status": state })))
                    .map_err(|error| CliError::Failed(format!("{verb} task {id}: {error}")))?;
                if !changed.contains(&json!(id)) {
                    changed.push(json!(id));
                }
            }
        }
    }
    super::result(&flags, &Value::Array(changed))
}
