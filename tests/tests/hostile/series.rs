//! Series without end.

use crate::{SOON, beside_other_writers};

#[test]
fn each_series_costs_a_bounded_number_of_bytes() {
    const SERIES: usize = 300_000;
    const BODY: usize = 10_000;
    // 120 bytes and the key of 30; as much again for what a table of that size may leave free, and for a body.
    beside_other_writers(2 * 150 * SERIES as u64 + (32 << 20), SOON, |server| {
        for body in 0..SERIES / BODY {
            let lines: String = (0..BODY).map(|line| format!("m,id={:020} v=1 1\n", body * BODY + line)).collect();
            assert_eq!(server.write("x", "y", &lines).unwrap().status, 204);
        }
    });
}
