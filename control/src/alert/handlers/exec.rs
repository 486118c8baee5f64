//! `exec`: a process for each event, with the event on its standard input.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt, process::Command};

use super::DeliveryError;

/// How much of a failed program's output is shown.
const OUTPUT_CHARS_MAX: usize = 4_096;

pub async fn deliver(program: &str, arguments: &[String], json: String) -> Result<(), DeliveryError> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let input = child.stdin.take();
    let write = async {
        if let Some(mut input) = input {
            // A program that does not read its input is no failure.
            let _ = input.write_all(json.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    let output = output?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let output_shown = text.chars().take(OUTPUT_CHARS_MAX).collect();
    Err(DeliveryError::Exit { program: program.to_owned(), status: output.status, output: output_shown })
}
