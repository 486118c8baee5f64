//! Everything in a shard that can grow: its limit, its holder, and what happens there.

use std::time::Duration;

/// Blocks on the way from one receiver to one owner. Full: the body keeps its blocks, its connection is not answered and
/// not read until they are taken.
pub const RING_BLOCKS: usize = 16;

/// Blocks that were run and wait for their receiver to fill them again, per ring, and the largest that is kept. Full, or
/// larger: their memory is given up.
pub const RETURNED_BLOCKS: usize = 4;
pub const RETURNED_BLOCK_BYTES: usize = 1 << 20;

/// Bytes that the connections of all shards may hold: bodies as staged, packed bodies, blocks that wait for rings, begun
/// lines and heads. Full: the
/// oldest body of a shard goes on alone, the other connections with bodies are not read until there is room.
pub const STAGED_BYTES_MAX: usize = 512 << 20;

/// How long the oldest body may keep others waiting for room while fewer bytes of it arrive than [`STALL_BYTES`]. Longer:
/// 503, the connection closes.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// What must arrive of the oldest body in [`STALL_LIMIT`], so that a trickle does not hold up everybody.
pub const STALL_BYTES: usize = 64 << 10;

/// Largest body, packed or not. Larger: 413 and the connection closes.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// UDP ports of one shard. More are refused.
pub const PORTS_MAX: u32 = 256;

/// Longest line of a stream of lines. Longer: the connection closes.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// What a connection may hold outside of bodies while there is no room. More: it closes, and a counter says so.
pub const HELD_BYTES_MAX: usize = 64 << 10;

/// Bytes of a packed body that are unpacked and parsed in one turn.
pub const UNPACK_BYTES: usize = 128 << 10;

/// How long a refused connection may go on sending before it is cut, whatever it sends, so that its peer can read the
/// answer.
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a draining shard waits for a body or an answer that does not move.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Events that are handled before blocks, commands and other work get their turn; a received buffer is one.
pub const TURN_EVENTS: usize = 16;

/// Slices of blocks that are run before events get their turn.
pub const TURN_SLICES: usize = 4;

/// Keys and entries of a receiver's series cache. Full: the cache starts over.
pub const SERIES_BYTES_MAX: usize = 1 << 30;

/// Rows that are run before the shard looks whether its turn is over.
pub const SLICE_ROWS: usize = 1_024;

/// Lines of kapacitorLoopback nodes that wait to come in again, per shard. Full: dropped with a counter.
pub const REINGEST_BYTES_MAX: usize = 64 << 20;

/// Commands waiting for a shard. Full: the I/O thread waits.
pub const COMMANDS: usize = 1_024;

/// Alert events and posts waiting for the I/O thread, per shard. Full: dropped with a counter.
pub const EFFECTS: usize = 16_384;
