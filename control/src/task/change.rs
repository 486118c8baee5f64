//! Definitions made, changed and removed (reference: http-api §8).

use std::sync::Arc;

use super::{Change, Definition, Entry, Status, TaskError, Tasks, View, request};
use crate::store::{StoreError, StoredTask, TaskTable};

/// Longest id in bytes; ids are keys of the store.
const ID_BYTES_MAX: usize = 500;

impl Tasks {
    /// POST tasks. `now` is in nanoseconds since 1970.
    pub async fn define(&self, definition: Definition, now: i64) -> Result<View, TaskError> {
        let tasks = self.clone();
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            tasks.make(definition, now).await
        })
        .await
    }

    /// PATCH tasks/ID. `now` is in nanoseconds since 1970.
    pub async fn change(&self, id: &str, change: Change, now: i64) -> Result<View, TaskError> {
        let (tasks, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            tasks.apply(&id, change, now).await
        })
        .await
    }

    /// DELETE tasks/ID; one that does not exist is deleted already.
    pub async fn delete(&self, id: &str) -> Result<(), TaskError> {
        let (tasks, id) = (self.clone(), id.to_owned());
        to_its_end(async move {
            let _operation = tasks.shared.operation.lock().await;
            tasks.remove(&id).await
        })
        .await
    }

    async fn make(&self, definition: Definition, now: i64) -> Result<View, TaskError> {
        let id = request::id_or_new(definition.id);
        if !request::is_valid_id(&id) {
            return Err(TaskError::invalid(format!(
                "task ID must contain only letters, numbers, '-', '.' and '_'. {id:?}"
            )));
        }
        check_length(&id)?;
        if self.index().contains_key(&id) {
            return Err(TaskError::invalid(format!("task {id} already exists")));
        }
        let template_id = definition.template_id.unwrap_or_default();
        let script = match template_id.as_str() {
            "" => definition.script.unwrap_or_default(),
            template => self.script_of(template)?,
        };
        if script.is_empty() {
            return Err(TaskError::invalid("must provide TICKscript"));
        }
        let vars = definition.vars.unwrap_or_default();
        let compiled = self.compile(&script, &vars)?;
        let dbrps = request::sole_dbrps(&compiled.dbrps, definition.dbrps.unwrap_or_default());
        let dbrps = dbrps.map_err(TaskError::invalid)?;
        let enabled = definition.status == Some(Status::Enabled);
        let stored = StoredTask {
            id: id.clone(),
            template_id,
            script,
            dbrps,
            vars,
            enabled,
            created: now,
            modified: now,
            last_enabled: enabled.then_some(now),
        };
        let kept = stored.clone();
        self.write(move |table| table.put(&kept)).await?;
        let entry = Entry { stored, compiled: Ok(Arc::new(compiled)), running: None, error: String::new() };
        self.index().insert(id.clone(), entry);
        if enabled {
            self.start(&id).await?;
        }
        self.get(&id)
    }

    async fn apply(&self, id: &str, change: Change, now: i64) -> Result<View, TaskError> {
        let (before, before_compiled) = match self.index().get(id) {
            Some(entry) => (entry.stored.clone(), entry.compiled.clone()),
            None => return Err(TaskError::Missing("task does not exist, cannot update")),
        };
        let mut after = before.clone();
        after.modified = now;
        let vars = change.vars.filter(|vars| !vars.is_empty());
        after.template_id = change.template_id.filter(|id| !id.is_empty()).unwrap_or(after.template_id);
        let script = match after.template_id.as_str() {
            "" => change.script.filter(|script| !script.is_empty()),
            // The template may have moved on since.
            template => Some(self.script_of(template)?).filter(|script| *script != before.script),
        };
        let dbrps = change.dbrps.unwrap_or_default();
        let mut compiled = before_compiled.clone();
        // A script that no longer compiles must not stand in the way of a change that leaves it alone.
        if vars.is_some() || script.is_some() || !dbrps.is_empty() {
            let lost_dbrps = script.is_some() && before_compiled.is_ok_and(|compiled| !compiled.dbrps.is_empty());
            after.vars = vars.unwrap_or(after.vars);
            after.script = script.unwrap_or(after.script);
            let new = self.compile(&after.script, &after.vars)?;
            match (new.dbrps.is_empty(), dbrps.is_empty()) {
                (false, false) => return Err(TaskError::invalid("cannot specify dbrp in implicitly and explicitly")),
                (false, true) => after.dbrps.clone_from(&new.dbrps),
                (true, false) => after.dbrps = dbrps,
                (true, true) if lost_dbrps => return Err(TaskError::invalid("must specify dbrp")),
                (true, true) => {}
            }
            compiled = Ok(Arc::new(new));
        }
        let renamed = change.id.filter(|new| !new.is_empty() && new != id);
        if let Some(new) = &renamed {
            check_length(new)?;
            if self.index().contains_key(new) {
                return Err(TaskError::Exists("failed to create new task during ID change: object already exists"));
            }
            after.id.clone_from(new);
        }
        match change.status {
            Some(Status::Enabled) if !before.enabled => {
                after.enabled = true;
                after.last_enabled = Some(now);
            }
            Some(Status::Disabled) => after.enabled = false,
            _ => {}
        }
        let (kept, old) = (after.clone(), renamed.as_ref().map(|_| id.to_owned()));
        self.write(move |table| table.replace(old.as_deref(), &kept)).await?;
        if before.enabled && (!after.enabled || renamed.is_some()) {
            self.stop(id, false).await;
        }
        let starts = after.enabled && (!before.enabled || renamed.is_some());
        let new_id = after.id.clone();
        {
            let mut index = self.index();
            let (running, error) = index.remove(id).map(|entry| (entry.running, entry.error)).unwrap_or_default();
            index.insert(new_id.clone(), Entry { stored: after, compiled, running, error });
        }
        if starts {
            self.start(&new_id).await?;
        }
        self.get(&new_id)
    }

    async fn remove(&self, id: &str) -> Result<(), TaskError> {
        let Some(enabled) = self.index().get(id).map(|entry| entry.stored.enabled) else { return Ok(()) };
        let key = id.to_owned();
        self.write(move |table| table.delete(&key)).await?;
        self.stop(id, enabled).await;
        self.index().remove(id);
        Ok(())
    }

    /// Carries out a change of the store where waiting for the disk holds up nobody else.
    async fn write(
        &self,
        change: impl FnOnce(&TaskTable) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), TaskError> {
        let table = self.shared.table.clone();
        match tokio::task::spawn_blocking(move || change(&table)).await {
            Ok(done) => Ok(done?),
            Err(error) => Err(TaskError::Interrupted(error.to_string())),
        }
    }
}

/// Runs an operation that must not stop half-way when the connection of its request closes.
pub(super) async fn to_its_end<T: Send + 'static>(
    operation: impl Future<Output = Result<T, TaskError>> + Send + 'static,
) -> Result<T, TaskError> {
    match tokio::spawn(operation).await {
        Ok(result) => result,
        Err(error) => Err(TaskError::Interrupted(error.to_string())),
    }
}

pub(super) fn check_length(id: &str) -> Result<(), TaskError> {
    match id.len() {
        0..=ID_BYTES_MAX => Ok(()),
        length => Err(TaskError::invalid(format!("the ID has {length} bytes, {ID_BYTES_MAX} are the most"))),
    }
}
