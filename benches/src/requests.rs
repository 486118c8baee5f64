//! Requests to the API at a steady rate, beside the load of writes.

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{http::Client, load::histogram};

/// Connections that take turns.
const CONNECTIONS: u32 = 4;

/// What came of it.
pub struct Requests {
    /// From the moment at which a request was due to its answer, ns.
    pub times: Histogram<u64>,
    /// Answers of a status that was not expected.
    pub refused: u64,
}

/// Sends `per_second` requests a second: pings, a task, the list of tasks, and the rows of an httpOut node.
pub fn drive(address: SocketAddr, task: &str, per_second: u32, duration: Duration) -> io::Result<Requests> {
    let paths = [
        ("/kapacitor/v1/ping".to_owned(), 204),
        (format!("/kapacitor/v1/tasks/{task}"), 200),
        ("/kapacitor/v1/tasks?fields=status&fields=executing".to_owned(), 200),
        (format!("/kapacitor/v1/tasks/{task}/max"), 200),
    ];
    let start = Instant::now();
    let one = |index: u32| -> io::Result<Requests> {
        let mut client = Client::connect(address)?;
        let mut requests = Requests { times: histogram(), refused: 0 };
        let mut number = index;
        loop {
            let due = start + Duration::from_secs(1) * number / per_second;
            if due >= start + duration {
                return Ok(requests);
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let (path, status) = &paths[(number / CONNECTIONS) as usize % paths.len()];
            let answer = client.call("GET", path, b"")?;
            let _ = requests.times.record(due.elapsed().as_nanos() as u64);
            requests.refused += u64::from(answer.status != *status);
            number += CONNECTIONS;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|index| scope.spawn(move || one(index))).collect();
        let mut all = Requests { times: histogram(), refused: 0 };
        for thread in threads {
            let part = thread.join().map_err(|_| io::Error::other("a thread ended"))??;
            // It grows by itself.
            let _ = all.times.add(&part.times);
            all.refused += part.refused;
        }
        Ok(all)
    })
}
