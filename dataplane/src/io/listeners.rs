//! Inputs beside the public port: UDP ports, and streams of lines over TCP and unix sockets.
//!
//! A UDP port lives on one shard, which reads it. Streams are accepted here and given to the shard with the fewest
//! connections. All of them are opened by the control plane's commands and close when the data plane drains.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use proto::message::{Endpoint, Listener, Refusal, Reply};
use tokio::net::{TcpListener, UnixListener};

use super::shards::Shards;
use crate::{
    line::Precision,
    reactor,
    shard::{command::Command, inputs::Input, intake::Target},
};

/// Most listeners of a process.
pub const LISTENERS_MAX: usize = 256;

struct Open {
    listener: Listener,
    /// Where it really listens.
    address: String,
    input: Arc<Input>,
    /// The task that accepts streams.
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

pub struct Listeners {
    shards: Shards,
    open: Vec<Open>,
}

impl Listeners {
    pub fn new(shards: Shards) -> Listeners {
        Listeners { shards, open: Vec::new() }
    }

    /// Opens a listener and answers with its address. One that is open already stays as it is.
    pub async fn listen(&mut self, listener: Listener) -> Result<Reply, Refusal> {
        if let Some(open) = self.open.iter().find(|open| open.listener == listener) {
            return Ok(Reply::Listening(open.address.clone()));
        }
        if self.open.len() == LISTENERS_MAX {
            return Err(Refusal::CannotListen(format!("there are {LISTENERS_MAX} listeners already")));
        }
        let opened = self.open(&listener).await;
        let open = opened.map_err(|error| Refusal::CannotListen(format!("{}: {error}", listener.endpoint)))?;
        let address = open.address.clone();
        tracing::info!(service = open.input.service, address, "started listening on {}", listener.endpoint.protocol());
        self.open.push(open);
        Ok(Reply::Listening(address))
    }

    /// Counters of all listeners, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        for open in &self.open {
            let counters = &open.input.counters;
            for (name, counter) in [
                ("points_rx", &counters.points_rx),
                ("bytes_rx", &counters.bytes_rx),
                ("points_parse_fail", &counters.points_parse_fail),
                ("read_fail", &counters.read_fail),
                ("lost", &counters.lost),
            ] {
                let name = format!("{}_{name}[{}]", open.listener.endpoint.protocol().to_lowercase(), open.address);
                all.push((name, counter.load(Ordering::Relaxed)));
            }
        }
        all
    }

    async fn open(&self, listener: &Listener) -> io::Result<Open> {
        let target = Target {
            database: listener.database.clone(),
            retention_policy: listener.retention_policy.clone(),
            precision: Precision::of_query("n"),
        };
        let service = if matches!(listener.endpoint, Endpoint::Udp { .. }) { "udp" } else { "lines" };
        let input = Arc::new(Input::new(service, target));
        let (address, accepting) = match &listener.endpoint {
            Endpoint::Udp { address, buffer_bytes } => (self.udp(address, *buffer_bytes, &input).await?, None),
            Endpoint::Tcp { address } => {
                let socket = TcpListener::bind(bind_address(address)).await?;
                let address = socket.local_addr()?.to_string();
                let (shards, input) = (self.shards.clone(), input.clone());
                let accept = async move {
                    loop {
                        let stream = socket.accept().await.and_then(|(stream, _)| stream.into_std());
                        give(&shards, stream.map(OwnedFd::from), &input).await;
                    }
                };
                (address, Some(tokio::task::spawn_local(accept)))
            }
            Endpoint::Unix { path } => {
                let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
                if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                    // Left by a predecessor that nobody listens behind any more.
                    let _ = std::fs::remove_file(path);
                }
                let socket = UnixListener::bind(path)?;
                let (shards, input) = (self.shards.clone(), input.clone());
                let accept = async move {
                    loop {
                        let stream = socket.accept().await.and_then(|(stream, _)| stream.into_std());
                        give(&shards, stream.map(OwnedFd::from), &input).await;
                    }
                };
                (path.clone(), Some(tokio::task::spawn_local(accept)))
            }
        };
        Ok(Open { listener: listener.clone(), address, input, accepting })
    }

    /// Opens a UDP port on one of the shards, in turn.
    async fn udp(&self, address: &str, buffer_bytes: u64, input: &Arc<Input>) -> io::Result<String> {
        let socket = UdpSocket::bind(bind_address(address))?;
        socket.set_nonblocking(true)?;
        let bound: SocketAddr = socket.local_addr()?;
        let socket = OwnedFd::from(socket);
        if buffer_bytes > 0 {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, buffer_bytes as usize)?;
        }
        reactor::set_up_datagrams(&socket);
        let shard = self.open.len() % self.shards.len().max(1);
        self.shards.send(shard, Command::Datagrams { socket, input: input.clone() }).await;
        Ok(bound.to_string())
    }
}

/// An address without a host is every address.
fn bind_address(address: &str) -> String {
    if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() }
}

/// Gives an accepted stream to a shard; a full table of descriptors is waited out.
async fn give(shards: &Shards, stream: io::Result<OwnedFd>, input: &Arc<Input>) {
    match stream {
        Ok(stream) => shards.lines(stream, input.clone()).await,
        Err(error) => {
            tracing::error!(service = "lines", %error, "cannot accept a stream of lines");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
