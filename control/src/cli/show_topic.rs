//! `show-topic TOPIC`: its handlers and events.

use serde_json::Value;

use super::{
    CliError, client,
    client::Server,
    flags::Flags,
    look::{self, Column},
    text,
};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must specify one topic ID".to_owned()));
    };
    let client = server.connect()?;
    let topic = client.get(&format!("/alerts/topics/{}", client::segment(id)))?;
    let events = client.get(&format!("{}?min-level=OK", super::href(&topic, "events-link")))?;
    let handlers = client.get(&format!("{}?pattern=", super::href(&topic, "handlers-link")))?;
    let mut events = events.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
    events.sort_by_key(|event| text(event, "id"));
    let handlers: Vec<String> =
        handlers.get("handlers").and_then(Value::as_array).into_iter().flatten().map(|one| text(one, "id")).collect();
    let collected = topic.get("collected").and_then(Value::as_i64).unwrap_or_default();
    if flags.is_set("json") {
        let mut shown = topic.clone();
        shown["events"] = Value::Array(events);
        shown["handlers"] = serde_json::json!(handlers);
        return super::result(&flags, &shown);
    }
    say!("ID: {}", text(&topic, "id"));
    say!("Level: {}", text(&topic, "level"));
    say!("Collected: {collected}");
    say!("Handlers: [{}]", handlers.join(", "));
    say!("Events:");
    let columns = [
        ("Event", Column::Fit(5)),
        ("Level", Column::Fixed(9)),
        ("Message", Column::Fit(7)),
        ("Date", Column::Fixed(23)),
    ];
    let row = |event: &Value| {
        let state = event.get("state").cloned().unwrap_or_default();
        vec![text(event, "id"), text(&state, "level"), text(&state, "message"), look::local(&text(&state, "time"))]
    };
    super::print(&look::table(&columns, &events.iter().map(row).collect::<Vec<_>>()));
    Ok(())
}
