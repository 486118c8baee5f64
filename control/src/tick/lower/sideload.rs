//! The files of `sideload` (reference: nodes-alert-join-io §7.3): read when a task starts, below one folder or over HTTP.

mod fetch;

use std::{fs, io, path::Path};

use proto::plan::{SideloadFile, SideloadValue};
use serde_json::Value;

use super::Endpoint;

/// Bytes of all files of one node. More: the task does not start.
const BYTES_MAX: u64 = 32 << 20;

/// What a source holds, by path: a `file://`, `http://` or `https://` URL, or the name of an `[[httppost]]` section that
/// has one. Of a folder that are the files below it.
pub fn read(source: &str, endpoint: &dyn Fn(&str) -> Option<Endpoint>) -> Result<Vec<SideloadFile>, String> {
    let named = if source.contains("://") { None } else { endpoint(source) };
    let endpoint = named.unwrap_or_else(|| Endpoint { url: source.to_owned(), ..Endpoint::default() });
    match endpoint.url.split_once("://") {
        Some(("file", folder)) if folder.starts_with('/') => folder_files(folder),
        Some(("file", folder)) => Err(format!("sideload source path must be absolute {folder:?}")),
        Some(("http" | "https", _)) => fetch::fetch(&endpoint),
        Some((scheme, _)) => Err(format!("unsupported source scheme {scheme:?}, must be 'file', 'http', or 'https'")),
        None => Err(format!("sideload source {source:?} is no URL and no [[httppost]] endpoint")),
    }
}

fn folder_files(folder: &str) -> Result<Vec<SideloadFile>, String> {
    let failed = |error: io::Error| format!("failed to update sideload cache for source file {folder:?}: {error}");
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
        if relative.starts_with('.') {
            return Err(io::Error::other(format!(
                "invalid relative path {relative:?}: names must not begin with a dot"
            )));
        }
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

/// A flat object.
fn values(parsed: Value) -> Vec<(String, SideloadValue)> {
    let Value::Object(map) = parsed else { return Vec::new() };
    let value = |(key, value)| {
        let value = match value {
            Value::Null => SideloadValue::Null,
            Value::Bool(x) => SideloadValue::Bool(x),
            Value::Number(x) => SideloadValue::Number(x.as_f64().unwrap_or(f64::NAN)),
            Value::String(text) => SideloadValue::Text(text),
            Value::Array(_) | Value::Object(_) => SideloadValue::Other,
        };
        (key, value)
    };
    map.into_iter().map(value).collect()
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
        let source = format!("file://{}", folder.path().display());
        let files = read(&source, &|_| None).unwrap();
        let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["README", "d.yml", "host/a.json"]);
        assert_eq!(files[1].values, [("n".to_owned(), SideloadValue::Number(2.5))]);
        let found = |key: &str| files[2].values.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        assert_eq!(found("l"), Some(SideloadValue::Other));
        assert_eq!((found("z"), found("b")), (Some(SideloadValue::Null), Some(SideloadValue::Bool(true))));
        let named = |name: &str| (name == "tags").then(|| Endpoint { url: source.clone(), ..Endpoint::default() });
        assert_eq!(read("tags", &named).unwrap(), files);
        fs::write(folder.path().join(".hidden.json"), "{}").unwrap();
        assert!(read(&source, &|_| None).unwrap_err().contains("invalid relative path"));
    }

    #[test]
    fn a_source_that_is_not_there_or_no_folder_says_so() {
        let error = |source| read(source, &|_| None).unwrap_err();
        assert!(error("file:///nowhere/at/all").contains("\"/nowhere/at/all\""));
        assert!(error("ftp://x").contains("unsupported source scheme \"ftp\""));
        assert!(error("file://relative").contains("must be absolute") && error("nobody").contains("nobody"));
    }
}
