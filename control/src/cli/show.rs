//! `show ID`.

use serde_json::Value;

use super::{CliError, client::Client, flags::Flags, list::dbrps};

pub fn run(url: &str, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &["replay"], &["json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must specify one task ID".to_owned()));
    };
    let replay = flags.get("replay").unwrap_or_default();
    let path = format!("/tasks/{id}?dot-view=attributes&replay-id={replay}&script-format=formatted");
    let client = Client::new(url)?;
    if flags.is_set("json") {
        say!("{}", client.get(&path)?);
        return Ok(());
    }
    let task = client.json(&path)?;
    let text = |key: &str| task.get(key).and_then(Value::as_str).unwrap_or_default();
    say!("ID: {}", text("id"));
    say!("Error: {}", text("error"));
    say!("Template: {}", text("template-id"));
    say!("Type: {}", text("type"));
    say!("Status: {}", text("status"));
    say!("Executing: {}", task.get("executing").and_then(Value::as_bool).unwrap_or_default());
    say!("Created: {}", date(text("created")));
    say!("Modified: {}", date(text("modified")));
    say!("LastEnabled: {}", date(text("last-enabled")));
    say!("Databases Retention Policies: {}", dbrps(&task));
    say!("TICKscript:\n{}", text("script"));
    if let Some(vars) = task.get("vars").and_then(Value::as_object).filter(|vars| !vars.is_empty()) {
        say!("Vars:\n{:30}{:10}{:40}", "Name", "Type", "Value");
        let mut names: Vec<_> = vars.iter().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        for (name, var) in names {
            let kind = var.get("type").and_then(Value::as_str).unwrap_or_default();
            say!("{name:30}{kind:10}{:40}", value(kind, var.get("value").unwrap_or(&Value::Null)));
        }
    }
    say!("DOT:\n{}", text("dot"));
    Ok(())
}

fn value(kind: &str, value: &Value) -> String {
    match (kind, value) {
        ("duration", Value::Number(nanoseconds)) => {
            crate::tick::dot::duration(nanoseconds.as_i64().unwrap_or_default().unsigned_abs())
        }
        ("star", _) => "[*]".to_owned(),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => {
            let item = |item: &Value| item.get("value").and_then(Value::as_str).unwrap_or("*").to_owned();
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        (_, other) => other.to_string(),
    }
}

/// `23 Nov 26 06:20 UTC` of a time in RFC 3339.
fn date(time: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |range: std::ops::Range<usize>| time.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&"");
    format!("{} {month} {} {} UTC", part(8..10), part(2..4), part(11..16))
}
