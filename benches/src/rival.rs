//! Another server that somebody runs: a Kapacitor, or an InfluxDB, which has no tasks.

use std::net::SocketAddr;

use crate::{BenchError, accounting, http::Client, process::Cores, scenario::DATABASE};

pub struct Rival {
    pub address: SocketAddr,
    pub pid: u32,
    /// It speaks Kapacitor's API.
    pub tasks: bool,
}

impl Rival {
    /// Finds out what it is, and makes it ready for writes on the server's cores.
    pub fn open(address: SocketAddr, pid: u32, cores: &Cores) -> Result<Rival, BenchError> {
        let failed = || BenchError::io(format!("the rival at {address}"));
        let mut client = Client::connect(address).map_err(failed())?;
        let tasks = client.call("GET", "/kapacitor/v1/ping", b"").map_err(failed())?.status == 204;
        if !tasks {
            let path = format!("/query?q=CREATE%20DATABASE%20{DATABASE}");
            let answer =
                Client::connect(address).and_then(|mut client| client.call("POST", &path, b"")).map_err(failed())?;
            if answer.status != 200 {
                return Err(BenchError::Refused { call: path, status: answer.status, answer: answer.text() });
            }
        }
        if let Err(error) = cores.pin_process(pid) {
            eprintln!("the rival cannot be moved to cores {:?}: {error}", cores.0);
        }
        accounting::reset_peak(pid);
        Ok(Rival { address, pid, tasks })
    }
}
