//! `delete tasks PATTERN…`.

use serde_json::Value;

use super::{CliError, client::Client, flags::Flags};

pub fn run(url: &str, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &[])?;
    let Some((kind, patterns)) = flags.words.split_first() else {
        return Err(CliError::Usage("Must pass at least one ID".to_owned()));
    };
    if kind != "tasks" {
        return Err(CliError::Failed(format!("cannot delete '{kind}' did you mean 'tasks'?")));
    }
    if patterns.is_empty() {
        return Err(CliError::Usage("Must pass at least one ID".to_owned()));
    }
    let client = Client::new(url)?;
    for pattern in patterns {
        for task in client.tasks(pattern, &["link"])? {
            let href = task.get("link").and_then(|link| link.get("href")).and_then(Value::as_str);
            client.call("DELETE", href.unwrap_or_default(), None)?;
        }
    }
    Ok(())
}
