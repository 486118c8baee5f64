//! The load: one blocking thread a connection.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{bodies::Supply, http::Client};

/// Longest time for a pass over all series while warming up.
const PASS_LIMIT: Duration = Duration::from_secs(60);

/// Pause after a connection failed or a write was refused for the moment.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A connection with what it sends.
pub struct Connection<'a> {
    address: SocketAddr,
    client: Option<Client>,
    supply: &'a mut Supply,
}

/// How long and how fast to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub duration: Duration,
    /// Go on until every series was sent so many times.
    pub passes: usize,
    /// Of all connections together; `None`: as fast as answers come.
    pub lines_per_second: Option<f64>,
}

impl Plan {
    /// As fast as answers come.
    pub fn full(duration: Duration) -> Plan {
        Plan { duration, passes: 0, lines_per_second: None }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// In writes that were answered 204, as all counts of lines here.
    pub lines: u64,
    pub matching: u64,
    pub firing: u64,
    pub bytes: u64,
    pub elapsed: Duration,
    /// Time of a write from its first byte sent to its answer, ns.
    pub writes: Histogram<u64>,
    /// Answers other than 204, and failed connections as status 0.
    pub refused: BTreeMap<u16, u64>,
    pub first_refusal: Option<String>,
    /// Packed bodies ran out before the time did.
    pub used_up: bool,
}

impl Outcome {
    pub fn new() -> Outcome {
        Outcome {
            lines: 0,
            matching: 0,
            firing: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            writes: histogram(),
            refused: BTreeMap::new(),
            first_refusal: None,
            used_up: false,
        }
    }

    pub fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    fn refuse(&mut self, status: u16, reason: impl FnOnce() -> String) {
        *self.refused.entry(status).or_default() += 1;
        self.first_refusal.get_or_insert_with(reason);
    }

    fn merge(&mut self, other: Outcome) {
        self.lines += other.lines;
        self.matching += other.matching;
        self.firing += other.firing;
        self.bytes += other.bytes;
        self.elapsed = self.elapsed.max(other.elapsed);
        // Both grow by themselves.
        let _ = self.writes.add(&other.writes);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
        self.used_up |= other.used_up;
    }
}

/// A histogram of times in ns, to three figures; it grows by itself, so recording cannot fail.
pub fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "refuses more than five figures only")]
    Histogram::new(3).expect("three figures")
}

/// Opens a connection for each supply.
pub fn connect(address: SocketAddr, supplies: &mut [Supply]) -> io::Result<Vec<Connection<'_>>> {
    let open = |supply| Ok(Connection { address, client: Some(Client::connect(address)?), supply });
    supplies.iter_mut().map(open).collect()
}

/// Sends from all connections at once.
pub fn drive(connections: &mut [Connection<'_>], plan: Plan) -> Outcome {
    let start = Instant::now();
    let share = plan.lines_per_second.map(|rate| rate / connections.len().max(1) as f64);
    let count = connections.len();
    let mut outcome = Outcome::new();
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .enumerate()
            .map(|(index, connection)| {
                let phase = index as f64 / count as f64;
                scope.spawn(move || connection.drive(plan, start, share, phase))
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => outcome.merge(part),
                Err(_) => outcome.refuse(0, || "a thread of the load ended".into()),
            }
        }
    });
    outcome
}

impl Connection<'_> {
    fn drive(&mut self, plan: Plan, start: Instant, rate: Option<f64>, phase: f64) -> Outcome {
        let mut outcome = Outcome::new();
        let mut due = None;
        loop {
            let elapsed = start.elapsed();
            let passing = !self.supply.passed(plan.passes) && elapsed < PASS_LIMIT;
            if elapsed >= plan.duration && !passing {
                break;
            }
            let Some(body) = self.supply.next() else {
                outcome.used_up = true;
                break;
            };
            if let Some(rate) = rate {
                let period = body.lines as f64 / rate.max(1e-3);
                // Connections take turns instead of sending all at once.
                let next = due.map_or(start + Duration::from_secs_f64(period * phase), |due: Instant| {
                    due + Duration::from_secs_f64(period)
                });
                due = Some(next);
                let wait = next.saturating_duration_since(Instant::now());
                if start.elapsed() + wait >= plan.duration {
                    break;
                }
                thread::sleep(wait);
            }
            let client = match &mut self.client {
                Some(client) => client,
                None => match Client::connect(self.address) {
                    Ok(client) => self.client.insert(client),
                    Err(error) => {
                        outcome.refuse(0, || format!("connect: {error}"));
                        thread::sleep(RETRY_PAUSE);
                        continue;
                    }
                },
            };
            let begun = Instant::now();
            let answer = client.exchange(&body.request);
            let _ = outcome.writes.record(begun.elapsed().as_nanos() as u64);
            match answer {
                Ok(answer) => {
                    if answer.status == 204 {
                        outcome.lines += body.lines as u64;
                        outcome.matching += body.matching as u64;
                        outcome.firing += body.firing as u64;
                        outcome.bytes += body.request.len() as u64;
                    } else {
                        outcome.refuse(answer.status, || format!("{}: {}", answer.status, answer.text()));
                        thread::sleep(RETRY_PAUSE);
                    }
                    if answer.close {
                        self.client = None;
                    }
                }
                Err(error) => {
                    outcome.refuse(0, || format!("write: {error}"));
                    self.client = None;
                }
            }
        }
        outcome.elapsed = start.elapsed();
        outcome
    }
}
