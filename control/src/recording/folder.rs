//! The folder of recordings: what is found there at the start of the server.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{Kind, Status};
use crate::store::StoredRecording;

/// The name of a file that is not complete; the data plane uses the same.
pub fn part(file: &Path) -> PathBuf {
    dataplane::recording::part(file)
}

/// The recordings that lie in the folder, which is made if it is missing. Unfinished files of an earlier run are removed,
/// other files are named in the log and left alone.
pub fn scan(folder: &Path) -> Vec<StoredRecording> {
    if let Err(error) = std::fs::create_dir_all(folder) {
        tracing::error!(service = "replay", folder = %folder.display(), %error, "the folder of recordings cannot be made");
        return Vec::new();
    }
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(service = "replay", folder = %folder.display(), %error, "the folder of recordings cannot be read");
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let kind = match extension {
            "srpl" => Kind::Stream,
            "brpl" => Kind::Batch,
            "part" => {
                tracing::info!(service = "replay", file = %path.display(), "an unfinished recording is removed");
                let _ = std::fs::remove_file(&path);
                continue;
            }
            _ => {
                tracing::info!(service = "replay", file = %path.display(), "not a recording");
                continue;
            }
        };
        let (Some(id), Ok(metadata)) = (path.file_stem().and_then(|stem| stem.to_str()), path.metadata()) else {
            continue;
        };
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        found.push(StoredRecording {
            id: id.to_owned(),
            kind,
            size: i64::try_from(metadata.len()).unwrap_or(i64::MAX),
            date: modified.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)),
            error: String::new(),
            status: Status::Finished,
            progress: 1.0,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_found_and_unfinished_files_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.b.srpl", "c.brpl", "d.srpl.part", "notes.txt"] {
            std::fs::write(folder.path().join(name), b"12345").unwrap();
        }
        let mut found = scan(folder.path());
        found.sort_by(|one, other| one.id.cmp(&other.id));
        let shown: Vec<_> = found.iter().map(|found| (found.id.as_str(), found.kind, found.size)).collect();
        assert_eq!(shown, [("a.b", Kind::Stream, 5), ("c", Kind::Batch, 5)]);
        assert!(!folder.path().join("d.srpl.part").exists() && folder.path().join("notes.txt").exists());
    }
}
