//! Where a body ends, piece by piece.

use std::ops::Range;

use super::Body;

/// Follows one body through a buffer that grows at its end.
#[derive(Clone, Debug)]
pub struct Framer {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes of data that are left.
    Data {
        left: u64,
        chunked: bool,
    },
    /// A line with a chunk's size.
    Size,
    /// The line end behind a chunk.
    ChunkEnd,
    /// Lines behind the last chunk.
    Trailer {
        bytes: usize,
    },
    UntilClose,
    Done,
}

/// What stands at the front of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Data of the body; the caller takes `range.end` bytes off the front.
    Data(Range<usize>),
    /// This many bytes are framing and not data.
    Skip(usize),
    More,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed chunked encoding")]
pub struct FramingError;

/// Longest line with a chunk's size and extensions, and of all trailers.
const LINE_BYTES_MAX: usize = 16 << 10;

impl Framer {
    pub fn new(body: Body) -> Self {
        let state = match body {
            Body::Length(left) => State::Data { left, chunked: false },
            Body::Chunked => State::Size,
            Body::UntilClose => State::UntilClose,
        };
        Framer { state }
    }

    /// The next piece of a buffer that begins where the last piece ended.
    pub fn next(&mut self, buffer: &[u8]) -> Result<Piece, FramingError> {
        match self.state {
            State::Done => Ok(Piece::Done),
            State::Data { left: 0, chunked: false } => {
                self.state = State::Done;
                Ok(Piece::Done)
            }
            State::Data { left: 0, chunked: true } => {
                self.state = State::ChunkEnd;
                self.next(buffer)
            }
            _ if buffer.is_empty() => Ok(Piece::More),
            State::UntilClose => Ok(Piece::Data(0..buffer.len())),
            State::Data { left, chunked } => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                self.state = State::Data { left: left - taken as u64, chunked };
                Ok(Piece::Data(0..taken))
            }
            State::ChunkEnd => match buffer {
                [b'\r', b'\n', ..] => self.skip(2, State::Size),
                [b'\n', ..] => self.skip(1, State::Size),
                [b'\r'] => Ok(Piece::More),
                _ => Err(FramingError),
            },
            State::Size => {
                let Some((line, bytes)) = line(buffer)? else { return Ok(Piece::More) };
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
                let digits = std::str::from_utf8(digits).ok().filter(|_| plain).ok_or(FramingError)?;
                match u64::from_str_radix(digits, 16).map_err(|_| FramingError)? {
                    0 => self.skip(bytes, State::Trailer { bytes: 0 }),
                    left => self.skip(bytes, State::Data { left, chunked: true }),
                }
            }
            State::Trailer { bytes: before } => {
                let Some((line, bytes)) = line(buffer)? else { return Ok(Piece::More) };
                if line.is_empty() {
                    return self.skip(bytes, State::Done);
                }
                if before + bytes > LINE_BYTES_MAX {
                    return Err(FramingError);
                }
                self.skip(bytes, State::Trailer { bytes: before + bytes })
            }
        }
    }

    /// Whether the data so far is known to be all.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Done | State::Data { left: 0, chunked: false })
    }

    /// Whether the body ends with the connection.
    pub fn is_until_close(&self) -> bool {
        self.state == State::UntilClose
    }

    fn skip(&mut self, bytes: usize, then: State) -> Result<Piece, FramingError> {
        self.state = then;
        Ok(Piece::Skip(bytes))
    }
}

/// The first line of a buffer without its end, and its bytes with it.
fn line(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, FramingError> {
    match memchr::memchr(b'\n', buffer) {
        Some(at) if at <= LINE_BYTES_MAX => {
            let line = &buffer[..at];
            Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), at + 1)))
        }
        None if buffer.len() <= LINE_BYTES_MAX => Ok(None),
        _ => Err(FramingError),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data of a message that arrives in pieces of `cut` bytes, and the bytes left over.
    fn read(body: Body, message: &[u8], cut: usize) -> Result<(Vec<u8>, Vec<u8>), FramingError> {
        let (mut framer, mut buffer, mut data) = (Framer::new(body), Vec::new(), Vec::new());
        let mut pieces = message.chunks(cut);
        loop {
            match framer.next(&buffer)? {
                Piece::Data(range) => {
                    data.extend_from_slice(&buffer[range.clone()]);
                    buffer.drain(..range.end);
                }
                Piece::Skip(bytes) => drop(buffer.drain(..bytes)),
                Piece::Done => {
                    buffer.extend(pieces.flatten());
                    return Ok((data, buffer));
                }
                Piece::More => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok((data, buffer)),
                },
            }
        }
    }

    proptest! {
        #[test]
        fn any_cut_of_a_chunked_body_gives_the_same_data(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..30), 0..5), cut in 1usize..50) {
            let mut message = Vec::new();
            for chunk in &chunks {
                message.extend_from_slice(format!("{:X};ext=1\r\n", chunk.len()).as_bytes());
                message.extend_from_slice(chunk);
                message.extend_from_slice(b"\r\n");
            }
            message.extend_from_slice(b"0\r\nTrailer: x\r\n\r\nNEXT");
            prop_assert_eq!(read(Body::Chunked, &message, cut), Ok((chunks.concat(), b"NEXT".to_vec())));
        }

        #[test]
        fn garbage_never_panics(message in proptest::collection::vec(any::<u8>(), 0..80), cut in 1usize..9) {
            let _ = read(Body::Chunked, &message, cut);
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        for cut in 1..8 {
            assert_eq!(read(Body::Length(5), b"12345rest", cut), Ok((b"12345".to_vec(), b"rest".to_vec())));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for message in [&b"x\r\n"[..], b"-1\r\n", b"\r\n", b"1\r\nab\r\n", b"11111111111111111\r\n"] {
            assert_eq!(read(Body::Chunked, message, 3), Err(FramingError), "{message:?}");
        }
    }
}
