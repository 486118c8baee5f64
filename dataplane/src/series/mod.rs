//! Series as a receiver knows them: raw key bytes to a number, so that tags are parsed at first sight only.

mod cache;

pub use cache::{Cache, Entry, Ingress, IngressTable, SeriesInfo, Space};
