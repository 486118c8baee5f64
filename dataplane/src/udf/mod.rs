//! The protocol of user-defined functions (reference: nodes-alert-join-io §8): messages of Protocol Buffers, each behind
//! its length.
//!
//! [`wire`] has the encoding, [`message`] what is said, [`describe`] asks a function what it is. Nodes speak it through the
//! I/O thread.

mod describe;
mod message;
pub mod wire;

pub use describe::{DescribeError, describe};
pub use message::{Begin, End, Info, OptionValue, Request, Response, UdfPoint, UdfValue};
pub use wire::{MESSAGE_BYTES_MAX, Malformed, frame, split};
