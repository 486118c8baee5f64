//! Unpacking of gzip bodies, with a cap.

use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::GzDecoder;

/// Why a packed body is refused (texts: reference, http-api §5).
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    #[error("EOF")]
    Empty,
    #[error("unexpected EOF")]
    Truncated,
    #[error("gzip: invalid header")]
    Header,
    #[error("gzip: invalid checksum or data")]
    Data,
    #[error("the unpacked body has more than {0} bytes")]
    TooLarge(usize),
}

/// Bytes of the shortest header of a member.
const HEADER_BYTES: usize = 10;

/// How each member begins: the format's mark, and the only method there is.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Unpacks a body of any number of members, piece by piece.
pub struct Gunzip {
    member: Option<GzDecoder<Cursor<Vec<u8>>>>,
    packed_bytes: usize,
    unpacked_bytes: usize,
    bytes_max: usize,
}

impl Gunzip {
    /// More than `bytes_max` of content is refused without unpacking the rest.
    pub fn new(packed: Vec<u8>, bytes_max: usize) -> Result<Gunzip, GzipError> {
        if packed.is_empty() {
            return Err(GzipError::Empty);
        }
        let packed_bytes = packed.len();
        let member = Some(begin(Cursor::new(packed))?);
        Ok(Gunzip { member, packed_bytes, unpacked_bytes: 0, bytes_max })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.packed_bytes
    }

    /// Bytes of content so far.
    pub fn unpacked_bytes(&self) -> usize {
        self.unpacked_bytes
    }

    /// The next bytes of the content, as many as there is room for; 0 at its end.
    pub fn read(&mut self, piece: &mut [u8]) -> Result<usize, GzipError> {
        let mut filled = 0;
        while let Some(member) = &mut self.member
            && filled < piece.len()
        {
            let bytes =
                member.read(piece.get_mut(filled..).unwrap_or_default()).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => GzipError::Truncated,
                    _ => GzipError::Data,
                })?;
            filled += bytes;
            self.unpacked_bytes += bytes;
            if self.unpacked_bytes > self.bytes_max {
                return Err(GzipError::TooLarge(self.bytes_max));
            }
            if bytes == 0 {
                let mut rest = self.member.take().map(GzDecoder::into_inner).unwrap_or_default();
                let ended = rest.fill_buf().is_ok_and(<[u8]>::is_empty);
                self.member = if ended { None } else { Some(begin(rest)?) };
            }
        }
        Ok(filled)
    }
}

/// Begins the member at the front.
fn begin(packed: Cursor<Vec<u8>>) -> Result<GzDecoder<Cursor<Vec<u8>>>, GzipError> {
    let front = packed.get_ref().get(packed.position() as usize..).unwrap_or_default();
    if front.len() < HEADER_BYTES {
        return Err(GzipError::Truncated);
    }
    if !front.starts_with(&MAGIC) {
        return Err(GzipError::Header);
    }
    Ok(GzDecoder::new(packed))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// The whole content, unpacked in pieces of some size.
    fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, GzipError> {
        let mut pieces = Gunzip::new(packed.to_vec(), bytes_max)?;
        let (mut content, mut piece) = (Vec::new(), [0; 97]);
        loop {
            match pieces.read(&mut piece)? {
                0 => return Ok(content),
                bytes => content.extend_from_slice(&piece[..bytes]),
            }
        }
    }

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_joined_and_what_is_broken_is_named() {
        let packed = pack(b"m v=1\n");
        assert_eq!(gunzip(&[packed.clone(), packed.clone()].concat(), 100).unwrap(), b"m v=1\nm v=1\n");
        assert_eq!(gunzip(&packed[..packed.len() - 3], 100), Err(GzipError::Truncated));
        assert_eq!(gunzip(b"m v=1 1600000000", 100), Err(GzipError::Header));
        assert_eq!(gunzip(b"", 100), Err(GzipError::Empty));
        // A header has ten bytes; what is shorter is cut off, whatever it says.
        assert_eq!(gunzip(b"m v=1", 100), Err(GzipError::Truncated));
        for cut in 1..packed.len() {
            assert_eq!(gunzip(&packed[..cut], 100), Err(GzipError::Truncated), "{cut}");
        }
    }

    #[test]
    fn what_follows_a_member_is_a_member() {
        let packed = pack(b"m v=1\n");
        assert_eq!(gunzip(&[&packed[..], b"no member at all"].concat(), 100), Err(GzipError::Header));
        assert_eq!(gunzip(&[&packed[..], b"short"].concat(), 100), Err(GzipError::Truncated));
        let (mut sum, mut data) = (packed.clone(), packed);
        let at = sum.len() - 8;
        sum[at] ^= 1;
        assert_eq!(gunzip(&sum, 100), Err(GzipError::Data));
        // A block type that does not exist, before any content.
        data[10] = 0b111;
        assert_eq!(gunzip(&data, 100), Err(GzipError::Data));
        assert_eq!(gunzip(&pack(b""), 100).unwrap(), b"");
    }

    #[test]
    fn the_cap_counts_all_members() {
        let packed = pack(&[b'x'; 60]);
        let three = packed.repeat(3);
        assert_eq!(gunzip(&three, 180).map(|content| content.len()), Ok(180));
        assert_eq!(gunzip(&three, 179), Err(GzipError::TooLarge(179)));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let packed = pack(&vec![b'x'; 10 << 20]);
        assert_eq!(gunzip(&packed, 1 << 20), Err(GzipError::TooLarge(1 << 20)));
    }
}
