//! Asking the control plane whether a request's credentials may write.

use std::path::Path;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::http::{Head, Parsed, parse_response};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// What the control plane says.
pub enum Verdict {
    Allowed,
    /// Status and text for the client.
    Refused(u16, Vec<u8>),
    Away,
}

/// Asks over the control plane's HTTP socket, with the credentials as they came.
pub async fn ask(control: &Path, head: &Head) -> Verdict {
    match exchange(control, head).await {
        Some((204, _)) => Verdict::Allowed,
        Some((status, body)) => Verdict::Refused(status, body),
        None => Verdict::Away,
    }
}

async fn exchange(control: &Path, head: &Head) -> Option<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(control).await.ok()?;
    let mut request =
        format!("GET /kapacitor/v1/authorize?{} HTTP/1.1\r\nHost: control\r\nConnection: close\r\n", head.query());
    if let Some(authorization) = &head.authorization {
        request.push_str(&format!("Authorization: {authorization}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.ok()?;
    match parse_response(&answer, false) {
        Ok(Parsed::Complete(response)) => Some((response.status, answer.split_off(response.bytes))),
        _ => None,
    }
}
