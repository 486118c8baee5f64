//! The frames of the link.
//!
//! ```text
//! frame   = length payload
//! length  = u32, little endian: bytes of the payload
//! payload = one message, postcard-encoded
//! ```
//!
//! A frame longer than [`FRAME_BYTES_MAX`] or a payload that does not decode ends the connection: after either the
//! place of the next frame is not to be trusted.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use crate::limits::FRAME_BYTES_MAX;

const HEAD_BYTES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes exceeds the limit of {FRAME_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a frame does not hold the message expected: {0}")]
    Payload(#[from] postcard::Error),
}

/// One message as a frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, FrameError> {
    let mut frame = Vec::with_capacity(256);
    append(message, &mut frame)?;
    Ok(frame.into())
}

/// Adds one message as a frame to others; of one that has no place among them nothing stays.
pub fn append<T: Serialize>(message: &T, frames: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = frames.len();
    frames.extend_from_slice(&[0; HEAD_BYTES]);
    let done = postcard::to_extend(message, Tail(frames)).map(drop);
    let bytes = frames.len() - start;
    let failed = match done {
        Err(error) => Some(error.into()),
        Ok(()) => (bytes > FRAME_BYTES_MAX).then_some(FrameError::TooLong { bytes }),
    };
    if let Some(error) = failed {
        frames.truncate(start);
        return Err(error);
    }
    // The check above keeps the length well inside 32 bits.
    frames[start..start + HEAD_BYTES].copy_from_slice(&((bytes - HEAD_BYTES) as u32).to_le_bytes());
    Ok(())
}

/// The end of a list of bytes, where they are added in pieces.
struct Tail<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Tail<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// Takes the next whole message out of `buffer`; `None` asks for more bytes.
pub fn decode<T: DeserializeOwned>(buffer: &mut BytesMut) -> Result<Option<T>, FrameError> {
    let Some(head) = buffer.get(..HEAD_BYTES) else { return Ok(None) };
    let mut length = [0; HEAD_BYTES];
    length.copy_from_slice(head);
    let length = u32::from_le_bytes(length) as usize;
    if length + HEAD_BYTES > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong { bytes: length + HEAD_BYTES });
    }
    if buffer.len() < HEAD_BYTES + length {
        buffer.reserve(HEAD_BYTES + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEAD_BYTES);
    let payload = buffer.split_to(length);
    Ok(Some(postcard::from_bytes(&payload)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Command, Settings};

    fn command(request: u64, policy: String) -> Command {
        Command::Configure {
            request,
            settings: Settings { default_retention_policy: policy, version: "1".into(), ..Settings::default() },
        }
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut_of_the_stream(policies in proptest::collection::vec(".{0,40}", 1..8), cut in 1usize..64) {
            let sent: Vec<_> = policies.into_iter().enumerate().map(|(n, p)| command(n as u64, p)).collect();
            let stream: Vec<u8> = sent.iter().flat_map(|message| encode(message).unwrap()).collect();
            let mut buffer = BytesMut::new();
            let mut received: Vec<Command> = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(message) = decode(&mut buffer).unwrap() {
                    received.push(message);
                }
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = BytesMut::from(bytes.as_slice());
            while let Ok(Some(_)) = decode::<Command>(&mut buffer) {}
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        let mut buffer = BytesMut::from(&u32::MAX.to_le_bytes()[..]);
        assert!(matches!(decode::<Command>(&mut buffer), Err(FrameError::TooLong { .. })));
    }
}
