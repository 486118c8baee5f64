//! `enable`, `disable`, `reload`.

use serde_json::{Value, json};

use super::{CliError, client::Client, flags::Flags};

/// Brings every task that matches to each of the states, one after the other.
pub fn run(url: &str, arguments: &[String], states: &[&str]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &[])?;
    if flags.words.is_empty() {
        return Err(CliError::Usage("Must pass at least one task ID".to_owned()));
    }
    let client = Client::new(url)?;
    for state in states {
        for pattern in &flags.words {
            for task in client.tasks(pattern, &["link"])? {
                let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
                let (id, href) = (text(task.get("id")), text(task.get("link").and_then(|link| link.get("href"))));
                let verb = if *state == "enabled" { "enabling" } else { "disabling" };
                client
                    .call("PATCH", &href, Some(&json!({ "status": state })))
                    .map_err(|error| CliError::Failed(format!("{verb} task {id}: {error}")))?;
            }
        }
    }
    Ok(())
}
