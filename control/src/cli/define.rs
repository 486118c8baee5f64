//! `define`: makes a task or changes it; a running one is reloaded.

use serde_json::{Map, Value, json};

use super::{CliError, client::Client, flags::Flags};

pub fn run(url: &str, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &["tick", "type", "dbrp", "vars", "template"], &["no-reload"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must provide a task ID.".to_owned()));
    };
    let mut body = Map::new();
    if let Some(path) = flags.get("tick") {
        let script =
            std::fs::read_to_string(path).map_err(|error| CliError::Failed(format!("open {path}: {error}")))?;
        body.insert("script".to_owned(), json!(script));
    }
    if let Some(word @ ("stream" | "batch")) = flags.get("type") {
        body.insert("type".to_owned(), json!(word));
    }
    if let Some(template) = flags.get("template") {
        body.insert("template-id".to_owned(), json!(template));
    }
    let dbrps = flags.all("dbrp").map(dbrp).collect::<Result<Vec<_>, _>>()?;
    if !dbrps.is_empty() {
        body.insert("dbrps".to_owned(), Value::Array(dbrps));
    }
    if let Some(path) = flags.get("vars") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::Failed(format!("failed to open file {path}: {error}")))?;
        let vars: Value = serde_json::from_str(&text)
            .map_err(|error| CliError::Failed(format!("invalid JSON in file {path}: {error}")))?;
        body.insert("vars".to_owned(), vars);
    }
    let client = Client::new(url)?;
    let path = format!("/tasks/{id}");
    let known = client.json(&format!("{path}?dot-view=attributes&replay-id=&script-format=formatted")).ok();
    let Some(known) = known else {
        body.insert("id".to_owned(), json!(id));
        body.insert("status".to_owned(), json!("disabled"));
        return client.call("POST", "/tasks", Some(&Value::Object(body))).map(drop);
    };
    client.call("PATCH", &path, Some(&Value::Object(body)))?;
    if known.get("status") == Some(&json!("enabled")) && !flags.is_set("no-reload") {
        client.call("PATCH", &path, Some(&json!({ "status": "disabled" })))?;
        client.call("PATCH", &path, Some(&json!({ "status": "enabled" })))?;
    }
    Ok(())
}

/// `db.rp`, each part plain or in double quotes. A plain database ends at the first dot.
fn dbrp(text: &str) -> Result<Value, CliError> {
    let invalid = || {
        CliError::Usage(format!(
            "invalid value {text:?} for flag -dbrp: does not contain a '.', it must be in the form \"dbname\".\"rpname\" where the quotes are optional."
        ))
    };
    let (db, rest) = part(text, true).ok_or_else(invalid)?;
    let (rp, _) = part(rest.strip_prefix('.').ok_or_else(invalid)?, false).ok_or_else(invalid)?;
    Ok(json!({ "db": db, "rp": rp }))
}

fn part(text: &str, ends_at_dot: bool) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = if ends_at_dot { text.find('.')? } else { text.len() };
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let end = quoted.match_indices('"').map(|(at, _)| at).find(|at| !quoted[..*at].ends_with('\\'))?;
    Some((quoted[..end].replace("\\\"", "\""), &quoted[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_and_policies_may_be_quoted() {
        assert_eq!(dbrp("a.b.c").unwrap(), json!({ "db": "a", "rp": "b.c" }));
        assert_eq!(dbrp(r#""a.b"."c\"d""#).unwrap(), json!({ "db": "a.b", "rp": "c\"d" }));
        assert!(dbrp("ab").is_err());
    }
}
