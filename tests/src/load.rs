//! Writers that do not stop, and what they saw.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    http::{self, Answer},
    server::Server,
};

/// Writers of a load; each on a connection a write.
const WRITERS: usize = 2;

/// Lines of a body, each of a series of its own: `cpu,host=h<writer>-<line> v=1`.
pub const LINES: u64 = 100;

/// Bodies by how they were answered.
#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    unavailable: AtomicU64,
    without_retry_after: AtomicU64,
    other: AtomicU64,
    failed: AtomicU64,
    slowest: AtomicU64,
}

impl Counters {
    fn count(&self, answer: &io::Result<Answer>) {
        let counter = match answer {
            Ok(answer) if answer.status == 204 => &self.accepted,
            Ok(answer) if answer.status == 503 && answer.header("retry-after").is_none() => &self.without_retry_after,
            Ok(answer) if answer.status == 503 => &self.unavailable,
            Ok(_) => &self.other,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the writers saw, in bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub accepted: u64,
    /// 503 with `Retry-After`.
    pub unavailable: u64,
    pub without_retry_after: u64,
    /// Any other status.
    pub other: u64,
    /// The connection was refused, or ended without an answer.
    pub failed: u64,
    /// The longest time from a connect to an answer.
    pub slowest: Duration,
}

/// A running load on database `d`, retention policy `r`.
pub struct Load {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(server: &Server) -> Load {
        let (counters, stop) = (Arc::<Counters>::default(), Arc::<AtomicBool>::default());
        let writers = (0..WRITERS).map(|writer| {
            let (counters, stop, address) = (counters.clone(), stop.clone(), server.address);
            thread::spawn(move || write(writer, address, &counters, &stop))
        });
        let writers = writers.collect();
        Load { counters, stop, writers }
    }

    pub fn seen(&self) -> Seen {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { accepted, unavailable, without_retry_after, other, failed, slowest } = &*self.counters;
        Seen {
            accepted: get(accepted),
            unavailable: get(unavailable),
            without_retry_after: get(without_retry_after),
            other: get(other),
            failed: get(failed),
            slowest: Duration::from_micros(get(slowest)),
        }
    }

    /// Ends the writers after the bodies that they have begun.
    pub fn end(mut self) -> Seen {
        self.stop_and_join();
        self.seen()
    }

    fn stop_and_join(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            let _ = writer.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

fn write(writer: usize, address: SocketAddr, counters: &Counters, stop: &AtomicBool) {
    let body: String = (0..LINES).map(|line| format!("cpu,host=h{writer}-{line} v=1\n")).collect();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        counters.count(&http::request(address, "POST", "/write?db=d&rp=r", &[], Some(body.as_bytes())));
        counters.slowest.fetch_max(start.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}
