//! Everything in a shard that can grow: its limit, its holder, and what happens there.

/// Blocks on the way from one receiver to one owner. Full: the body keeps its blocks, its connection is not answered and
/// not read until they are taken.
pub const RING_BLOCKS: usize = 16;

/// Bytes of bodies that connections of one shard may hold at once, as received and unpacked. Full: a body waits for room
/// before it is read on, in order of arrival.
pub const STAGED_BYTES_MAX: usize = 512 << 20;

/// Largest body, packed or not. Larger: 413 and the connection closes.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// What a body of unknown length (chunked, gzip) reserves of [`STAGED_BYTES_MAX`] before it is read.
pub const BODY_RESERVE_BYTES: usize = 1 << 20;

/// Keys and entries of a receiver's series cache. Full: the cache starts over.
pub const SERIES_BYTES_MAX: usize = 1 << 30;

/// Lines that are parsed, or rows that are run, before other work of the shard gets its turn.
pub const SLICE_ROWS: usize = 1_024;

/// Lines of kapacitorLoopback nodes that wait to come in again, per shard. Full: dropped with a counter.
pub const REINGEST_BYTES_MAX: usize = 64 << 20;

/// Commands waiting for a shard. Full: the I/O thread waits.
pub const COMMANDS: usize = 1_024;

/// Alert events and posts waiting for the I/O thread, per shard. Full: dropped with a counter.
pub const EFFECTS: usize = 16_384;
