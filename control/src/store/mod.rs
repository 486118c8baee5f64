//! The store: LMDB through heed, one table a file.
//!
//! Every change that the API acknowledges is one durable transaction. Values are JSON, so that a store can be read by
//! eye and grow fields. An environment has one writer at a time; transactions are short.

mod handlers;
mod overrides;
mod recordings;
mod replays;
mod table;
mod tasks;
mod templates;
mod topics;
pub mod trial;
mod users;

use std::{
    fs::File,
    io::Seek,
    path::{Path, PathBuf},
};

use heed::{CompactionOption, Env, EnvOpenOptions};
use table::Table;

use crate::{alert::TopicHandler, auth::User, config::Override};

pub use handlers::HandlerTable;
pub use overrides::OverrideTable;
pub use recordings::{RecordingTable, StoredRecording};
pub use replays::{ReplayTable, StoredReplay};
pub use tasks::{StoredTask, TaskTable};
pub use templates::{StoredTemplate, TemplateTable};
pub use topics::TopicTable;
pub use users::UserTable;

/// Address space of the store, and so its largest size. Full: the change is refused and nothing of it is kept.
pub const BYTES_MAX: usize = 4 << 30;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the store in {path}: {error}")]
    Open { path: PathBuf, error: heed::Error },
    #[error(
        "the store in {path} is damaged: reading it ends with {end}. Put a backup's data.mdb in its place, or move it away"
    )]
    Damaged { path: PathBuf, end: String },
    #[error("cannot make the store's folder {path}: {error}")]
    Folder { path: PathBuf, error: std::io::Error },
    #[error("cannot copy the store in {path}: {error}")]
    Copy { path: PathBuf, error: std::io::Error },
    #[error("the store: {0}")]
    Heed(#[from] heed::Error),
    #[error("an entry of the store cannot be read or written: {0}")]
    Json(#[from] serde_json::Error),
}

/// An open store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    env: Env,
    tasks: TaskTable,
    templates: Table<StoredTemplate>,
    topics: Table<topics::Events>,
    handlers: Table<TopicHandler>,
    overrides: Table<Override>,
    recordings: RecordingTable,
    replays: ReplayTable,
    users: Table<User>,
    tokens: Table<String>,
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
        let store = Store {
            tasks: Table::open(&env, &mut transaction, "tasks")?,
            templates: Table::open(&env, &mut transaction, "templates")?,
            topics: Table::open(&env, &mut transaction, "topics")?,
            handlers: Table::open(&env, &mut transaction, "handlers")?,
            overrides: Table::open(&env, &mut transaction, "overrides")?,
            recordings: Table::open(&env, &mut transaction, "recordings")?,
            replays: Table::open(&env, &mut transaction, "replays")?,
            users: Table::open(&env, &mut transaction, "users")?,
            tokens: Table::open(&env, &mut transaction, "tokens")?,
            env: env.clone(),
        };
        transaction.commit()?;
        Ok(store)
    }

    /// Reads everything; the error says what cannot be read.
    pub fn verify(&self) -> Result<(), StoreError> {
        self.tasks.all()?;
        self.templates.all()?;
        self.topics.all()?;
        self.handlers.all()?;
        self.overrides.all()?;
        self.recordings.all()?;
        self.replays.all()?;
        self.users.all()?;
        self.tokens.all()?;
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
        self.tasks.clone()
    }

    pub fn templates(&self) -> TemplateTable {
        TemplateTable { templates: self.templates.clone(), tasks: self.tasks.clone() }
    }

    pub fn handlers(&self) -> HandlerTable {
        HandlerTable(self.handlers.clone())
    }

    pub fn users(&self) -> UserTable {
        UserTable { users: self.users.clone(), tokens: self.tokens.clone() }
    }

    pub fn overrides(&self) -> OverrideTable {
        OverrideTable(self.overrides.clone())
    }

    pub fn recordings(&self) -> RecordingTable {
        self.recordings.clone()
    }

    pub fn replays(&self) -> ReplayTable {
        self.replays.clone()
    }

    pub fn topics(&self) -> TopicTable {
        TopicTable(self.topics.clone())
    }
}
