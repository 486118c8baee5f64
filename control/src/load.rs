//! The folder of definitions that are loaded at the start and at SIGHUP (reference: nodes-alert-join-io §5.5).
//!
//! `templates/*.tick`, `tasks/*.tick`, `tasks/*.{yaml,yml,json}`, `handlers/*.{yaml,yml,json}`, in this order. What was
//! loaded is written down beside the store, so that what a file has left behind is deleted when the file is gone.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use dataplane::clock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    alert::{Alerts, TopicHandler},
    task::{Definition, Status, Tasks, TemplateDefinition},
};

/// Loads definitions; the text says which file stands in the way.
pub struct Loader {
    pub folder: PathBuf,
    /// What was loaded before.
    pub ledger: PathBuf,
    pub tasks: Tasks,
    pub alerts: Alerts,
    /// Loads that an error ended.
    pub errors: AtomicU64,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Loaded {
    templates: BTreeSet<String>,
    tasks: BTreeSet<String>,
    /// Topic and id.
    handlers: BTreeSet<(String, String)>,
}

/// A definition file.
struct File {
    path: PathBuf,
    /// The name without its ending.
    id: String,
}

impl File {
    fn read(&self) -> Result<String, String> {
        fs::read_to_string(&self.path).map_err(|error| self.wrong(error))
    }

    /// A JSON or YAML file.
    fn structured(&self) -> Result<Value, String> {
        let text = self.read()?;
        match self.path.extension().is_some_and(|ending| ending == "json") {
            true => serde_json::from_str(&text).map_err(|error| self.wrong(error)),
            false => serde_yaml_ng::from_str(&text).map_err(|error| self.wrong(error)),
        }
    }

    fn wrong(&self, error: impl std::fmt::Display) -> String {
        format!("{}: {error}", self.path.display())
    }
}

impl Loader {
    /// Loads everything; the first error ends it and is logged and counted.
    pub async fn load(&self) {
        match self.load_all().await {
            Ok(()) => tracing::info!(service = "load", folder = %self.folder.display(), "definitions are loaded"),
            Err(error) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(service = "load", err = error, "definitions cannot be loaded");
            }
        }
    }

    async fn load_all(&self) -> Result<(), String> {
        let before = fs::read(&self.ledger).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let before: Loaded = before.unwrap_or_default();
        // Whatever stands in the way of the rest, what is loaded is written down.
        let mut now = Loaded::default();
        let done = self.load_into(&mut now).await;
        match done {
            Ok(()) => self.delete_gone(&before, &now).await?,
            Err(_) => {
                now.templates.extend(before.templates);
                now.tasks.extend(before.tasks);
                now.handlers.extend(before.handlers);
            }
        }
        let text = serde_json::to_vec(&now).map_err(|error| error.to_string())?;
        let part = self.ledger.with_extension("part");
        let written = fs::write(&part, text).and_then(|()| fs::rename(&part, &self.ledger));
        written.map_err(|error| format!("{}: {error}", self.ledger.display()))?;
        done
    }

    async fn load_into(&self, now: &mut Loaded) -> Result<(), String> {
        for file in files(&self.folder.join("templates"), &["tick"])? {
            let script = Some(file.read()?);
            let known = self.tasks.template(&file.id).is_ok();
            let definition = TemplateDefinition { id: (!known).then(|| file.id.clone()), script, type_word: None };
            let loaded = match known {
                true => self.tasks.change_template(&file.id, definition, clock::now()).await,
                false => self.tasks.define_template(definition, clock::now()).await,
            };
            loaded.map_err(|error| file.wrong(error))?;
            now.templates.insert(file.id);
        }
        for file in files(&self.folder.join("tasks"), &["tick"])? {
            let script = Some(file.read()?);
            self.task(&file, Definition { script, ..Definition::default() }).await?;
            now.tasks.insert(file.id);
        }
        for file in files(&self.folder.join("tasks"), &["yaml", "yml", "json"])? {
            let body = serde_json::to_vec(&file.structured()?).map_err(|error| file.wrong(error))?;
            let definition = Definition::read(&body).map_err(|error| file.wrong(error))?;
            self.task(&file, definition).await?;
            now.tasks.insert(file.id);
        }
        for file in files(&self.folder.join("handlers"), &["yaml", "yml", "json"])? {
            let handler: TopicHandler =
                serde_json::from_value(file.structured()?).map_err(|error| file.wrong(error))?;
            let key = (handler.topic.clone(), handler.id.clone());
            let alerts = self.alerts.clone();
            let change = move || match alerts.handler(&handler.topic, &handler.id) {
                Some(known) => alerts.replace_handler(&known.topic, &known.id, handler),
                None => alerts.create_handler(handler),
            };
            let changed = tokio::task::spawn_blocking(change).await.map_err(|error| file.wrong(error))?;
            changed.map_err(|error| file.wrong(error))?;
            now.handlers.insert(key);
        }
        Ok(())
    }

    /// A task that exists is changed and, so that it runs what it is now, disabled and enabled.
    async fn task(&self, file: &File, mut definition: Definition) -> Result<(), String> {
        let (id, now) = (&file.id, clock::now());
        let status = |status| Definition { status: Some(status), ..Definition::default() };
        definition.id = None;
        let loaded = if self.tasks.get(id).is_ok() {
            let changed = self.tasks.change(id, definition, now).await.map_err(|error| file.wrong(error))?;
            if changed.stored.enabled {
                self.tasks.change(id, status(Status::Disabled), now).await.map_err(|error| file.wrong(error))?;
            }
            self.tasks.change(id, status(Status::Enabled), now).await
        } else {
            definition.id = Some(id.clone());
            definition.status = Some(Status::Enabled);
            self.tasks.define(definition, now).await
        };
        loaded.map(drop).map_err(|error| file.wrong(error))
    }

    async fn delete_gone(&self, before: &Loaded, now: &Loaded) -> Result<(), String> {
        for id in before.tasks.difference(&now.tasks) {
            self.tasks.delete(id).await.map_err(|error| format!("task {id}: {error}"))?;
        }
        for id in before.templates.difference(&now.templates) {
            self.tasks.delete_template(id).await.map_err(|error| format!("template {id}: {error}"))?;
        }
        for gone in before.handlers.difference(&now.handlers) {
            let (alerts, (topic, id)) = (self.alerts.clone(), gone.clone());
            let deleted = tokio::task::spawn_blocking(move || alerts.delete_handler(&topic, &id)).await;
            deleted.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The files of a folder with one of these endings, by name. A folder that is not there has none.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<File>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    let file = |path: PathBuf| {
        let ending = text(path.extension())?;
        let id = text(path.file_stem())?;
        (endings.contains(&&*ending) && path.is_file()).then_some(File { path, id })
    };
    let mut files: Vec<File> = entries.filter_map(|entry| file(entry.ok()?.path())).collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_endings() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.tick", "a.tick", "c.yaml", "d.tick.bak"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let ids: Vec<_> = files(folder.path(), &["tick"]).unwrap().into_iter().map(|file| file.id).collect();
        assert_eq!(ids, ["a", "b"]);
        assert!(files(&folder.path().join("nowhere"), &["tick"]).unwrap().is_empty());
    }
}
