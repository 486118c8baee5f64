//! Requests that are made ahead; only the digits of their times change from one sending to the next.
//!
//! The series are divided among the connections, as agents are, so that each series keeps its order. A body holds whole
//! passes over its connection's series, or a pass is a whole number of bodies. Packed bodies cannot be changed in place:
//! as many as the time will need are made, within a limit; when they are used up the load ends.

use std::{io::Write, ops::Range, thread, time::Duration};

use flate2::{Compression, write::GzEncoder};

use crate::{
    lines::{BASE_TIME, Line, SECOND, digits_of, mix},
    scenario::{DATABASE, Order, RETENTION_POLICY, Scenario},
};

/// Passes that are prepared in shuffled order: a series' successor is never that of the pass before.
const SHUFFLES: usize = 3;

/// Lines a second for which packed bodies are made.
const PACKED_LINES_PER_SECOND: f64 = 2_000_000.0;

/// Bytes of all prepared packed bodies.
const PACKED_BYTES_MAX: usize = 600 << 20;

/// One request.
#[derive(Debug)]
pub struct Body {
    /// Head and body.
    pub request: Vec<u8>,
    pub lines: usize,
    /// Lines of the measurement `cpu`.
    pub matching: usize,
    /// Lines that fire in a firing scenario.
    pub firing: usize,
    /// Where in `request` the times are; empty when packed.
    times: Vec<u32>,
    /// The pass within a round of the first line.
    first_pass: usize,
}

/// The requests of one connection, to be sent round and round.
#[derive(Debug)]
pub struct Supply {
    bodies: Vec<Body>,
    /// Series of this connection.
    series: usize,
    /// Passes in a round.
    passes: usize,
    /// ns from pass to pass.
    interval: i64,
    packed: bool,
    next: usize,
    round: usize,
}

/// Makes the requests of every connection; `duration` is how long they will be sent.
pub fn prepare(scenario: &Scenario, duration: Duration) -> Vec<Supply> {
    thread::scope(|scope| {
        let workers: Vec<_> = shares(scenario.series, scenario.connections)
            .map(|series| scope.spawn(move || Supply::prepare(scenario, series, duration)))
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    })
}

/// `of` things in `among` runs whose lengths differ by at most one.
fn shares(of: usize, among: usize) -> impl Iterator<Item = Range<usize>> {
    (0..among).map(move |index| of * index / among..of * (index + 1) / among).filter(|share| !share.is_empty())
}

impl Supply {
    fn prepare(scenario: &Scenario, series: Range<usize>, duration: Duration) -> Supply {
        let mut supply = Supply {
            bodies: Vec::new(),
            series: series.len(),
            passes: 1,
            interval: scenario.interval * SECOND,
            packed: scenario.gzip,
            next: 0,
            round: 0,
        };
        let passes_in_body = (scenario.body_lines / series.len()).max(1);
        let bodies_in_pass = series.len().div_ceil(scenario.body_lines);
        supply.passes = passes_in_body * if scenario.order == Order::Shuffled { SHUFFLES } else { 1 };
        let wanted = (duration.as_secs_f64() * PACKED_LINES_PER_SECOND) as usize / scenario.connections;
        let (mut lines, mut bytes) = (0, 0);
        for first_pass in (0..).step_by(passes_in_body) {
            let more = if supply.packed {
                lines < wanted && bytes < PACKED_BYTES_MAX / scenario.connections
            } else {
                first_pass < supply.passes
            };
            if !more {
                break;
            }
            let order = ordered(series.clone(), scenario.order, first_pass);
            for part in shares(order.len(), bodies_in_pass) {
                let body = Body::new(scenario, &order[part], first_pass..first_pass + passes_in_body);
                lines += body.lines;
                bytes += body.request.len();
                supply.bodies.push(body);
            }
        }
        supply
    }

    /// The next request, its times set; `None` when packed bodies are used up.
    pub fn next(&mut self) -> Option<&Body> {
        if self.next == self.bodies.len() {
            if self.packed {
                return None;
            }
            self.next = 0;
            self.round += 1;
        }
        let (round, passes, interval) = (self.round, self.passes, self.interval);
        let body = self.bodies.get_mut(self.next)?;
        self.next += 1;
        if round > 0 {
            let in_pass = body.lines.min(self.series);
            for (pass, times) in (body.first_pass + round * passes..).zip(body.times.chunks(in_pass)) {
                let digits = digits_of(time_of(pass, interval));
                for at in times {
                    body.request[*at as usize..][..digits.len()].copy_from_slice(&digits);
                }
            }
        }
        Some(body)
    }

    /// Whether every series was sent so many times at least.
    pub fn passed(&self, times: usize) -> bool {
        let lines = |bodies: &[Body]| bodies.iter().map(|body| body.lines).sum::<usize>();
        let sent = lines(self.bodies.get(..self.next).unwrap_or_default());
        sent + self.round * lines(&self.bodies) >= self.series * times
    }

    /// Starts over, with the times of the start.
    pub fn rewind(&mut self) {
        self.next = 0;
        self.round = 0;
        for body in &mut self.bodies {
            let in_pass = body.lines.min(self.series);
            for (pass, times) in (body.first_pass..).zip(body.times.chunks(in_pass)) {
                let digits = digits_of(time_of(pass, self.interval));
                for at in times {
                    body.request[*at as usize..][..digits.len()].copy_from_slice(&digits);
                }
            }
        }
    }
}

fn time_of(pass: usize, interval: i64) -> i64 {
    BASE_TIME.saturating_add(interval.saturating_mul(pass as i64))
}

fn ordered(series: Range<usize>, order: Order, pass: usize) -> Vec<usize> {
    let mut ordered: Vec<usize> = series.collect();
    if order == Order::Shuffled {
        ordered.sort_by_cached_key(|series| mix((*series as u64) << 20 | pass as u64));
    }
    ordered
}

impl Body {
    /// The lines of `series`, once for each of `passes`.
    fn new(scenario: &Scenario, series: &[usize], passes: Range<usize>) -> Body {
        let mut text = Vec::with_capacity(series.len() * passes.len() * 170);
        let (mut times, mut matching, mut firing) = (Vec::new(), 0, 0);
        for pass in passes.clone() {
            let time = time_of(pass, scenario.interval * SECOND);
            for &series in series {
                let fires = scenario.firing && series.is_multiple_of(100);
                let line = Line { series, of: scenario.series, pass, time, firing: fires };
                scenario.shape.write(line, &mut text);
                times.push((text.len() - 20) as u32);
                matching += usize::from(scenario.shape.is_cpu(series));
                firing += usize::from(fires);
            }
        }
        let lines = times.len();
        if scenario.gzip {
            text = pack(&text);
            times.clear();
        }
        let mut request = head(text.len(), scenario.gzip).into_bytes();
        for at in &mut times {
            *at += request.len() as u32;
        }
        request.extend_from_slice(&text);
        Body { request, lines, matching, firing, times, first_pass: passes.start }
    }
}

fn pack(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

/// Head of a write of `length` bytes.
pub fn head(length: usize, gzip: bool) -> String {
    let encoding = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
    format!(
        "POST /write?db={DATABASE}&rp={RETENTION_POLICY}&precision=ns HTTP/1.1\r\nHost: bench\r\n{encoding}\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, io::Read};

    use flate2::read::GzDecoder;

    use super::*;
    use crate::scenario;

    const SECONDS: Duration = Duration::from_millis(100);

    fn named(name: &str) -> Scenario {
        scenario::choose(&[name.to_owned()]).unwrap()[0]
    }

    fn text(body: &Body) -> String {
        let request = String::from_utf8_lossy(&body.request);
        let (head, text) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", text.len())));
        text.to_owned()
    }

    /// Sends so many bodies and checks that each series' times advance by the interval.
    fn check_times(scenario: &Scenario, supply: &mut Supply, bodies: usize) {
        let mut last: HashMap<String, i64> = HashMap::new();
        for _ in 0..bodies {
            for line in text(supply.next().unwrap()).lines() {
                let (key, rest) = line.split_once(' ').unwrap();
                let time: i64 = rest.rsplit(' ').next().unwrap().parse().unwrap();
                if let Some(before) = last.insert(key.to_owned(), time) {
                    assert_eq!(time - before, scenario.interval * SECOND, "{key}");
                }
            }
        }
        assert_eq!(last.len(), supply.series);
    }

    #[test]
    fn a_body_of_several_passes_advances_within_and_between_rounds() {
        let scenario = named("window-mean-alert");
        let mut supplies = prepare(&scenario, SECONDS);
        assert_eq!(supplies.len(), 4);
        let supply = &mut supplies[3];
        assert_eq!((supply.bodies.len(), supply.passes, supply.bodies[0].lines), (1, 20, 5_000));
        check_times(&scenario, supply, 3);
        assert!(supply.passed(1));
        supply.rewind();
        assert!(!supply.passed(1));
        assert!(text(supply.next().unwrap()).lines().next().unwrap().ends_with(&BASE_TIME.to_string()));
    }

    #[test]
    fn shuffled_passes_differ_and_keep_each_series_in_order() {
        let scenario = Scenario { series: 2_000, body_lines: 100, order: Order::Shuffled, ..named("none") };
        let mut supplies = prepare(&scenario, SECONDS);
        let supply = &mut supplies[1];
        assert_eq!((supply.bodies.len(), supply.passes), (15, 3));
        let first = |body: &Body| text(body).split(' ').next().unwrap().to_owned();
        assert_ne!(first(&supply.bodies[0]), first(&supply.bodies[5]));
        check_times(&scenario, supply, 33);
    }

    #[test]
    fn packed_bodies_run_out() {
        let scenario = named("gzip");
        let mut supply = prepare(&scenario, SECONDS).swap_remove(0);
        assert_eq!(supply.bodies.len(), 10, "50,000 lines a connection");
        let body = supply.next().unwrap();
        let start = body.request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let mut unpacked = String::new();
        GzDecoder::new(&body.request[start..]).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked.lines().count(), 5_000);
        assert_eq!(std::iter::from_fn(|| supply.next().map(|body| body.lines)).count(), 9);
    }

    #[test]
    fn one_line_in_a_hundred_fires_and_mixed_lines_match_by_a_quarter() {
        let sum = |name: &str, count: fn(&Body) -> usize| -> usize {
            prepare(&named(name), SECONDS).iter().flat_map(|supply| &supply.bodies).map(count).sum()
        };
        assert_eq!(sum("alert-firing", |body| body.firing), 200);
        assert_eq!(sum("none", |body| body.firing), 0);
        assert_eq!(sum("mixed", |body| body.matching), 5_000);
    }
}
