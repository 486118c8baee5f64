//! The head of a request.

use memchr::memmem;

use super::{HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX};

/// What a server needs to know of a request before its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    /// As sent: path and query.
    pub target: String,
    pub body: Body,
    /// `Content-Encoding: gzip`, spelled exactly so.
    pub gzip: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// An `Expect` with anything else: 417.
    pub expects_unknown: bool,
    pub keep_alive: bool,
    /// `Origin`, for CORS.
    pub origin: Option<String>,
    /// `Accept-Encoding` names gzip.
    pub accepts_gzip: bool,
    pub authorization: Option<String>,
    /// Bytes of the head, up to and with the empty line.
    pub bytes: usize,
}

/// How long the body of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
    /// Responses only: until the connection closes.
    UntilClose,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// More bytes are needed.
    Partial,
    Complete(T),
}

/// Why a head is refused; the connection closes after the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("Bad Request: {0}")]
    Malformed(String),
    #[error("Bad Request: missing required Host header")]
    NoHost,
    #[error("Bad Request: {0}")]
    Length(&'static str),
    #[error("Request Header Fields Too Large")]
    TooLarge,
    #[error("URI Too Long: path and query have {TARGET_BYTES_MAX} bytes at most")]
    LongTarget,
}

impl HeadError {
    pub fn status(&self) -> u16 {
        match self {
            HeadError::TooLarge => 431,
            HeadError::LongTarget => 414,
            _ => 400,
        }
    }
}

impl Head {
    /// The path, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// Until this much of a head was there, each piece is checked at once, so that garbage is not waited for; a longer one is
/// read again when its end has arrived and each time it has grown to the next power of two, which costs as much as reading
/// it twice.
const EARLY_BYTES_MAX: usize = 2 << 10;

/// Reads a head that arrives in pieces. `searched` is how much of the buffer was searched for its end before (0 for a new
/// one), so that a long head that comes byte by byte is not searched from its begin each time.
pub fn parse_from(buffer: &[u8], searched: &mut usize) -> Result<Parsed<Head>, HeadError> {
    let new = buffer.get(searched.saturating_sub(2)..).unwrap_or_default();
    let before = std::mem::replace(searched, buffer.len());
    let grown = before.checked_ilog2() != buffer.len().checked_ilog2();
    let ended = || memmem::find(new, b"\n\r\n").or_else(|| memmem::find(new, b"\n\n")).is_some();
    if before > EARLY_BYTES_MAX && !grown && !ended() {
        return if buffer.len() > HEAD_BYTES_MAX { Err(HeadError::TooLarge) } else { Ok(Parsed::Partial) };
    }
    parse(buffer)
}

/// Reads the head of a request off the front of `buffer`. Empty lines before it are skipped.
pub fn parse(buffer: &[u8]) -> Result<Parsed<Head>, HeadError> {
    let skipped = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
    let text = &buffer[skipped..];
    let ended = memmem::find(text, b"\n\r\n").is_some() || memmem::find(text, b"\n\n").is_some();
    if !ended && buffer.len() > HEAD_BYTES_MAX {
        return Err(HeadError::TooLarge);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let bytes = match request.parse(text) {
        Ok(httparse::Status::Complete(bytes)) => skipped + bytes,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(error) => return Err(HeadError::Malformed(error.to_string())),
    };
    if bytes > HEAD_BYTES_MAX {
        return Err(HeadError::TooLarge);
    }
    let version = request.version.unwrap_or(1);
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        body: Body::Length(0),
        gzip: false,
        expects_continue: false,
        expects_unknown: false,
        keep_alive: version == 1,
        origin: None,
        accepts_gzip: false,
        authorization: None,
        bytes,
    };
    if head.target.len() > TARGET_BYTES_MAX {
        return Err(HeadError::LongTarget);
    }
    if !well_escaped(head.path()) {
        return Err(HeadError::Malformed("invalid URL escape".into()));
    }
    let (mut hosts, mut encoding, mut lengths) = (0, None, Lengths::default());
    let mut connection = Connection::default();
    for header in request.headers.iter() {
        let text = String::from_utf8_lossy(header.value);
        let value = text.trim_matches([' ', '\t']);
        match header.name {
            name if name.eq_ignore_ascii_case("host") => hosts += 1,
            name if name.eq_ignore_ascii_case("content-length") => lengths.length(value)?,
            name if name.eq_ignore_ascii_case("transfer-encoding") => lengths.transfer(value)?,
            name if name.eq_ignore_ascii_case("content-encoding") => {
                head.gzip = *encoding.get_or_insert(value == "gzip")
            }
            name if name.eq_ignore_ascii_case("expect") => match value.eq_ignore_ascii_case("100-continue") {
                true => head.expects_continue = true,
                false => head.expects_unknown |= !value.is_empty(),
            },
            name if name.eq_ignore_ascii_case("connection") => connection.header(value),
            name if name.eq_ignore_ascii_case("origin") => head.origin = Some(value.to_owned()),
            name if name.eq_ignore_ascii_case("accept-encoding") => head.accepts_gzip |= value.contains("gzip"),
            name if name.eq_ignore_ascii_case("authorization") => head.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    match hosts {
        0 if version == 1 => return Err(HeadError::NoHost),
        0 | 1 => {}
        _ => return Err(HeadError::Malformed("too many Host headers".into())),
    }
    head.body = lengths.body(Body::Length(0));
    if version == 0 && head.body == Body::Chunked {
        return Err(HeadError::Length("unsupported transfer encoding"));
    }
    head.keep_alive = connection.keeps_alive(version);
    head.expects_continue &= version == 1 && head.body != Body::Length(0);
    Ok(Parsed::Complete(head))
}

/// What the `Connection` headers of a message say.
#[derive(Debug, Default)]
pub(super) struct Connection {
    close: bool,
    keep_alive: bool,
}

impl Connection {
    pub fn header(&mut self, value: &str) {
        let says = |word: &str| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word));
        self.close |= says("close");
        self.keep_alive |= says("keep-alive");
    }

    /// Whether the connection outlives the message, for HTTP/1.`version`.
    pub fn keeps_alive(&self, version: u8) -> bool {
        !self.close && (version == 1 || self.keep_alive)
    }
}

/// Content-Length and Transfer-Encoding of a message. Both, or two lengths that differ, are refused: such requests are
/// how one gets smuggled past a relay.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    length: Option<u64>,
    chunked: bool,
}

impl Lengths {
    pub fn length(&mut self, value: &str) -> Result<(), HeadError> {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = value.parse().ok().filter(|_| digits).ok_or(HeadError::Length("bad Content-Length"))?;
        if self.chunked || self.length.is_some_and(|other| other != length) {
            return Err(HeadError::Length("conflicting lengths of the body"));
        }
        self.length = Some(length);
        Ok(())
    }

    pub fn transfer(&mut self, value: &str) -> Result<(), HeadError> {
        if !value.eq_ignore_ascii_case("chunked") {
            return Err(HeadError::Length("unsupported transfer encoding"));
        }
        if self.chunked || self.length.is_some() {
            return Err(HeadError::Length("conflicting lengths of the body"));
        }
        self.chunked = true;
        Ok(())
    }

    /// `otherwise` for a message that names neither.
    pub fn body(&self, otherwise: Body) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::Chunked,
            (false, Some(length)) => Body::Length(length),
            (false, None) => otherwise,
        }
    }
}

/// Every `%` of a path begins a percent escape.
fn well_escaped(path: &str) -> bool {
    let mut escapes = path.split('%');
    escapes.next();
    escapes.all(|rest| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Head {
        match parse(text.as_bytes()) {
            Ok(Parsed::Complete(head)) => head,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_write_of_a_client_is_understood() {
        let text = "\r\nPOST /write?db=a&rp=b HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nContent-Length: 12\r\nContent-Encoding: gzip\r\n\r\nbody";
        let head = complete(text);
        assert_eq!((head.method.as_str(), head.path(), head.query()), ("POST", "/write", "db=a&rp=b"));
        assert_eq!((head.body, head.gzip, head.keep_alive), (Body::Length(12), true, true));
        assert_eq!(text.get(head.bytes..), Some("body"));
    }

    #[test]
    fn keep_alive_follows_the_version() {
        assert!(!complete("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(complete("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
        assert!(!complete("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").keep_alive);
    }

    #[test]
    fn what_cannot_be_framed_is_refused() {
        let refused = |text: &str| parse(text.as_bytes()).unwrap_err().status();
        assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(refused("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
        assert_eq!(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 400);
        assert_eq!(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n"), 400);
        let both = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(both), 400);
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_BYTES_MAX))), 431);
        assert_eq!(refused(&format!("GET /?{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(TARGET_BYTES_MAX))), 414);
        assert_eq!(refused("\u{1}\u{2}\u{3}garbage that is no request at all"), 400);
    }

    #[test]
    fn every_cut_of_a_head_asks_for_more() {
        let heads = [
            "POST /write?db=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "POST /write?db=a HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
            "POST /write?db=a HTTP/1.1\r\nHost: x\nContent-Length: 0\n\r\n",
            "POST /write?db=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\n",
            "POST /write?db=a HTTP/1.1\r\nHost:\tx\r\nUser-Agent: a\tb\r\n\r\n",
            "POST /write?db=caf\u{e9} HTTP/1.1\r\nHost: x\r\nUser-Agent: \u{e9}\r\n\r\n",
        ];
        for text in heads {
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]), Ok(Parsed::Partial), "{text:?} {cut}");
            }
            assert_eq!(complete(text).bytes, text.len(), "{text:?}");
        }
    }

    #[test]
    fn a_long_head_may_come_byte_by_byte() {
        let padding = "y".repeat(3 * EARLY_BYTES_MAX);
        for end in ["\r\n\r\n", "\n\n", "\n\r\n"] {
            let text = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {padding}{end}");
            let mut searched = 0;
            for cut in 0..text.len() {
                assert_eq!(parse_from(&text.as_bytes()[..cut], &mut searched), Ok(Parsed::Partial), "{end:?} {cut}");
            }
            assert_eq!(parse_from(text.as_bytes(), &mut searched), parse(text.as_bytes()));
        }
        let mut searched = 0;
        let endless = "y".repeat(HEAD_BYTES_MAX);
        let head = format!("GET / HTTP/1.1\r\nX: {endless}");
        assert_eq!(parse_from(&head.as_bytes()[..5_000], &mut searched), Ok(Parsed::Partial));
        assert_eq!(parse_from(head.as_bytes(), &mut searched), Err(HeadError::TooLarge));
    }

    #[test]
    fn garbage_is_refused_before_its_end() {
        for garbage in
            [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello"[..], b"GET / HTTP/9.9\r\n", b"GET / nonsense\r\n"]
        {
            assert_eq!(parse(garbage).unwrap_err().status(), 400, "{garbage:?}");
        }
        // Late in a long head, long before its end.
        let mut head = format!("GET / HTTP/1.1\r\nX: {}\r\n", "y".repeat(3 * EARLY_BYTES_MAX)).into_bytes();
        let mut searched = 0;
        for _ in 0..100 {
            assert_eq!(parse_from(&head, &mut searched), Ok(Parsed::Partial));
            head.extend_from_slice(b"X: y\r\n");
        }
        let garbage_at = head.len();
        head.extend_from_slice(b"no header\r\n");
        while parse_from(&head, &mut searched).is_ok() {
            head.push(b'y');
            assert!(head.len() <= 2 * garbage_at && head.len() < HEAD_BYTES_MAX);
        }
        // However much comes at once.
        for begin in ["\x16\x03\x01 ", "GET / HTTP/9.9\r\n", "GET / HTTP/1.1\r\nHost: x\r\nno header\r\n"] {
            let garbage = format!("{begin}{}", "y".repeat(3 * EARLY_BYTES_MAX));
            assert_eq!(parse_from(garbage.as_bytes(), &mut 0).unwrap_err().status(), 400, "{begin:?}");
        }
    }

    #[test]
    fn what_differs_between_two_readers_of_a_request_is_refused() {
        let refused =
            |headers: &str| parse(format!("POST / HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap_err().status();
        assert_eq!(refused("Host: x\r\nHost: y\r\n"), 400);
        assert_eq!(refused("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
        assert_eq!(refused("Host: x\r\nContent-Length: 1\u{a0}\r\n"), 400);
        assert_eq!(refused("Host: x\r\nContent-Length: 99999999999999999999\r\n"), 400);
        assert_eq!(refused("Host: x\r\nContent-Length: 1, 1\r\n"), 400);
        let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(old.as_bytes()).unwrap_err().status(), 400);
    }

    #[test]
    fn headers_that_come_twice_count_together() {
        let head = complete("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: x\r\n\r\n");
        assert!(!head.keep_alive);
        let head = complete("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: x\r\n\r\n");
        assert!(head.keep_alive);
        assert!(!complete("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
    }

    #[test]
    fn an_expectation_is_met_where_a_body_follows() {
        let expects = |text: &str| {
            let head = complete(text);
            (head.expects_continue, head.expects_unknown)
        };
        assert_eq!(
            expects("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"),
            (true, false)
        );
        assert_eq!(
            expects("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
            (false, false)
        );
        assert_eq!(expects("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"), (false, false));
        assert_eq!(expects("POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n"), (false, true));
    }

    #[test]
    fn gzip_is_spelled_exactly() {
        let gzip =
            |value: &str| complete(&format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: {value}\r\n\r\n")).gzip;
        assert_eq!(["gzip", "GZIP", "x-gzip", "gzip, br", "identity"].map(gzip), [true, false, false, false, false]);
    }
}
