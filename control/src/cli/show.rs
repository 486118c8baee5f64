//! `show ID`: a task.

use serde_json::Value;

use super::{CliError, client, client::Server, flags::Flags, look, text};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &["replay"], &["json"])?;
    let [id] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must specify one task ID".to_owned()));
    };
    let (id, replay) = (client::segment(id), client::query(flags.get("replay").unwrap_or_default()));
    let path = format!("/tasks/{id}?dot-view=attributes&replay-id={replay}&script-format=formatted");
    let task = server.connect()?.get(&path)?;
    if flags.is_set("json") {
        return super::result(&flags, &task);
    }
    say!("ID: {}", text(&task, "id"));
    say!("Error: {}", text(&task, "error"));
    say!("Template: {}", text(&task, "template-id"));
    say!("Type: {}", text(&task, "type"));
    say!("Status: {}", text(&task, "status"));
    say!("Executing: {}", task.get("executing").and_then(Value::as_bool).unwrap_or_default());
    say!("Created: {}", look::utc(&text(&task, "created")));
    say!("Modified: {}", look::utc(&text(&task, "modified")));
    say!("LastEnabled: {}", look::utc(&text(&task, "last-enabled")));
    say!("Databases Retention Policies: {}", look::dbrps(&task));
    say!("TICKscript:\n{}", text(&task, "script"));
    let vars = look::vars(&task);
    if !vars.is_empty() {
        say!("Vars:\n{:30}{:10}{:40}", "Name", "Type", "Value");
        for (name, kind, value, _) in vars {
            say!("{name:30}{kind:10}{value:40}");
        }
    }
    say!("DOT:\n{}", text(&task, "dot"));
    Ok(())
}
