//! Line protocol: an exact scalar reader, and a fast one for plain lines that is held against it.
//!
//! reference: http-api §6. A body is cut into lines, a line into a series key, fields and a timestamp. Nothing is copied
//! and nothing allocated for a good line:
//!
//! ```text
//! Lines            line by line, comments and blanks left out
//! Cutter           where a body that arrives in parts can be cut
//! key_end          where the key of a line ends; the bytes before are looked up in the series cache
//! SeriesKey::parse measurement and tags, at the first sight of a series only: all errors of a key
//! Fields           field by field; every byte is checked, values are converted only on demand
//! time             the timestamp and what may follow it
//! FastReader       fields and timestamp of a plain line behind a known key, 64 bytes at a time; see [`fast`]
//! ```
//!
//! Errors have an order: those of the key come before those of the fields, those before the timestamp's. A key whose
//! bytes were accepted before need not be parsed again.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cutter;
mod equal;
mod error;
mod fast;
mod fields;
mod key;
mod lines;
mod masks;
mod number;
mod swar;
mod timestamp;
mod write;

#[cfg(test)]
mod tests;

pub use cutter::Cutter;
pub(crate) use equal::equal;
pub use error::{BodyErrors, KEY_BYTES_MAX, Reason, TEXT_BYTES_MAX};
pub use fast::{FastLine, FastReader, Number};
pub use fields::{Fields, RawField, RawValue};
pub use key::{SeriesKey, key_end, lossy};
pub use lines::{Lines, line_end};
pub use timestamp::{Precision, time};
pub use write::write_line;
