//! Starting the data plane with the public listening socket as descriptor 3.

use std::{net::TcpListener, os::fd::OwnedFd};

use command_fds::{CommandFdExt, FdMapping};
use tokio::process::{Child, Command};

use super::{SuperviseError, Supervision};

pub fn spawn(supervision: &Supervision, listener: &TcpListener) -> Result<Child, SuperviseError> {
    let program = &supervision.program;
    let spawn_error = |error| SuperviseError::Spawn { program: program.clone(), error };
    let passed: OwnedFd = listener.try_clone().map_err(spawn_error)?.into();
    let mut command = std::process::Command::new(program);
    command
        .arg("--link")
        .arg(&supervision.paths.link)
        .arg("--control")
        .arg(&supervision.paths.control)
        .args(["--shards", &supervision.shards.to_string(), "--receive", &supervision.receive])
        .args(["--log-file", &supervision.log.0, "--log-level", &supervision.log.1, "--log-format", &supervision.log.2])
        .env("LISTEN_FDS", "1")
        .env_remove("LISTEN_PID")
        .stdin(std::process::Stdio::null());
    for (key, value) in supervision.limits.all() {
        command.args(["--limit", &format!("{key}={value}")]);
    }
    if let Some((certificate, key)) = &supervision.tls {
        command.arg("--tls-certificate").arg(certificate);
        if let Some(key) = key {
            command.arg("--tls-key").arg(key);
        }
    }
    let mapped = command.fd_mappings(vec![FdMapping { parent_fd: passed, child_fd: 3 }]);
    mapped.map_err(|error| spawn_error(std::io::Error::other(error.to_string())))?;
    // The child lives on when this process dies: its connections and tasks must not depend on it.
    Command::from(command).kill_on_drop(false).spawn().map_err(spawn_error)
}
