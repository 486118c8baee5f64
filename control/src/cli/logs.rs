//! `logs` and `watch`: the server's log as it is written.

use std::io::Write;

use super::{CliError, client, client::Server, flags::Flags};

pub fn logs(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    stream(server, &flags, &[], &flags.words)
}

/// The log of one task.
pub fn watch(server: &Server, arguments: &[String]) -> Result<(), CliError> {
    let flags = Flags::read(arguments, &[], &["json"])?;
    let Some((task, filters)) = flags.words.split_first() else {
        return Err(CliError::Failed("must provide task ID.".to_owned()));
    };
    stream(server, &flags, &[("task", task.as_str())], filters)
}

/// Copies the log to standard output until either end closes. A filter is `key=value`.
fn stream(server: &Server, flags: &Flags, fixed: &[(&str, &str)], filters: &[String]) -> Result<(), CliError> {
    let mut pairs: Vec<(&str, &str)> = fixed.to_vec();
    for filter in filters {
        let pair = filter.split_once('=').filter(|(key, _)| !key.is_empty());
        pairs.push(pair.ok_or_else(|| CliError::Failed(format!("a filter is key=value, not {filter:?}")))?);
    }
    // In order of the keys, as the original sends them.
    pairs.sort();
    let query: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", client::query(key), client::query(value))).collect();
    let accept = if flags.is_set("json") { "application/json" } else { "application/logfmt" };
    let path = format!("/kapacitor/v1preview/logs?{}", query.join("&"));
    let out = |bytes: &[u8], _length| {
        let mut out = std::io::stdout();
        out.write_all(bytes).and_then(|()| out.flush())
    };
    server.connect()?.stream(path.trim_end_matches('?'), accept, out).map(drop)
}
