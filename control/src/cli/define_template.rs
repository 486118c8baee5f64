//! `define-template`: makes a template or changes it; its tasks follow.

use serde_json::{Map, Value, json};

use super::{CliError, client, client::Server, flags::Flags, input, script::explained};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &["tick", "type"], &["json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must provide a template ID.".to_owned()));
    };
    let mut body = Map::new();
    if let Some(word @ ("stream" | "batch")) = flags.get("type") {
        body.insert("type".to_owned(), json!(word));
    }
    if let Some(path) = flags.get("tick") {
        body.insert("script".to_owned(), json!(input::read(path)?));
    }
    let client = server.connect()?;
    let path = format!("/templates/{}", client::segment(id));
    let done = match client.get(&format!("{path}?script-format=formatted")) {
        Ok(_) => client.call_json("PATCH", &path, Some(&Value::Object(body))),
        Err(_) => {
            body.insert("id".to_owned(), json!(id));
            client.call_json("POST", "/templates", Some(&Value::Object(body)))
        }
    };
    let object = done.map_err(|error| explained(error, flags.get("tick")))?;
    super::result(&flags, &object)
}
