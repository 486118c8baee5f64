//! What must hold for any bytes whatsoever, one check a surface: run by fuzzers (`fuzz/`) without end, and by ordinary
//! tests on the seeds that are kept.

pub mod http;
pub mod line;
pub mod link;

/// A check panics when what it checks does not hold.
pub type Check = fn(&[u8]);

/// All of them, by the name of their fuzz target and folder of seeds.
pub const CHECKS: [(&str, Check); 3] = [("http", http::check), ("line", line::check), ("link", link::check)];
