use proptest::prelude::*;

use super::*;

/// A request as a server sees it: its target and its body's data.
type Request = (String, Vec<u8>);

/// What a server reads of bytes that arrive in the given pieces: requests, and the status of the refusal that ended them.
fn serve(pieces: &[&[u8]]) -> (Vec<Request>, Option<u16>) {
    let (mut buffer, mut pieces) = (Vec::new(), pieces.iter());
    let mut requests = Vec::new();
    loop {
        let head = loop {
            match parse(&buffer) {
                Ok(Parsed::Complete(head)) => break head,
                Ok(Parsed::Partial) => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return (requests, None),
                },
                Err(error) => return (requests, Some(error.status())),
            }
        };
        buffer.drain(..head.bytes);
        let (mut framer, mut data) = (Framer::new(head.body), Vec::new());
        loop {
            match framer.next(&buffer) {
                Ok(Piece::Data(range)) => {
                    data.extend_from_slice(&buffer[range.clone()]);
                    buffer.drain(..range.end);
                }
                Ok(Piece::Skip(bytes)) => drop(buffer.drain(..bytes)),
                Ok(Piece::Done) => break,
                Ok(Piece::More) => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return (requests, None),
                },
                Err(FramingError) => return (requests, Some(400)),
            }
        }
        requests.push((head.target, data));
    }
}

/// Requests behind one another: with a length, in chunks, without a body.
fn pipelined() -> (Vec<u8>, Vec<Request>) {
    let bytes =
        b"POST /write?db=a HTTP/1.1\r\nHost: x\r\nUser-Agent: a\tb \xc3\xa9\r\nContent-Length: 6\r\n\r\nm v=1\n\
        \r\nPOST /write?db=b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n\
        4;name=\"v\"\r\nm v=\r\nA\r\n2\r\n\r\nm v=3\r\n000\r\nTrailer: y\r\n\r\n\
        GET /kapacitor/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /write?db=c HTTP/1.0\nConnection: keep-alive\nContent-Length: 1\n\n#";
    let requests = vec![
        ("/write?db=a".to_owned(), b"m v=1\n".to_vec()),
        ("/write?db=b".to_owned(), b"m v=2\r\n\r\nm v=3".to_vec()),
        ("/kapacitor/v1/ping".to_owned(), Vec::new()),
        ("/write?db=c".to_owned(), b"#".to_vec()),
    ];
    (bytes.to_vec(), requests)
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let (bytes, requests) = pipelined();
    for cut in 0..=bytes.len() {
        let (front, back) = bytes.split_at(cut);
        assert_eq!(serve(&[front, back]), (requests.clone(), None), "{cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(serve(&single), (requests, None));
}

proptest! {
    #[test]
    fn a_cut_at_any_bytes_changes_nothing(cuts in proptest::collection::vec(0usize..400, 0..6)) {
        let (bytes, requests) = pipelined();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        prop_assert_eq!(serve(&pieces), (requests, None));
    }

    #[test]
    fn damaged_requests_read_the_same_whole_or_in_bytes(
        damage in proptest::collection::vec((0usize..400, any::<u8>()), 1..4)) {
        let (mut bytes, _) = pipelined();
        for (at, byte) in damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(serve(&[&bytes]), serve(&single));
    }

    #[test]
    fn responses_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Parsed::Complete(head)) = parse_response(&bytes, false) {
            prop_assert!(head.bytes <= bytes.len());
        }
    }
}
