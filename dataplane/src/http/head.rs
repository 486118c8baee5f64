//! The head of a request.

use memchr::memmem;

use super::{HEAD_BYTES_MAX, HEADERS_MAX};

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
}

impl HeadError {
    pub fn status(&self) -> u16 {
        match self {
            HeadError::TooLarge => 431,
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

/// Reads the head of a request off the front of `buffer`. Empty lines before it are skipped.
pub fn parse(buffer: &[u8]) -> Result<Parsed<Head>, HeadError> {
    let skipped = buffer.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(buffer.len());
    let text = &buffer[skipped..];
    if memmem::find(text, b"\r\n\r\n").is_none() && memmem::find(text, b"\n\n").is_none() {
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        // Garbage is refused as soon as it cannot become a request line any more.
        if text.len() > 16 && !text.iter().take(64).all(|byte| (b' '..=b'~').contains(byte) || matches!(byte, b'\r' | b'\n')) {
            return Err(HeadError::Malformed("malformed HTTP request".into()));
        }
        return Ok(Parsed::Partial);
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
    if !well_escaped(head.path()) {
        return Err(HeadError::Malformed("invalid URL escape".into()));
    }
    let (mut host, mut lengths) = (false, Lengths::default());
    for header in request.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim();
        match header.name {
            name if name.eq_ignore_ascii_case("host") => host = true,
            name if name.eq_ignore_ascii_case("content-length") => lengths.length(value)?,
            name if name.eq_ignore_ascii_case("transfer-encoding") => lengths.transfer(value)?,
            name if name.eq_ignore_ascii_case("content-encoding") => head.gzip = value == "gzip",
            name if name.eq_ignore_ascii_case("expect") => {
                head.expects_continue = value.eq_ignore_ascii_case("100-continue");
                head.expects_unknown = !head.expects_continue;
            }
            name if name.eq_ignore_ascii_case("connection") => head.keep_alive = keep_alive(value, version),
            name if name.eq_ignore_ascii_case("origin") => head.origin = Some(value.to_owned()),
            name if name.eq_ignore_ascii_case("accept-encoding") => head.accepts_gzip |= value.contains("gzip"),
            name if name.eq_ignore_ascii_case("authorization") => head.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    if version == 1 && !host {
        return Err(HeadError::NoHost);
    }
    head.body = lengths.body(Body::Length(0));
    Ok(Parsed::Complete(head))
}

/// What `Connection` says, for HTTP/1.`version`.
pub(super) fn keep_alive(value: &str, version: u8) -> bool {
    let says = |word: &str| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word));
    if version == 1 { !says("close") } else { says("keep-alive") }
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
        if self.length.is_some() {
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
        let head = complete(
            "\r\nPOST /write?db=a&rp=b HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nContent-Length: 12\r\nContent-Encoding: gzip\r\n\r\nbody",
        );
        assert_eq!((head.method.as_str(), head.path(), head.query()), ("POST", "/write", "db=a&rp=b"));
        assert_eq!((head.body, head.gzip, head.keep_alive), (Body::Length(12), true, true));
        assert_eq!(head.bytes, 2 + 117);
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
        assert_eq!(refused("\u{1}\u{2}\u{3}garbage that is no request at all"), 400);
    }

    #[test]
    fn every_cut_of_a_head_asks_for_more() {
        let text = "POST /write?db=a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(Parsed::Partial), "{cut}");
        }
    }
}
