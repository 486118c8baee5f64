//! Templates by id, with the tasks that a change of one touches.

use serde::{Deserialize, Serialize};

use super::{
    StoreError, StoredTask,
    table::{Keyed, Table},
};

/// A template as it was defined, and when, in nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTemplate {
    pub id: String,
    pub script: String,
    pub created: i64,
    pub modified: i64,
}

#[derive(Clone)]
pub struct TemplateTable {
    pub(super) templates: Table<StoredTemplate>,
    pub(super) tasks: Table<StoredTask>,
}

impl Keyed for StoredTemplate {
    fn key(&self) -> String {
        self.id.clone()
    }
}

impl TemplateTable {
    /// All templates, in order of id.
    pub fn all(&self) -> Result<Vec<StoredTemplate>, StoreError> {
        self.templates.all()
    }

    /// Puts a template, removes it under the id that it had before, if another, and puts the tasks that follow it: all or
    /// nothing.
    pub fn replace(
        &self,
        old: Option<&str>,
        template: &StoredTemplate,
        tasks: &[StoredTask],
    ) -> Result<(), StoreError> {
        self.templates.change(|transaction| {
            self.templates.replace_in(transaction, old, template)?;
            tasks.iter().try_for_each(|task| self.tasks.replace_in(transaction, None, task))
        })
    }

    pub fn delete(&self, id: &str) -> Result<(), StoreError> {
        self.templates.delete(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn a_template_and_its_tasks_are_changed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let template = |id: &str| StoredTemplate { id: id.into(), script: "s".into(), created: 1, modified: 2 };
        let task = StoredTask {
            id: "t".into(),
            template_id: "b".into(),
            script: "s".into(),
            dbrps: vec![],
            vars: Default::default(),
            enabled: false,
            created: 1,
            modified: 1,
            last_enabled: None,
        };
        {
            let templates = Store::open(folder.path()).unwrap().templates();
            templates.replace(None, &template("a"), &[]).unwrap();
            templates.replace(Some("a"), &template("b"), std::slice::from_ref(&task)).unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.templates().all().unwrap(), [template("b")]);
        assert_eq!(store.tasks().all().unwrap(), [task]);
        store.templates().delete("b").unwrap();
        assert!(store.templates().all().unwrap().is_empty());
    }
}
