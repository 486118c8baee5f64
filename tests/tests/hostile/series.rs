//! Series without end.

use std::time::Instant;

use farad_tests::process::resident;

use crate::{SOON, beside_other_writers};

/// Another number of series than the usual one, for builds with optimization: ten million take a minute.
const SERIES: &str = "FARAD_TEST_SERIES";
const SERIES_USUALLY: usize = 300_000;

/// What both shards' caches may hold together, and as much again while a table grows.
const CACHES_BYTES_MAX: u64 = 2 << 30;

#[test]
fn each_series_costs_a_bounded_number_of_bytes() {
    const BODY: usize = 10_000;
    let series = std::env::var(SERIES).ok().and_then(|text| text.parse().ok()).unwrap_or(SERIES_USUALLY);
    // 120 bytes and the key of 30; as much again for what a table of that size may leave free, and for a body.
    let growth = (2 * 150 * series as u64).min(CACHES_BYTES_MAX) + (32 << 20);
    beside_other_writers(growth, SOON, |server| {
        let start = Instant::now();
        let mut again = 0;
        for body in 0..series / BODY {
            let lines: String = (0..BODY).map(|line| format!("m,id={:020} v=1 1\n", body * BODY + line)).collect();
            // A cache that starts over in the middle of a body asks for it again.
            loop {
                let answer = server.write("x", "y", &lines).unwrap();
                if answer.status == 204 {
                    break;
                }
                assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
                again += 1;
            }
        }
        let held = server.dataplane_pid().map_or(0, resident);
        println!("{series} series in {:?}, {again} bodies twice, {} MB held", start.elapsed(), held >> 20);
    });
}
