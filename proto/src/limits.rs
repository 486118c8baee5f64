//! Limits of what crosses the link.

/// Largest frame, in bytes with its head. A longer one is refused by both sides and ends the link.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Deepest expression that a plan may hold. The compiler refuses deeper ones, so that no walk overflows a stack.
pub const EXPR_DEPTH_MAX: usize = 200;

/// Most nodes of one task.
pub const NODES_PER_TASK_MAX: usize = 1_000;
