//! `level`: how much the server logs.

use serde_json::json;

use super::{CliError, client::Server, flags::Flags};

pub fn run(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let [level] = flags.words.as_slice() else {
        return Err(CliError::Usage("Must pass a log level".to_owned()));
    };
    let body = json!({ "level": level });
    server.connect()?.call("POST", "/loglevel", Some(&body))?;
    super::result(&flags, &body)
}
