//! The files of `sideload` (reference: nodes-alert-join-io §7.3): read when a task starts, below one folder.

use std::{fs, io, path::Path};

use proto::plan::{SideloadFile, SideloadValue};
use serde_json::Value;

/// Bytes of all files of one node. More: the task does not start.
const BYTES_MAX: u64 = 32 << 20;

/// The files below the folder that a `file://` URL names, by their paths in it.
pub fn read(source: &str) -> Result<Vec<SideloadFile>, String> {
    let Some(folder) = source.strip_prefix("file://").filter(|folder| folder.starts_with('/')) else {
        return Err(format!("sideload source {source:?} is not supported, it must be file:// with an absolute path"));
    };
    let failed = |error: io::Error| format!("failed to read sideload source {source}: {error}");
    let root = Path::new(folder);
    let mut files = Vec::new();
    let mut bytes = 0;
    walk(root, root, &mut bytes, &mut files).map_err(failed)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn walk(root: &Path, folder: &Path, bytes: &mut u64, files: &mut Vec<SideloadFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(root, &path, bytes, files)?;
            continue;
        }
        *bytes += fs::metadata(&path)?.len();
        if *bytes > BYTES_MAX {
            return Err(io::Error::other(format!("the files have more than {BYTES_MAX} bytes")));
        }
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let invalid = |error: String| io::Error::other(format!("{relative}: {error}"));
        let parsed: Value = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => serde_json::from_slice(&fs::read(&path)?).map_err(|error| invalid(error.to_string()))?,
            Some("yml" | "yaml") => {
                serde_yaml_ng::from_slice(&fs::read(&path)?).map_err(|error| invalid(error.to_string()))?
            }
            // Other files count as empty.
            _ => Value::Null,
        };
        files.push(SideloadFile { path: relative, values: values(parsed) });
    }
    Ok(())
}

/// A flat object; a null counts as an absent value.
fn values(parsed: Value) -> Vec<(String, SideloadValue)> {
    let Value::Object(map) = parsed else { return Vec::new() };
    let value = |(key, value)| {
        let value = match value {
            Value::Null => return None,
            Value::Bool(x) => SideloadValue::Bool(x),
            Value::Number(x) => SideloadValue::Number(x.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => SideloadValue::Text(text),
            Value::Array(_) | Value::Object(_) => SideloadValue::Other,
        };
        Some((key, value))
    };
    map.into_iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_by_their_paths_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("host")).unwrap();
        fs::write(folder.path().join("host/a.json"), r#"{"n":1,"s":"x","l":[1],"z":null,"b":true}"#).unwrap();
        fs::write(folder.path().join("d.yml"), "n: 2.5\n").unwrap();
        fs::write(folder.path().join("README"), "not data").unwrap();
        let files = read(&format!("file://{}", folder.path().display())).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["README", "d.yml", "host/a.json"]);
        assert_eq!(files[1].values, [("n".to_owned(), SideloadValue::Number(2.5))]);
        let found = |key: &str| files[2].values.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        assert_eq!(found("l"), Some(SideloadValue::Other));
        assert_eq!((found("z"), found("b")), (None, Some(SideloadValue::Bool(true))));
    }

    #[test]
    fn a_source_that_is_not_there_or_no_folder_says_so() {
        assert!(read("file:///nowhere/at/all").unwrap_err().contains("file:///nowhere/at/all"));
        assert!(read("ftp://x").is_err() && read("file://relative").is_err());
    }
}
