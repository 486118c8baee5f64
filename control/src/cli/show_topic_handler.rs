//! `show-topic-handler TOPIC HANDLER`.

use serde_json::{Value, json};

use super::{CliError, client, client::Server, flags::Flags, text};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [topic, id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must specify one topic ID and one handler ID".to_owned()));
    };
    let path = format!("/alerts/topics/{}/handlers/{}", client::segment(topic), client::segment(id));
    let handler = server.connect()?.get(&path)?;
    if flags.is_set("json") {
        return super::result(&flags, &handler);
    }
    let options = handler.get("options").filter(|options| !options.is_null()).cloned().unwrap_or_else(|| json!({}));
    say!("ID: {}", text(&handler, "id"));
    say!("Topic: {topic}");
    say!("Kind: {}", text(&handler, "kind"));
    say!("Match: {}", handler.get("match").and_then(Value::as_str).unwrap_or_default());
    say!("Options: {}", crate::api::answer::compact(&options));
    Ok(())
}
