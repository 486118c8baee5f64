//! Tasks by id.

use proto::plan::Dbrp;
use serde::{Deserialize, Serialize};

use super::table::{Keyed, Table};
use crate::tick::vars::Vars;

/// A task as it was defined, and when. Times are nanoseconds since 1970; `last_enabled` is `None` until the first time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredTask {
    pub id: String,
    #[serde(default)]
    pub template_id: String,
    pub script: String,
    pub dbrps: Vec<Dbrp>,
    #[serde(default)]
    pub vars: Vars,
    pub enabled: bool,
    pub created: i64,
    pub modified: i64,
    pub last_enabled: Option<i64>,
}

pub type TaskTable = Table<StoredTask>;

impl Keyed for StoredTask {
    fn key(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn task(id: &str) -> StoredTask {
        StoredTask {
            id: id.into(),
            template_id: String::new(),
            script: "stream|from()".into(),
            dbrps: vec![Dbrp { db: "a".into(), rp: "b".into() }],
            vars: Vars::new(),
            enabled: true,
            created: 1,
            modified: 2,
            last_enabled: None,
        }
    }

    #[test]
    fn what_was_put_is_there_when_the_store_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        {
            let tasks = Store::open(folder.path()).unwrap().tasks();
            tasks.put(&task("b")).unwrap();
            tasks.put(&task("a")).unwrap();
            tasks.replace(Some("b"), &task("c")).unwrap();
        }
        let tasks = Store::open(folder.path()).unwrap().tasks();
        assert_eq!(tasks.all().unwrap(), [task("a"), task("c")]);
        tasks.delete("a").unwrap();
        assert_eq!(tasks.all().unwrap(), [task("c")]);
    }
}
