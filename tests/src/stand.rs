//! The servers that cases run on, each with a sink of its own; started when they are first needed.

use std::{
    io,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use crate::{
    case::{Case, Kind},
    influxdb::InfluxDb,
    runner::Runner,
    server::{RECEIVE, Server},
    sink::Sink,
};

/// Cases of kind api look at the server as a whole, so they have one for themselves; so many run side by side.
const ALONE_MAX: usize = 4;

struct Stand {
    server: Server,
    sink: Sink,
}

impl Stand {
    fn start(shards: usize, influxdb: Option<&InfluxDb>) -> io::Result<Stand> {
        // Unless the run says otherwise, four shards receive by epoll and fewer by io_uring: both ways see every case.
        let receive = (shards == 4 && std::env::var_os(RECEIVE).is_none()).then_some((RECEIVE, "epoll"));
        let url = influxdb.map(InfluxDb::url).unwrap_or_default();
        let cluster = [
            ("KAPACITOR_INFLUXDB_0_ENABLED", "true"),
            ("KAPACITOR_INFLUXDB_0_URLS_0", url.as_str()),
            ("KAPACITOR_INFLUXDB_0_DISABLE_SUBSCRIPTIONS", "true"),
        ];
        let cluster = if influxdb.is_some() { cluster.as_slice() } else { &[] };
        let environment: Vec<_> = cluster.iter().copied().chain(receive).collect();
        Ok(Stand { server: Server::start(shards, &environment)?, sink: Sink::start()? })
    }

    fn run(&self, case: &Case, influxdb: Option<&InfluxDb>, limit: Duration) -> Vec<String> {
        Runner { server: self.server.address, sink: &self.sink, influxdb, limit }.run(case)
    }
}

/// A started thing, or why it could not be started.
type Started<T> = OnceLock<Result<T, String>>;

fn get<T>(started: &Started<T>, start: impl FnOnce() -> io::Result<T>) -> Result<&T, String> {
    started.get_or_init(|| start().map_err(|error| error.to_string())).as_ref().map_err(Clone::clone)
}

/// Servers for one case at a time.
#[derive(Default)]
struct Pool {
    idle: Mutex<(Vec<Stand>, usize)>,
    freed: Condvar,
}

impl Pool {
    fn run(&self, case: &Case, influxdb: Option<&InfluxDb>, limit: Duration) -> Result<Vec<String>, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |(idle, running): &mut (Vec<Stand>, usize)| idle.is_empty() && *running == ALONE_MAX;
        let mut idle = self.freed.wait_while(idle, full).unwrap_or_else(PoisonError::into_inner);
        let stand = idle.0.pop();
        idle.1 += 1;
        drop(idle);
        let stand = match stand {
            Some(stand) => Ok(stand),
            None => Stand::start(2, influxdb).map_err(|error| error.to_string()),
        };
        let found = stand.map(|stand| (stand.run(case, influxdb, limit), stand));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.1 -= 1;
        self.freed.notify_one();
        let (found, stand) = found?;
        // What a case that failed leaves behind must not fail the next one.
        if found.is_empty() {
            idle.0.push(stand);
        }
        Ok(found)
    }
}

/// All servers of a run of cases.
#[derive(Default)]
pub struct Stands {
    influxdb: Started<InfluxDb>,
    /// By number of shards, without and with InfluxDB.
    shared: [[Started<Stand>; 5]; 2],
    alone: [Pool; 2],
}

impl Stands {
    /// Runs a case; gives what differs, a line each. Cases of kind api always run on two shards.
    pub fn run(&self, case: &Case, shards: usize, limit: Duration) -> Result<Vec<String>, String> {
        let influxdb = match case.needs_influxdb() {
            true => Some(get(&self.influxdb, InfluxDb::start)?),
            false => None,
        };
        let with = usize::from(influxdb.is_some());
        if case.kind == Kind::Api {
            return self.alone[with].run(case, influxdb, limit);
        }
        let stand = get(&self.shared[with][shards], || Stand::start(shards, influxdb))?;
        Ok(stand.run(case, influxdb, limit))
    }

    /// The logs of servers in which something panicked.
    pub fn panics(&self) -> Vec<String> {
        let shared = self.shared.iter().flatten().filter_map(|stand| stand.get()?.as_ref().ok());
        let mut logs: Vec<_> = shared.map(|stand| stand.server.log()).collect();
        for pool in &self.alone {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
            logs.extend(idle.0.iter().map(|stand| stand.server.log()));
        }
        logs.retain(|log| log.contains("panicked at"));
        logs
    }
}
