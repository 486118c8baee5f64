//! `list KIND [PATTERN…]`.

use serde_json::Value;

use super::{
    CliError, client,
    client::{Client, Server},
    flags::Flags,
    look::{self, Column},
    text,
};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let Some((kind, patterns)) = flags.words.split_first() else {
        return Err(CliError::Usage(
            "Must specify 'tasks', 'recordings', 'replays', 'topics', or 'topic-handlers'".to_owned(),
        ));
    };
    let list: fn(&Client, &[String]) -> Result<List, CliError> = match kind.as_str() {
        "tasks" => tasks,
        "templates" => templates,
        "recordings" => recordings,
        "replays" => replays,
        "topics" => topics,
        "topic-handlers" => topic_handlers,
        "service-tests" => service_tests,
        kind => {
            return Err(CliError::Failed(format!(
                "cannot list '{kind}' did you mean 'tasks', 'recordings', 'replays', 'topics', 'topic-handlers' or 'service-tests'?"
            )));
        }
    };
    let all = [String::new()];
    let List { elements, columns, row } = list(&server.connect()?, if patterns.is_empty() { &all } else { patterns })?;
    if flags.is_set("json") {
        return super::result(&flags, &Value::Array(elements));
    }
    let rows: Vec<Vec<String>> = elements.iter().map(row).collect();
    super::print(&look::table(&columns, &rows));
    Ok(())
}

/// What came back, and how it is shown.
struct List {
    elements: Vec<Value>,
    columns: Vec<(&'static str, Column)>,
    row: fn(&Value) -> Vec<String>,
}

fn paged(client: &Client, kind: &str, fields: &[&str], patterns: &[String]) -> Result<Vec<Value>, CliError> {
    let mut elements = Vec::new();
    for pattern in patterns {
        elements.extend(client.list(kind, fields, pattern)?);
    }
    Ok(elements)
}

fn tasks(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let mut elements = paged(client, "tasks", &["type", "status", "executing", "dbrps"], patterns)?;
    elements.sort_by_key(|task| text(task, "id"));
    let columns = vec![
        ("ID", Column::Fit(2)),
        ("Type", Column::Fixed(10)),
        ("Status", Column::Fixed(10)),
        ("Executing", Column::Fixed(10)),
        ("Databases and Retention Policies", Column::Rest),
    ];
    let row = |task: &Value| {
        let executing = task.get("executing").and_then(Value::as_bool).unwrap_or_default();
        vec![text(task, "id"), text(task, "type"), text(task, "status"), executing.to_string(), look::dbrps(task)]
    };
    Ok(List { elements, columns, row })
}

fn templates(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let elements = paged(client, "templates", &["type", "vars"], patterns)?;
    let columns = vec![("ID", Column::Fit(2)), ("Type", Column::Fixed(10)), ("Vars", Column::Fixed(40))];
    let row = |template: &Value| {
        let names: Vec<String> = look::vars(template).into_iter().map(|(name, ..)| name).collect();
        vec![text(template, "id"), text(template, "type"), names.join(",")]
    };
    Ok(List { elements, columns, row })
}

fn recordings(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let elements = paged(client, "recordings", &["type", "size", "date", "status"], patterns)?;
    let columns = vec![
        ("ID", Column::Fit(2)),
        ("Type", Column::Fixed(8)),
        ("Status", Column::Fixed(10)),
        ("Size", Column::Fixed(10)),
        ("Date", Column::Fixed(23)),
    ];
    let row = |recording: &Value| {
        let bytes = recording.get("size").and_then(Value::as_i64).unwrap_or_default();
        let date = look::local(&text(recording, "date"));
        vec![text(recording, "id"), text(recording, "type"), text(recording, "status"), look::size(bytes), date]
    };
    Ok(List { elements, columns, row })
}

fn replays(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let elements = paged(client, "replays", &["task", "recording", "status", "clock", "date"], patterns)?;
    let columns = vec![
        ("ID", Column::Fit(2)),
        ("Task", Column::Fit(4)),
        ("Recording", Column::Fit(9)),
        ("Status", Column::Fixed(9)),
        ("Clock", Column::Fixed(8)),
        ("Date", Column::Fixed(23)),
    ];
    let row = |replay: &Value| {
        let words = ["id", "task", "recording", "status", "clock"].map(|key| text(replay, key));
        words.into_iter().chain([look::local(&text(replay, "date"))]).collect()
    };
    Ok(List { elements, columns, row })
}

fn topics_matching(client: &Client, pattern: &str) -> Result<Vec<Value>, CliError> {
    let list = client.get(&format!("/alerts/topics?min-level=OK&pattern={}", client::query(pattern)))?;
    Ok(list.get("topics").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn topics(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let mut elements = Vec::new();
    for pattern in patterns {
        elements.extend(topics_matching(client, pattern)?);
    }
    let columns = vec![("ID", Column::Fit(2)), ("Level", Column::Fit(8)), ("Collected", Column::Right(10))];
    let row = |topic: &Value| {
        let collected = topic.get("collected").and_then(Value::as_i64).unwrap_or_default();
        vec![text(topic, "id"), text(topic, "level"), collected.to_string()]
    };
    Ok(List { elements, columns, row })
}

/// The handlers that match one of the patterns, of the topics that match theirs; each with its topic.
pub fn handlers_matching(client: &Client, topic: &str, patterns: &[String]) -> Result<Vec<Value>, CliError> {
    let mut handlers = Vec::new();
    for topic in topics_matching(client, topic)? {
        for pattern in patterns {
            let path = format!("{}?pattern={}", super::href(&topic, "handlers-link"), client::query(pattern));
            let list = client.get(&path)?;
            for handler in list.get("handlers").and_then(Value::as_array).into_iter().flatten() {
                let mut handler = handler.clone();
                handler["topic"] = list["topic"].clone();
                handlers.push(handler);
            }
        }
    }
    Ok(handlers)
}

/// The first pattern is that of topics, the others are those of handlers.
fn topic_handlers(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let (topic, handlers) = patterns.split_first().map_or(("", &[][..]), |(topic, rest)| (topic.as_str(), rest));
    let all = [String::new()];
    let elements = handlers_matching(client, topic, if handlers.is_empty() { &all } else { handlers })?;
    let columns = vec![("Topic", Column::Fit(10)), ("ID", Column::Fit(10)), ("Kind", Column::Fit(10))];
    let row = |handler: &Value| vec![text(handler, "topic"), text(handler, "id"), text(handler, "kind")];
    Ok(List { elements, columns, row })
}

/// The service tests that match a pattern.
pub fn services_matching(client: &Client, pattern: &str) -> Result<Vec<Value>, CliError> {
    let list = client.get(&format!("/service-tests?pattern={}", client::query(pattern)))?;
    Ok(list.get("services").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn service_tests(client: &Client, patterns: &[String]) -> Result<List, CliError> {
    let mut elements = Vec::new();
    for pattern in patterns {
        elements.extend(services_matching(client, pattern)?);
    }
    let columns = vec![("Service Name", Column::Rest)];
    Ok(List { elements, columns, row: |service| vec![text(service, "name")] })
}
