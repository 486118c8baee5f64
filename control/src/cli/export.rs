//! `export`: every definition of a server as one JSON document, which `import` takes to another one.
//!
//! `{"templates": [{id, type, script}], "tasks": [{id, type, script | template-id, dbrps, vars, status}],
//! "handlers": [{topic, id, kind, match, options}]}`, each list by id. Scripts are as they were written. It asks for
//! nothing that Kapacitor 1.5 does not answer (reference: http-api §7, §10, §14).

use serde_json::{Map, Value, json};

use super::{
    CliError,
    client::{self, Client, Server},
    flags::Flags,
    list, text,
};

/// What `import` needs of a definition.
const TEMPLATE: &[&str] = &["id", "type", "script"];
const TASK: &[&str] = &["id", "type", "dbrps", "status", "vars"];
const HANDLER: &[&str] = &["topic", "id", "kind", "match", "options"];

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    if !flags.words.is_empty() {
        return Err(CliError::Usage("export takes no arguments, it writes to standard output.".to_owned()));
    }
    let client = server.connect()?;
    let templates = by_id(&client, "templates")?;
    let known: Vec<String> = templates.iter().map(|template| text(template, "id")).collect();
    let tasks = by_id(&client, "tasks")?;
    // Those of scripts come with their tasks and are in no list.
    let handlers = list::handlers_matching(&client, "", &[String::new()])?;
    let document = json!({
        "templates": templates.iter().map(|template| Value::Object(pick(template, TEMPLATE))).collect::<Vec<_>>(),
        "tasks": tasks.iter().map(|task| definition(task, &known)).collect::<Vec<_>>(),
        "handlers": handlers.iter().map(|handler| Value::Object(pick(handler, HANDLER))).collect::<Vec<_>>(),
    });
    super::print(&format!("{}\n", crate::api::answer::pretty(&document)));
    Ok(())
}

/// All objects of a kind, whole: a list of Kapacitor 1.5 leaves out which template a task has. A template that no longer
/// compiles is there without an id.
fn by_id(client: &Client, kind: &str) -> Result<Vec<Value>, CliError> {
    let mut ids: Vec<String> = client.list(kind, &["type"], "")?.iter().map(|object| text(object, "id")).collect();
    ids.retain(|id| !id.is_empty());
    ids.sort();
    let one = |id: &String| client.get(&format!("/{kind}/{}?script-format=raw", client::segment(id)));
    ids.iter().map(one).collect()
}

fn pick(object: &Value, keys: &[&str]) -> Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), object.get(*key)?.clone()))).collect()
}

/// A task whose template is gone is taken along with the script that it still has.
fn definition(task: &Value, templates: &[String]) -> Value {
    let mut picked = pick(task, TASK);
    let template = text(task, "template-id");
    match templates.contains(&template) {
        true => picked.insert("template-id".to_owned(), json!(template)),
        false => picked.insert("script".to_owned(), task["script"].clone()),
    };
    Value::Object(picked)
}
