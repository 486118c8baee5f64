//! Unpacking of gzip bodies, with a cap.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

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

/// Unpacks a body of any number of members; more than `bytes_max` of content is refused without unpacking the rest.
pub fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, GzipError> {
    if packed.is_empty() {
        return Err(GzipError::Empty);
    }
    if packed.len() >= 2 && !packed.starts_with(&[0x1f, 0x8b]) {
        return Err(GzipError::Header);
    }
    let mut content = Vec::with_capacity(packed.len().saturating_mul(4).min(bytes_max));
    let limit = bytes_max as u64 + 1;
    match MultiGzDecoder::new(packed).take(limit).read_to_end(&mut content) {
        Ok(_) if content.len() > bytes_max => Err(GzipError::TooLarge(bytes_max)),
        Ok(_) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(GzipError::Truncated),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && content.is_empty() => Err(GzipError::Header),
        Err(_) => Err(GzipError::Data),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

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
        assert_eq!(gunzip(b"m v=1", 100), Err(GzipError::Header));
        assert_eq!(gunzip(b"", 100), Err(GzipError::Empty));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let packed = pack(&vec![b'x'; 10 << 20]);
        assert_eq!(gunzip(&packed, 1 << 20), Err(GzipError::TooLarge(1 << 20)));
    }
}
