//! What must hold for any bytes whatsoever, one check a surface: run by fuzzers (`fuzz/`) without end, and by ordinary
//! tests on the seeds that are kept.

pub mod expression;
pub mod http;
pub mod line;
pub mod link;
pub mod script;
pub mod task;

/// A check panics when what it checks does not hold.
pub type Check = fn(&[u8]);

/// All of them, by the name of their fuzz target and folder of seeds.
pub const CHECKS: [(&str, Check); 6] = [
    ("expression", expression::check),
    ("http", http::check),
    ("line", line::check),
    ("link", link::check),
    ("script", script::check),
    ("task", task::check),
];
