//! Templates, and the tasks that follow them (reference: http-api §13).
//!
//! A change of a template reaches its tasks in one transaction of the store. It is looked at first whether every enabled
//! one can start with the new script; where one cannot, all tasks stay as they are and go on running.

use std::sync::Arc;

use super::{
    Entry, TaskError, Tasks,
    change::{check_length, to_its_end},
    request::{self, TemplateDefinition, TypeWord},
};
use crate::{
    store::{StoreError, StoredTask, StoredTemplate, TemplateTable},
    tick::{Compiled, Template, compile_template, pipeline::TaskType},
};

/// A template as the API shows it.
#[derive(Clone, Debug)]
pub struct TemplateView {
    pub stored: StoredTemplate,
    /// The error that the script has now, if it is none any more.
    pub template: Result<Arc<Template>, String>,
}

/// A task with the script of its template.
struct Follower {
    stored: StoredTask,
    compiled: Result<Arc<Compiled>, String>,
}

impl Tasks {
    /// POST templates. `now` is in nanoseconds since 1970.
    pub async fn define_template(&self, definition: TemplateDefinition, now: i64) -> Result<TemplateView, TaskError> {
        let tasks = self.clone();
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            tasks.make_template(definition, now).await
        })
        .await
    }

    /// PATCH templates/ID. `now` is in nanoseconds since 1970.
    pub async fn change_template(
        &self,
        id: &str,
        change: TemplateDefinition,
        now: i64,
    ) -> Result<TemplateView, TaskError> {
        let (tasks, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            tasks.apply_to_template(&id, change, now).await
        })
        .await
    }

    /// DELETE templates/ID; one that does not exist is deleted already. Its tasks keep their copy of the script.
    pub async fn delete_template(&self, id: &str) -> Result<(), TaskError> {
        let (tasks, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            if tasks.templates().contains_key(&id) {
                let key = id.clone();
                tasks.write_template(move |table| table.delete(&key)).await?;
                tasks.templates().remove(&id);
            }
            Ok(())
        })
        .await
    }

    pub fn template(&self, id: &str) -> Result<TemplateView, TaskError> {
        self.templates().get(id).cloned().ok_or(TaskError::Missing("no template exists"))
    }

    /// A page of the templates whose id matches, in order of id. A negative limit lists none.
    pub fn list_templates(&self, page: &super::Page) -> Vec<TemplateView> {
        let templates = self.templates();
        let matching = templates.values().filter(|template| page.pattern.matches(&template.stored.id));
        matching.skip(page.offset).take(usize::try_from(page.limit).unwrap_or(0)).cloned().collect()
    }

    /// The script that a templated task has; what the request says of scripts does not count then.
    pub(super) fn script_of(&self, template: &str) -> Result<String, TaskError> {
        let gone = || TaskError::invalid(format!("unknown template {template}: err: no template exists"));
        self.templates().get(template).map(|template| template.stored.script.clone()).ok_or_else(gone)
    }

    async fn make_template(&self, definition: TemplateDefinition, now: i64) -> Result<TemplateView, TaskError> {
        let id = request::id_or_new(definition.id);
        if !request::is_valid_id(&id) {
            return Err(TaskError::invalid(format!(
                "template ID must contain only letters, numbers, '-', '.' and '_'. {id:?}"
            )));
        }
        check_length(&id)?;
        if self.templates().contains_key(&id) {
            return Err(TaskError::invalid(format!("template {id} already exists")));
        }
        let script = definition.script.unwrap_or_default();
        let template = compile(&script)?;
        let stored = StoredTemplate { id, script, created: now, modified: now };
        let kept = stored.clone();
        self.write_template(move |table| table.replace(None, &kept, &[])).await?;
        Ok(self.keep(stored, Ok(Arc::new(template))))
    }

    async fn apply_to_template(
        &self,
        id: &str,
        change: TemplateDefinition,
        now: i64,
    ) -> Result<TemplateView, TaskError> {
        let before = self.templates().get(id).cloned();
        let before = before.ok_or(TaskError::Missing("template does not exist, cannot update"))?;
        let (mut after, mut template) = (before.stored.clone(), before.template.clone());
        after.modified = now;
        let script = change.script.filter(|script| !script.is_empty());
        let scripted = script.is_some();
        if let Some(script) = script {
            template = Ok(Arc::new(compile(&script)?));
            after.script = script;
        }
        same_type(change.type_word, &before.template, &template)?;
        let renamed = change.id.filter(|new| !new.is_empty() && new != id);
        if let Some(new) = renamed.as_ref() {
            check_length(new)?;
            if self.templates().contains_key(new) {
                return Err(TaskError::Exists("failed to create new template during ID change: object already exists"));
            }
            after.id.clone_from(new);
        }
        let old: Vec<Follower> = self.followers(id, &after.id);
        let new = match scripted {
            true => self.reload(&before, &after, &template, &old),
            false => Ok(Vec::new()),
        };
        // A template keeps a script that its tasks cannot run: they are asked about it again when one of them changes.
        let rows = new.as_ref().ok().filter(|new| !new.is_empty()).unwrap_or(&old);
        let (kept, rows) = (after.clone(), rows.iter().map(|task| task.stored.clone()).collect::<Vec<_>>());
        let old_id = renamed.map(|_| id.to_owned());
        self.write_template(move |table| table.replace(old_id.as_deref(), &kept, &rows)).await?;
        self.templates().remove(id);
        let view = self.keep(after, template);
        for follower in &old {
            if let Some(entry) = self.index().get_mut(&follower.stored.id) {
                entry.stored.template_id.clone_from(&follower.stored.template_id);
            }
        }
        self.restart(&view.stored, old, new?).await?;
        Ok(view)
    }

    fn keep(&self, stored: StoredTemplate, template: Result<Arc<Template>, String>) -> TemplateView {
        let view = TemplateView { stored, template };
        self.templates().insert(view.stored.id.clone(), view.clone());
        view
    }

    /// The tasks of a template as they are, under the id that it has from now on.
    fn followers(&self, template: &str, id: &str) -> Vec<Follower> {
        let index = self.index();
        let following = index.values().filter(|entry| entry.stored.template_id == template);
        let follower = |entry: &Entry| Follower {
            stored: StoredTask { template_id: id.to_owned(), ..entry.stored.clone() },
            compiled: entry.compiled.clone(),
        };
        following.map(follower).collect()
    }

    /// The tasks with the new script. Fails with the first enabled one that could not start.
    fn reload(
        &self,
        before: &super::TemplateView,
        after: &StoredTemplate,
        template: &Result<Arc<Template>, String>,
        followers: &[Follower],
    ) -> Result<Vec<Follower>, TaskError> {
        let of_script = |template: &Result<Arc<Template>, String>| match template {
            Ok(template) => template.compiled.dbrps.clone(),
            Err(_) => Vec::new(),
        };
        let (old_dbrps, new_dbrps) = (of_script(&before.template), of_script(template));
        let reload = |follower: &Follower| {
            let mut stored = StoredTask { script: after.script.clone(), ..follower.stored.clone() };
            if !(old_dbrps.is_empty() && new_dbrps.is_empty()) {
                stored.dbrps.clone_from(&new_dbrps);
            }
            let entry = self.entry(stored);
            if entry.stored.enabled {
                self.prepare(&entry).map_err(|error| reload_failed(&entry.stored.id, &error))?;
            }
            Ok(Follower { stored: entry.stored, compiled: entry.compiled })
        };
        followers.iter().map(reload).collect()
    }

    /// Puts the new definitions in place and starts enabled ones anew. Where one does not start after all, the old ones
    /// come back.
    async fn restart(
        &self,
        template: &StoredTemplate,
        old: Vec<Follower>,
        new: Vec<Follower>,
    ) -> Result<(), TaskError> {
        let mut done = 0;
        let mut failed = None;
        for follower in new {
            done += 1;
            let id = follower.stored.id.clone();
            if let Err(error) = self.put_in_place(follower).await {
                failed = Some(reload_failed(&id, &error.to_string()));
                break;
            }
        }
        let Some(failed) = failed else { return Ok(()) };
        let (kept, rows) = (template.clone(), old.iter().map(|task| task.stored.clone()).collect::<Vec<_>>());
        self.write_template(move |table| table.replace(None, &kept, &rows)).await?;
        for follower in old.into_iter().take(done) {
            let id = follower.stored.id.clone();
            if let Err(error) = self.put_in_place(follower).await {
                tracing::error!(service = "task_store", task = id, err = %error, "failed to start task as it was before");
            }
        }
        Err(failed)
    }

    async fn put_in_place(&self, follower: Follower) -> Result<(), TaskError> {
        let Follower { stored, compiled } = follower;
        let (id, enabled) = (stored.id.clone(), stored.enabled);
        self.stop(&id, false).await;
        self.index().insert(id.clone(), Entry { stored, compiled, running: None, error: String::new() });
        if enabled { self.start(&id).await } else { Ok(()) }
    }

    async fn write_template(
        &self,
        change: impl FnOnce(&TemplateTable) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), TaskError> {
        let table = self.shared.template_table.clone();
        match tokio::task::spawn_blocking(move || change(&table)).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(TaskError::Interrupted(error.to_string())),
        }
    }
}

impl TemplateView {
    /// A template of the store.
    pub(super) fn new(stored: StoredTemplate) -> TemplateView {
        let template = compile(&stored.script).map(Arc::new).map_err(|error| error.to_string());
        TemplateView { stored, template }
    }
}

/// A change leaves the type as it is or says so, and its script keeps to it.
fn same_type(
    said: Option<TypeWord>,
    before: &Result<Arc<Template>, String>,
    after: &Result<Arc<Template>, String>,
) -> Result<(), TaskError> {
    let kept = before.as_ref().ok().map(|template| template.compiled.task_type);
    let wanted = match said {
        Some(TypeWord::Stream) => Some(TaskType::Stream),
        Some(TypeWord::Batch) => Some(TaskType::Batch),
        Some(TypeWord::Invalid) | None => kept,
    };
    let found = after.as_ref().ok().map(|template| template.compiled.task_type);
    match (wanted, found) {
        (Some(wanted), Some(found)) if wanted != found => Err(TaskError::invalid(format!(
            "invalid TICKscript: name {:?} is undefined in a template of type {}",
            found.word(),
            wanted.word()
        ))),
        _ => Ok(()),
    }
}

fn compile(script: &str) -> Result<Template, TaskError> {
    let invalid = |error: crate::tick::CompileError| TaskError::Invalid {
        message: error.to_string(),
        diagnostics: error.diagnostics,
    };
    compile_template(script, crate::udf::udfs()).map_err(invalid)
}

fn reload_failed(task: &str, error: &str) -> TaskError {
    TaskError::CannotStart(format!("error reloading associated task {task}: {error}"))
}
