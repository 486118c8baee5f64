//! HTTP framing: a connection's bytes mean the same however they arrive, and nothing in them panics.

use std::fmt::Write;

use dataplane::http::{Body, Framer, Gunzip, Parsed, Piece, Query, parse, parse_response};

/// Room for an unpacked body.
const UNPACKED_MAX: usize = 1 << 16;

pub fn check(data: &[u8]) {
    let whole = requests(data, usize::MAX);
    for cut in [1, 7] {
        assert_eq!(requests(data, cut), whole, "in pieces of {cut}");
    }
    for head_request in [false, true] {
        if let Ok(Parsed::Complete(head)) = parse_response(data, head_request) {
            assert!(head.bytes <= data.len());
        }
    }
    if let Some(unpacked) = unpack(data) {
        assert!(unpacked.len() <= UNPACKED_MAX);
    }
}

/// The requests of a connection that receives `cut` bytes at a time, as text, up to the first error.
fn requests(data: &[u8], cut: usize) -> String {
    let (mut seen, mut buffer, mut rest) = (String::new(), Vec::new(), data);
    let receive = |buffer: &mut Vec<u8>, rest: &mut &[u8]| {
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        buffer.extend_from_slice(piece);
        *rest = behind;
        !piece.is_empty()
    };
    loop {
        let head = match parse(&buffer) {
            Ok(Parsed::Complete(head)) => head,
            Ok(Parsed::Partial) if receive(&mut buffer, &mut rest) => continue,
            Ok(Parsed::Partial) => return seen,
            Err(error) => {
                let _ = write!(seen, "[{}]", error.status());
                return seen;
            }
        };
        let database = Query(head.query()).get("db").unwrap_or_default().into_owned();
        let _ = write!(seen, "{head:?} {database:?}");
        assert!(head.bytes <= buffer.len());
        assert_ne!(head.body, Body::UntilClose, "only a response ends with its connection");
        buffer.drain(..head.bytes);
        let mut framer = Framer::new(head.body);
        let mut body = Vec::new();
        loop {
            match framer.next(&buffer) {
                Ok(Piece::Done) => break,
                Ok(Piece::Skip(bytes)) => drop(buffer.drain(..bytes)),
                Ok(Piece::Data(range)) => {
                    body.extend_from_slice(&buffer[range.clone()]);
                    buffer.drain(..range.end);
                }
                Ok(Piece::More) if receive(&mut buffer, &mut rest) => {}
                Ok(Piece::More) => {
                    let _ = write!(seen, "{body:?}…");
                    return seen;
                }
                Err(error) => {
                    let _ = write!(seen, "{body:?} {error}");
                    return seen;
                }
            }
        }
        let _ = writeln!(seen, "{body:?}");
    }
}

/// The content of a packed body, unpacked in pieces.
fn unpack(data: &[u8]) -> Option<Vec<u8>> {
    let mut gunzip = Gunzip::new(data.to_vec(), UNPACKED_MAX).ok()?;
    let (mut content, mut piece) = (Vec::new(), [0; 1_000]);
    loop {
        match gunzip.read(&mut piece).ok()? {
            0 => return Some(content),
            bytes => content.extend_from_slice(&piece[..bytes]),
        }
    }
}
