//! Line protocol: bodies are staged by the fast path as by the scalar reader alone, with the same rows or the same answer.
//!
//! A record separator (0x1E) ends a body. Each body is sent twice, so that its series are known the second time.

use dataplane::{line::FastReader, shard::receiver::Receiver};

use crate::staging::{receiver, staged};

/// Most bytes that are looked at: the text of an answer is bounded, and so is the time of a run.
const BYTES_MAX: usize = 1 << 16;

pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(BYTES_MAX)];
    let mut fast = receiver(FastReader::default());
    let mut scalar = receiver(FastReader::scalar());
    for body in data.split(|byte| *byte == 0x1E) {
        for _ in 0..2 {
            assert_eq!(staged(&mut fast, body), staged(&mut scalar, body), "{:?}", String::from_utf8_lossy(body));
        }
    }
    let counts = |receiver: &Receiver| (receiver.counters.points, receiver.cache.len());
    assert_eq!(counts(&fast), counts(&scalar));
}
