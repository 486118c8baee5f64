//! The warm path allocates nothing per point: what a body allocates does not grow with its lines, but for the doublings
//! of the vectors that its rows end in.

use std::fmt::Write;

use dataplane::line::FastReader;
use farad_tests::staging::{receiver_of, stage, task};

const SERIES: usize = 1_000;

/// A pass over all series for each of `passes`; `step` gives the order.
fn body(line: impl Fn(usize, &mut String), passes: usize, step: usize) -> Vec<u8> {
    let mut body = String::new();
    for n in 0..SERIES * passes {
        line(n * step % SERIES, &mut body);
        let _ = writeln!(body, " {}", 1_700_000_000_000_000_000 + n);
    }
    body.into_bytes()
}

/// Allocations while a body is staged, committed and dropped.
fn allocations(wanted: &[&[&str]], bodies: &[Vec<u8>]) -> u64 {
    let tasks = wanted.iter().zip(1..).map(|(fields, instance)| task(instance, "", fields)).collect();
    let mut receiver = receiver_of(FastReader::default(), tasks);
    for body in bodies {
        assert!(stage(&mut receiver, body, usize::MAX).is_ok());
    }
    let staged = || bodies.iter().for_each(|body| drop(stage(&mut receiver, body, usize::MAX)));
    allocation_counter::measure(staged).count_total / bodies.len() as u64
}

#[test]
fn warm_lines_are_staged_without_allocations() {
    let plain = |n: usize, out: &mut String| {
        let _ = write!(out, "cpu,dc=dc-{},host=host-{n:05} usage_idle={n}.5,user=1.25,n=3i", n % 12);
    };
    // Measurements in turn; a string, a boolean and an exponent make the scalar reader work.
    let mixed = |n: usize, out: &mut String| {
        let _ = write!(out, "m{},host=host-{n:05} usage_idle={n}.5,s=\"a b\",t=true,e=1e3", n % 7);
    };
    // By how many bits the capacity of a vector of 10 passes exceeds its first one, for each of the vectors of a block,
    // and what a body has whatever its lines.
    let most = 12 * 6 + 20;
    let wants: [&[&[&str]]; 4] =
        [&[], &[&["usage_idle"]], &[&["usage_idle", "n", "t", "none"]], &[&["usage_idle"], &[]]];
    for wanted in wants {
        let in_order = allocations(wanted, &[body(plain, 10, 1)]);
        let shuffled = allocations(wanted, &[1, 7, 401, 7].map(|step| body(plain, 10, step)));
        let scalar = allocations(wanted, &[body(mixed, 10, 1)]);
        println!("{wanted:?}: {in_order} in order, {shuffled} shuffled, {scalar} by the scalar reader");
        assert!(in_order.max(shuffled).max(scalar) < most);
    }
}
