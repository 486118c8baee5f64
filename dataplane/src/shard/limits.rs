//! Bounds of a shard that nobody sets: their holders, and what happens there. Those that the configuration sets are
//! [`proto::limits::Limits`]; [`crate::limits`] lists all that an operator may meet.

use std::time::Duration;

/// Blocks that were run and wait for their receiver to fill them again, per ring, and the largest that is kept. Full, or
/// larger: their memory is given up.
pub const RETURNED_BLOCKS: usize = 4;
pub const RETURNED_BLOCK_BYTES: usize = 1 << 20;

/// How long the oldest body may keep others waiting for room while fewer bytes of it arrive than [`STALL_BYTES`]. Longer:
/// 503, the connection closes.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// What must arrive of the oldest body in [`STALL_LIMIT`], so that a trickle does not hold up everybody.
pub const STALL_BYTES: usize = 64 << 10;

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

/// How long blocks are run before events get their turn, nanoseconds.
pub const TURN: i64 = 1_000_000;

/// Events that are handled before blocks, commands and other work get their turn; a received buffer is one.
pub const TURN_EVENTS: usize = 16;

/// The same while blocks are left: what is there goes first, so that answers need not wait for full rings.
pub const TURN_EVENTS_BEHIND: usize = 2;

/// Rows that are run before the shard looks whether its turn is over.
pub const SLICE_ROWS: usize = 1_024;

/// Commands waiting for a shard, and as many that wait there for what came before. Full: the I/O thread waits.
pub const COMMANDS: usize = 1_024;

/// Writes that a shard logs in a second. More: counted, and the next second's first line says how many.
pub const LOGGED_WRITES: u32 = 100;

/// How much of a body is shown where they are traced. More: cut off, and the line says so.
pub const TRACED_BYTES: usize = 64 << 10;
