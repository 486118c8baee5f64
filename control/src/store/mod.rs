//! The store: LMDB through heed, one table a file.
//!
//! Every change that the API acknowledges is one durable transaction. Values are JSON, so that a store can be read by
//! eye and grow fields. An environment has one writer at a time; transactions are short.

mod handlers;
mod overrides;
mod recordings;
mod replays;
mod tasks;
mod templates;
mod topics;
mod users;

use std::{
    fs::File,
    io::Seek,
    path::{Path, PathBuf},
};

use heed::{
    CompactionOption, Database, Env, EnvOpenOptions,
    types::{Bytes, Str},
};

pub use handlers::HandlerTable;
pub use overrides::OverrideTable;
pub use recordings::{RecordingTable, StoredRecording};
pub use replays::{ReplayTable, StoredReplay};
pub use tasks::{StoredTask, TaskTable};
pub use templates::{StoredTemplate, TemplateTable};
pub use topics::TopicTable;
pub use users::UserTable;

/// Address space of the store, and so its largest size. Full: the change is refused and nothing of it is kept.
const BYTES_MAX: usize = 4 << 30;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the store in {path}: {error}")]
    Open { path: PathBuf, error: heed::Error },
    #[error("cannot make the store's folder {path}: {error}")]
    Folder { path: PathBuf, error: std::io::Error },
    #[error("cannot copy the store in {path}: {error}")]
    Copy { path: PathBuf, error: std::io::Error },
    #[error("the store: {0}")]
    Heed(#[from] heed::Error),
    #[error("an entry of the store cannot be read or written: {0}")]
    Json(#[from] serde_json::Error),
}

/// A table: names to JSON.
type Table = Database<Str, Bytes>;

/// An open store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    env: Env,
    tasks: Table,
    templates: Table,
    topics: Table,
    handlers: Table,
    overrides: Table,
    recordings: Table,
    replays: Table,
    users: Table,
}

impl Store {
    /// Opens the store in a folder, which is made if it is missing.
    #[allow(unsafe_code)]
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::Folder { path: path.to_owned(), error })?;
        let open_error = |error| StoreError::Open { path: path.to_owned(), error };
        // SAFETY: the folder is this process's own: whoever opens it has taken the socket of the data folder first, and
        // nothing else maps or truncates the files while they are open.
        let env = unsafe { EnvOpenOptions::new().map_size(BYTES_MAX).max_dbs(16).open(path) }.map_err(open_error)?;
        let mut transaction = env.write_txn()?;
        let tasks = env.create_database(&mut transaction, Some("tasks"))?;
        let templates = env.create_database(&mut transaction, Some("templates"))?;
        let topics = env.create_database(&mut transaction, Some("topics"))?;
        let handlers = env.create_database(&mut transaction, Some("handlers"))?;
        let overrides = env.create_database(&mut transaction, Some("overrides"))?;
        let recordings = env.create_database(&mut transaction, Some("recordings"))?;
        let replays = env.create_database(&mut transaction, Some("replays"))?;
        let users = env.create_database(&mut transaction, Some("users"))?;
        transaction.commit()?;
        Ok(Store { env, tasks, templates, topics, handlers, overrides, recordings, replays, users })
    }

    /// Reads everything; the error says what cannot be read.
    pub fn verify(&self) -> Result<(), StoreError> {
        let transaction = self.env.read_txn()?;
        let tables = [
            &self.tasks,
            &self.templates,
            &self.topics,
            &self.handlers,
            &self.overrides,
            &self.recordings,
            &self.replays,
            &self.users,
        ];
        for table in tables {
            for entry in table.iter(&transaction)? {
                serde_json::from_slice::<serde::de::IgnoredAny>(entry?.1)?;
            }
        }
        Ok(())
    }

    /// A consistent copy in a file without a name, with its length in bytes. What is written meanwhile is not in it.
    pub fn copy(&self) -> Result<(File, u64), StoreError> {
        let folder = |error| StoreError::Copy { path: self.env.path().to_owned(), error };
        let path = self.env.path().join(format!("copy-{}", uuid::Uuid::new_v4()));
        let copied = self.env.copy_to_path(&path, CompactionOption::Enabled);
        let unlinked = std::fs::remove_file(&path);
        let mut file = copied?;
        unlinked.map_err(folder)?;
        file.rewind().map_err(folder)?;
        let length = file.metadata().map_err(folder)?.len();
        Ok((file, length))
    }

    pub fn tasks(&self) -> TaskTable {
        TaskTable { env: self.env.clone(), table: self.tasks }
    }

    pub fn templates(&self) -> TemplateTable {
        TemplateTable { env: self.env.clone(), table: self.templates, tasks: self.tasks }
    }

    pub fn handlers(&self) -> HandlerTable {
        HandlerTable { env: self.env.clone(), table: self.handlers }
    }

    pub fn users(&self) -> UserTable {
        UserTable { env: self.env.clone(), table: self.users }
    }

    pub fn overrides(&self) -> OverrideTable {
        OverrideTable { env: self.env.clone(), table: self.overrides }
    }

    pub fn recordings(&self) -> RecordingTable {
        RecordingTable { env: self.env.clone(), table: self.recordings }
    }

    pub fn replays(&self) -> ReplayTable {
        ReplayTable { env: self.env.clone(), table: self.replays }
    }

    pub fn topics(&self) -> TopicTable {
        TopicTable { env: self.env.clone(), table: self.topics }
    }
}
