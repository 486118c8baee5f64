//! HTTP/1.1 framing without I/O: where heads and bodies begin and end, in both directions.
//!
//! reference: http-api §1. Shards read writes with it, the I/O thread relays everything else with it. Nothing here copies
//! a body: pieces are ranges of the caller's buffer.

pub mod access_log;
mod body;
mod credentials;
mod gzip;
mod head;
mod query;
mod response;

#[cfg(test)]
mod tests;

pub use body::{Framer, FramingError, Piece};
pub use credentials::{Credential, CredentialError, credential};
pub use gzip::{Gunzip, GzipError};
pub use head::{Body, Head, HeadError, Parsed, parse, parse_from};
pub use query::Query;
pub use response::{Answer, ResponseHead, packed, parse_response};

/// Largest head of a request. Larger: 431 and the connection closes.
pub const HEAD_BYTES_MAX: usize = 1 << 20;

/// Longest path and query of a request, which the control plane's HTTP library takes as well. Longer: 414.
pub const TARGET_BYTES_MAX: usize = 65_534;

/// Most headers of one request.
pub const HEADERS_MAX: usize = 256;
