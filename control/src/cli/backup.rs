//! `backup FILE`: a consistent copy of the server's store.

use std::io::Write;

use serde_json::json;

use super::{CliError, client::Server, flags::Flags, progress::Waiting};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [path] = flags.words.as_slice() else {
        return Err(CliError::Failed("must provide file path for backup.".to_owned()));
    };
    let client = server.connect()?;
    let cannot = |error: std::io::Error| CliError::Failed(format!("open {path}: {error}"));
    let mut file = std::fs::File::create(path).map_err(cannot)?;
    let (mut written, waiting) = (0_u64, Waiting::start());
    let mut failed = None;
    let length = client.stream("/kapacitor/v1/storage/backup", "application/octet-stream", |bytes, length| {
        written += bytes.len() as u64;
        waiting.bytes(written, length);
        file.write_all(bytes).inspect_err(|error| failed = Some(error.to_string()))
    })?;
    if let Some(error) = failed {
        return Err(CliError::Failed(format!("write {path}: {error}")));
    }
    if length.is_some_and(|length| length != written) {
        return Err(CliError::Failed(format!(
            "the copy is cut off: {written} bytes of {}",
            length.unwrap_or_default()
        )));
    }
    file.sync_all().map_err(cannot)?;
    super::result(&flags, &json!({ "file": path, "bytes": written }))
}
