//! Whether a store can be opened at all.
//!
//! A store is mapped into memory, so a damaged file (cut short, or with foreign bytes in it) can end the process that reads
//! it, without a word. Another process goes first, therefore, and reads everything.

use std::{os::unix::process::ExitStatusExt, path::Path, process::Command};

use super::{Store, StoreError};

/// The verb of the process that goes first; it is not for people.
pub const VERB: &str = "try-store";

/// Has another process of this program open the store in a folder and read it. What it says by an error, whoever opens
/// the store says as well.
pub fn go_first(path: &Path) -> Result<(), StoreError> {
    let started = std::env::current_exe().and_then(|program| Command::new(program).arg(VERB).arg(path).output());
    match started {
        Ok(output) if output.status.signal().is_some() => {
            Err(StoreError::Damaged { path: path.to_owned(), end: output.status.to_string() })
        }
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(service = "run", err = %error, "the store is opened without a trial");
            Ok(())
        }
    }
}

/// What the other process does.
pub fn run(path: &Path) -> Result<(), StoreError> {
    Store::open(path)?.verify()
}
