//! `delete KIND PATTERN…`.

use serde_json::{Value, json};

use super::{CliError, client, client::Server, flags::Flags};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let Some((kind, patterns)) = flags.words.split_first() else {
        return Err(CliError::Usage("Must pass at least one ID".to_owned()));
    };
    if !matches!(kind.as_str(), "tasks" | "templates" | "recordings" | "replays" | "topics" | "topic-handlers") {
        return Err(CliError::Failed(format!(
            "cannot delete '{kind}' did you mean 'tasks', 'templates', 'recordings', 'replays', 'topics' or 'topic-handlers'?"
        )));
    }
    let Some((first, others)) = patterns.split_first() else {
        return Err(CliError::Usage("Must pass at least one ID".to_owned()));
    };
    let client = server.connect()?;
    let mut deleted = Vec::new();
    // Handlers are those of the topic that comes first.
    let patterns = if kind == "topic-handlers" { others } else { patterns };
    for pattern in patterns {
        let elements = match kind.as_str() {
            "topics" => {
                let list = client.get(&format!("/alerts/topics?min-level=OK&pattern={}", client::query(pattern)))?;
                list.get("topics").and_then(Value::as_array).cloned().unwrap_or_default()
            }
            "topic-handlers" => {
                let topic = client::segment(first);
                let path = format!("/alerts/topics/{topic}/handlers?pattern={}", client::query(pattern));
                client.get(&path)?.get("handlers").and_then(Value::as_array).cloned().unwrap_or_default()
            }
            kind => client.list(kind, &["link"], pattern)?,
        };
        for element in elements {
            client.call("DELETE", &super::href(&element, "link"), None)?;
            deleted.push(json!(super::text(&element, "id")));
        }
    }
    super::result(&flags, &Value::Array(deleted))
}
