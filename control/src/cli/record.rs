//! `record stream|batch|query`.

use serde_json::{Map, Value, json};

use super::{CliError, client::Server, flags::Flags, span};

const FLAGS: [&str; 9] = ["task", "duration", "recording-id", "start", "past", "stop", "query", "type", "cluster"];

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let Some((kind, arguments)) = arguments.split_first() else {
        return Err(CliError::Usage("Must specify a record type: stream, batch or query".to_owned()));
    };
    let flags = Flags::read(arguments, &FLAGS, &["no-wait", "json"])?;
    let get = |name: &str| flags.get(name).unwrap_or_default();
    let incomplete = |message: &str| Err(CliError::Incomplete(message.to_owned()));
    let now = dataplane::clock::now();
    let mut body = Map::new();
    if !get("recording-id").is_empty() {
        body.insert("id".to_owned(), json!(get("recording-id")));
    }
    match kind.as_str() {
        "stream" => {
            if get("task").is_empty() || get("duration").is_empty() {
                return incomplete("both task and duration are required");
            }
            let stop = now.saturating_add(span::duration(get("duration"))?);
            body.extend([("task".to_owned(), json!(get("task"))), ("stop".to_owned(), json!(span::time(stop)))]);
        }
        "batch" => {
            if get("task").is_empty() {
                return incomplete("task is required");
            }
            let (start, stop) = span::range(&flags, now)?;
            body.insert("task".to_owned(), json!(get("task")));
            body.extend([("start".to_owned(), json!(start)), ("stop".to_owned(), json!(stop))]);
        }
        "query" => {
            if get("query").is_empty() || get("type").is_empty() {
                return incomplete("both query and type are required");
            }
            body.extend([("query".to_owned(), json!(get("query"))), ("type".to_owned(), json!(get("type")))]);
            if !get("cluster").is_empty() {
                body.insert("cluster".to_owned(), json!(get("cluster")));
            }
        }
        kind => {
            return Err(CliError::Failed(format!(
                "Unknown record type {kind:?}, expected 'stream', 'batch' or 'query'"
            )));
        }
    }
    let client = server.connect()?;
    let object = client.call_json("POST", &format!("/recordings/{kind}"), Some(&Value::Object(body)))?;
    finish(&client, &flags, object)
}

/// Waits for the end, unless told not to, and shows the id; a failure is the verb's.
pub fn finish(client: &super::client::Client, flags: &Flags, object: Value) -> Result<(), CliError> {
    let object = if flags.is_set("no-wait") { object } else { client.wait(object)? };
    if flags.is_set("json") {
        super::result(flags, &object)?;
    } else {
        say!("{}", super::text(&object, "id"));
    }
    match super::text(&object, "status").as_str() {
        "failed" => Err(CliError::Failed(super::text(&object, "error"))),
        _ => Ok(()),
    }
}
