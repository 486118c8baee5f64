//! Groups that come and go below a barrier that deletes leave nothing behind: neither groups nor memory.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use dataplane::block::Block;
use farad_tests::engine::Engine;

const HOSTS: usize = 500;
const DATACENTERS: usize = 20;
const SECOND: i64 = 1_000_000_000;

/// From one set of hosts to the next.
const TURN: i64 = 10 * SECOND;

/// Windows, a regrouping, state by group, a join and httpOut behind the barrier.
const SCRIPT: &str = "
var live = stream|from().measurement('cpu').groupBy('dc', 'host')|barrier().idle(3s).delete(TRUE)
var hosts = live|window().period(1s).every(1s)|mean('usage').as('usage')
var all = live|groupBy('dc')|window().period(1s).every(1s).align()|max('usage').as('usage')
hosts|eval(lambda: \"usage\" * 2.0).as('twice').keep()|stateCount(lambda: \"usage\" > 50.0)|httpOut('hosts')
hosts|alert().crit(lambda: \"usage\" < 0.0)
all|httpOut('all')
live|join(live).as('a', 'b')|where(lambda: \"a.usage\" > 99.5)
";

/// Two sets of hosts that write by turns.
struct Churn {
    engine: Engine,
    sets: [Vec<Block>; 2],
    /// Of the clock, nanoseconds since 1970.
    now: i64,
}

impl Churn {
    fn new() -> Churn {
        let mut engine = Engine::new(SCRIPT).unwrap();
        let sets = [0, HOSTS].map(|first| {
            let mut body = String::new();
            for second in 1..=3 {
                for host in first..first + HOSTS {
                    let (dc, time) = (host % DATACENTERS, second * SECOND + if first > 0 { TURN } else { 0 });
                    let _ = writeln!(body, "cpu,dc=dc-{dc},host=host-{host} usage={}.5 {time}", host % 90);
                }
            }
            engine.stage(body.as_bytes()).unwrap()
        });
        Churn { engine, sets, now: 0 }
    }

    /// Each set writes for three seconds and is gone then.
    fn round(&mut self) {
        for set in &mut self.sets {
            self.engine.run_at(set, self.now + 3 * SECOND).unwrap();
            self.engine.advance(self.now + TURN).unwrap();
            set.iter_mut().for_each(|block| block.shift(2 * TURN));
            self.now += TURN;
        }
    }
}

#[test]
fn groups_that_went_leave_neither_groups_nor_memory() {
    let mut churn = Churn::new();
    (0..3).for_each(|_| churn.round());
    let (groups, bytes) = (churn.engine.account.groups(), churn.engine.account.bytes());
    // Both sets at most, by host and by data center: one is gone, and its routes hold its groups until others write.
    assert!(groups as usize <= 2 * (HOSTS + DATACENTERS) + 1, "{groups}");
    let grown = allocation_counter::measure(|| (0..10).for_each(|_| churn.round())).bytes_current;
    assert_eq!((churn.engine.account.groups(), churn.engine.account.bytes()), (groups, bytes));
    // Eight bytes of each group that went would be more.
    assert!(grown.unsigned_abs() < 64 << 10, "{grown}");
}
