//! Templates by id, with the tasks that a change of one touches.

use heed::Env;
use serde::{Deserialize, Serialize};

use super::{StoreError, StoredTask, Table};

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
    pub(super) env: Env,
    pub(super) table: Table,
    pub(super) tasks: Table,
}

impl TemplateTable {
    /// All templates, in order of id.
    pub fn all(&self) -> Result<Vec<StoredTemplate>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut templates = Vec::new();
        for entry in self.table.iter(&transaction)? {
            templates.push(serde_json::from_slice(entry?.1)?);
        }
        Ok(templates)
    }

    /// Puts a template, removes it under the id that it had before, if another, and puts the tasks that follow it: all or
    /// nothing.
    pub fn replace(
        &self,
        old: Option<&str>,
        template: &StoredTemplate,
        tasks: &[StoredTask],
    ) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        if let Some(old) = old {
            self.table.delete(&mut transaction, old)?;
        }
        self.table.put(&mut transaction, &template.id, &serde_json::to_vec(template)?)?;
        for task in tasks {
            self.tasks.put(&mut transaction, &task.id, &serde_json::to_vec(task)?)?;
        }
        Ok(transaction.commit()?)
    }

    pub fn delete(&self, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, id)?;
        Ok(transaction.commit()?)
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
