//! Files that verbs read.

use serde_json::Value;

use super::CliError;

/// The text of a file.
pub fn read(path: &str) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| CliError::Failed(format!("open {path}: {error}")))
}

/// A JSON or YAML file, told apart by the ending.
pub fn structured(path: &str, what: &str) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::Failed(format!("failed to open {what} {path:?}: open {path}: {error}")))?;
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "json" => serde_json::from_str(&text)
            .map_err(|error| CliError::Failed(format!("invalid JSON in file {path}: {error}"))),
        "yaml" | "yml" => serde_yaml_ng::from_str(&text)
            .map_err(|error| CliError::Failed(format!("invalid YAML in file {path}: {error}"))),
        _ => Err(CliError::Failed("bad file extension. Must be YAML or JSON".to_owned())),
    }
}
