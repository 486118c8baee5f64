//! `define`: makes a task or changes it; a running one is reloaded.

use serde_json::{Map, Value, json};

use super::{CliError, client, client::Server, flags::Flags, input, script::explained};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let with_value = ["tick", "type", "dbrp", "vars", "template", "file"];
    let flags = Flags::read(arguments, &with_value, &["no-reload", "json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must provide a task ID.".to_owned()));
    };
    let mut body = match flags.get("file") {
        Some(path) => task_file(path, id)?,
        None => Map::new(),
    };
    if let Some(path) = flags.get("tick") {
        body.insert("script".to_owned(), json!(input::read(path)?));
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
            .map_err(|error| CliError::Failed(format!("failed to open file {path}: open {path}: {error}")))?;
        let vars: Value = serde_json::from_str(&text)
            .map_err(|error| CliError::Failed(format!("invalid JSON in file {path}: {error}")))?;
        // A whole task file may stand here, too.
        let vars = vars.get("vars").filter(|vars| vars.get("type").is_none()).cloned().unwrap_or(vars);
        body.insert("vars".to_owned(), vars);
    }
    let client = server.connect()?;
    let path = format!("/tasks/{}", client::segment(id));
    let known = client.get(&format!("{path}?dot-view=attributes&replay-id=&script-format=formatted")).ok();
    let object = match known {
        None => {
            body.insert("id".to_owned(), json!(id));
            body.insert("status".to_owned(), json!("disabled"));
            let made = client.call_json("POST", "/tasks", Some(&Value::Object(body)));
            made.map_err(|error| explained(error, flags.get("tick")))?
        }
        Some(known) => {
            let changed = client.call_json("PATCH", &path, Some(&Value::Object(body)));
            let mut object = changed.map_err(|error| explained(error, flags.get("tick")))?;
            if super::text(&known, "status") == "enabled" && !flags.is_set("no-reload") {
                client.call("PATCH", &path, Some(&json!({ "status": "disabled" })))?;
                object = client.call_json("PATCH", &path, Some(&json!({ "status": "enabled" })))?;
            }
            object
        }
    };
    super::result(&flags, &object)
}

/// The keys of a task file that go into the request.
fn task_file(path: &str, id: &str) -> Result<Map<String, Value>, CliError> {
    let Value::Object(file) = input::structured(path, "task file")? else {
        return Err(CliError::Failed(format!("{path} holds no object")));
    };
    if file.get("id").is_some_and(|given| given != id) {
        return Err(CliError::Failed(format!("Task id given on command line does not match id in {path}")));
    }
    let keys = ["template-id", "dbrps", "vars", "script", "type"];
    Ok(file.into_iter().filter(|(key, value)| keys.contains(&key.as_str()) && !value.is_null()).collect())
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
