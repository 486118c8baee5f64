//! `import FILE`: makes the definitions of an `export` on a server; tasks that were enabled are enabled last.
//!
//! What is there already stays as it is, unless `-overwrite` is given. What a server refuses is named, and the rest goes
//! on: a server that is taken over must not fail at the first script that was broken before.

use serde_json::{Value, json};

use super::{
    CliError,
    client::{self, Client, Server},
    flags::Flags,
    input, text,
};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["overwrite", "no-enable", "json"])?;
    let [path] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must provide the file that export wrote.".to_owned()));
    };
    let document = input::structured(path, "export file")?;
    let of = |kind: &str| document.get(kind).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !["templates", "tasks", "handlers"].iter().any(|kind| document.get(*kind).is_some_and(Value::is_array)) {
        return Err(CliError::Failed(format!("{path} has neither templates nor tasks nor handlers")));
    }
    let client = server.connect()?;
    let mut import = Import { client: &client, overwrite: flags.is_set("overwrite"), report: Report::default() };
    for template in of("templates") {
        import.define("template", "/templates", template);
    }
    let mut to_enable = Vec::new();
    for task in of("tasks") {
        let mut disabled = task.clone();
        disabled["status"] = json!("disabled");
        if import.define("task", "/tasks", &disabled) && text(task, "status") == "enabled" {
            to_enable.push(text(task, "id"));
        }
    }
    for handler in of("handlers") {
        let handlers = format!("/alerts/topics/{}/handlers", client::segment(&text(handler, "topic")));
        import.define("handler", &handlers, handler);
    }
    if !flags.is_set("no-enable") {
        for id in &to_enable {
            import.enable(id);
        }
    }
    import.report.tell(&flags)
}

/// What became of each definition: kind and id, and why not.
#[derive(Default)]
struct Report {
    made: Vec<(&'static str, String)>,
    kept: Vec<(&'static str, String)>,
    failed: Vec<(&'static str, String, String)>,
}

struct Import<'a> {
    client: &'a Client,
    overwrite: bool,
    report: Report,
}

impl Import<'_> {
    /// Makes one definition, or replaces it; says whether it is as the file has it.
    fn define(&mut self, kind: &'static str, collection: &str, definition: &Value) -> bool {
        let id = text(definition, "id");
        let one = format!("{collection}/{}", client::segment(&id));
        let exists = self.client.get(&one).is_ok();
        if exists && !self.overwrite {
            self.report.kept.push((kind, id));
            return false;
        }
        let (method, path) = match (exists, kind) {
            (false, _) => ("POST", collection),
            (true, "handler") => ("PUT", one.as_str()),
            (true, _) => ("PATCH", one.as_str()),
        };
        match self.send(method, path, definition) {
            Ok(()) => self.report.made.push((kind, id)),
            Err(error) => {
                self.report.failed.push((kind, id, error.to_string()));
                return false;
            }
        }
        true
    }

    /// A server shows the databases that a script names among those of the task, but takes them from one place only.
    fn send(&self, method: &str, path: &str, definition: &Value) -> Result<(), CliError> {
        match self.client.call(method, path, Some(definition)) {
            Err(CliError::Failed(message)) if message.starts_with("cannot specify dbrp") => {
                let mut of_script = definition.clone();
                of_script["dbrps"] = json!([]);
                self.client.call(method, path, Some(&of_script)).map(drop)
            }
            answer => answer.map(drop),
        }
    }

    fn enable(&mut self, id: &str) {
        let path = format!("/tasks/{}", client::segment(id));
        if let Err(error) = self.client.call("PATCH", &path, Some(&json!({ "status": "enabled" }))) {
            self.report.failed.push(("task", id.to_owned(), format!("it does not start: {error}")));
        }
    }
}

impl Report {
    fn tell(self, flags: &Flags) -> Result<(), CliError> {
        let object = |(kind, id): &(&str, String)| json!({ "kind": kind, "id": id });
        let failed = |(kind, id, error): &(&str, String, String)| json!({ "kind": kind, "id": id, "error": error });
        super::result(
            flags,
            &json!({
                "made": self.made.iter().map(object).collect::<Vec<_>>(),
                "kept": self.kept.iter().map(object).collect::<Vec<_>>(),
                "failed": self.failed.iter().map(failed).collect::<Vec<_>>(),
            }),
        )?;
        if !self.kept.is_empty() && !flags.is_set("json") {
            let kept: Vec<String> = self.kept.iter().map(|(kind, id)| format!("{kind} {id}")).collect();
            say!("kept what was there (-overwrite replaces it): {}", kept.join(", "));
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = self.failed.iter().map(|(kind, id, error)| format!("{kind} {id}: {error}")).collect();
        Err(CliError::Failed(format!("{}\n{} made, {} refused", lines.join("\n"), self.made.len(), lines.len())))
    }
}
