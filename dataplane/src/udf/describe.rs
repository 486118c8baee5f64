//! Asks a function what it takes, gives, and can be told: once, when the server starts.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use proto::plan::{UdfFunction, UdfProgram};

use super::{
    message::{Info, Request, Response},
    wire::{frame, split},
};

#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    #[error("cannot be started: {0}")]
    Io(#[from] std::io::Error),
    #[error("does not answer within its timeout")]
    Timeout,
    #[error("answers with something else than a description of itself")]
    Answer,
}

/// Opens a function, asks, and closes it. Blocks for at most the function's timeout.
pub fn describe(function: &UdfFunction) -> Result<Info, DescribeError> {
    let timeout = Duration::from_nanos(u64::try_from(function.timeout).unwrap_or_default());
    let question = frame(&Request::Info.encode());
    match &function.program {
        UdfProgram::Process { program, arguments, environment } => {
            let mut child = Command::new(program)
                .args(arguments)
                .envs(environment.iter().cloned())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let (input, output) = (child.stdin.take(), child.stdout.take());
            let (answered, answer) = mpsc::channel();
            thread::spawn(move || {
                let asked = input.map(|mut input| input.write_all(&question).map(|()| input));
                let answer = output.ok_or(DescribeError::Answer).and_then(read_answer);
                let _ = answered.send(answer);
                // Its input ends only now, so that it answers before it goes.
                drop(asked);
            });
            let answer = answer.recv_timeout(timeout).unwrap_or(Err(DescribeError::Timeout));
            let _ = child.kill();
            let _ = child.wait();
            answer
        }
        UdfProgram::Socket { path } => {
            let mut stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(timeout))?;
            stream.write_all(&question)?;
            read_answer(stream)
        }
    }
}

fn read_answer(mut from: impl Read) -> Result<Info, DescribeError> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4 << 10];
    loop {
        if let Some((message, _)) = split(&bytes).map_err(|_| DescribeError::Answer)? {
            return match Response::decode(message) {
                Ok(Response::Info(info)) => Ok(info),
                _ => Err(DescribeError::Answer),
            };
        }
        match from.read(&mut chunk) {
            Ok(0) => return Err(DescribeError::Answer),
            Ok(read) => bytes.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(DescribeError::Timeout),
            Err(error) => return Err(error.into()),
        }
    }
}
