//! `replay`: a recording through a task. `replay-live`: what InfluxDB holds, without keeping it.

use serde_json::{Map, Value, json};

use super::{CliError, client::Server, flags::Flags, record::finish, span};

const SWITCHES: [&str; 4] = ["real-clock", "rec-time", "no-wait", "json"];

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &["task", "recording", "replay-id"], &SWITCHES)?;
    let get = |name: &str| flags.get(name).unwrap_or_default();
    if get("recording").is_empty() {
        return Err(CliError::Incomplete("must pass recording ID".to_owned()));
    }
    if get("task").is_empty() {
        return Err(CliError::Incomplete("must pass task ID".to_owned()));
    }
    let mut body = common(&flags);
    body.insert("recording".to_owned(), json!(get("recording")));
    let client = server.connect()?;
    let object = client.call_json("POST", "/replays", Some(&Value::Object(body)))?;
    finish(&client, &flags, object)
}

pub fn live(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let Some((kind, arguments)) = arguments.split_first() else {
        return Err(CliError::Usage("Must specify a replay-live type: batch or query".to_owned()));
    };
    let with_value = ["task", "start", "past", "stop", "query", "cluster", "replay-id"];
    let flags = Flags::read(arguments, &with_value, &SWITCHES)?;
    let get = |name: &str| flags.get(name).unwrap_or_default();
    let mut body = common(&flags);
    match kind.as_str() {
        "batch" => {
            if get("task").is_empty() {
                return Err(CliError::Incomplete("task is required".to_owned()));
            }
            let (start, stop) = span::range(&flags, dataplane::clock::now())?;
            body.extend([("start".to_owned(), json!(start)), ("stop".to_owned(), json!(stop))]);
        }
        "query" => {
            if get("query").is_empty() || get("task").is_empty() {
                return Err(CliError::Incomplete("both query and task are required".to_owned()));
            }
            body.insert("query".to_owned(), json!(get("query")));
            if !get("cluster").is_empty() {
                body.insert("cluster".to_owned(), json!(get("cluster")));
            }
        }
        kind => {
            return Err(CliError::Failed(format!("Unknown replay-live type {kind:?}, expected 'batch' or 'query'")));
        }
    }
    let client = server.connect()?;
    let object = client.call_json("POST", &format!("/replays/{kind}"), Some(&Value::Object(body)))?;
    finish(&client, &flags, object)
}

/// The keys that every kind of replay has.
fn common(flags: &Flags) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(id) = flags.get("replay-id").filter(|id| !id.is_empty()) {
        body.insert("id".to_owned(), json!(id));
    }
    body.insert("task".to_owned(), json!(flags.get("task").unwrap_or_default()));
    body.insert("recording-time".to_owned(), json!(flags.is_set("rec-time")));
    body.insert("clock".to_owned(), json!(if flags.is_set("real-clock") { "real" } else { "fast" }));
    body
}
