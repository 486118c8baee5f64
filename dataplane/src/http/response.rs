//! Answers: those that the data plane gives itself, and the framing of those that it relays.

use std::{borrow::Cow, io::Read};

use flate2::{Compression, bufread::GzEncoder};

use super::{
    Body, FramingError, HEAD_BYTES_MAX, HEADERS_MAX, Parsed,
    head::{Connection, Lengths},
};

/// An answer of the data plane itself: to writes, and where the control plane cannot be asked.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// `X-Kapacitor-Version`.
    pub version: &'a str,
    /// `Origin` of the request.
    pub origin: Option<&'a str>,
    /// The request's `Accept-Encoding` has it (reference: http-api §1): also what has no body is marked.
    pub gzip: bool,
    pub retry_after: bool,
    /// The connection closes behind it.
    pub close: bool,
    /// Refusals before routing are plain text without the headers of routed answers.
    pub plain: bool,
}

impl Answer<'_> {
    /// A write was taken.
    pub const TAKEN: Answer<'static> = Answer {
        status: 204,
        body: b"",
        version: "",
        origin: None,
        gzip: false,
        retry_after: false,
        close: false,
        plain: false,
    };

    /// Appends the whole answer; returns the id that it gave the request. `now` is nanoseconds since 1970.
    pub fn write(&self, now: i64, out: &mut Vec<u8>) -> Option<uuid::Uuid> {
        let mut given = None;
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let mut body = Cow::Borrowed(self.body);
        if self.gzip && !self.plain {
            head.push_str("Content-Encoding: gzip\r\n");
            if !body.is_empty() {
                body = packed(&body).into();
            }
        }
        if self.plain {
            head.push_str("Content-Type: text/plain; charset=utf-8\r\n");
        } else {
            head.push_str("Content-Type: application/json; charset=utf-8\r\nX-Kapacitor-Version: ");
            head.push_str(self.version);
            head.push_str("\r\nRequest-Id: ");
            let mut buffer = uuid::Uuid::encode_buffer();
            let id = given.insert(request_id(now));
            head.push_str(id.hyphenated().encode_lower(&mut buffer));
            head.push_str("\r\n");
        }
        if let Some(origin) = self.origin {
            head.push_str("Access-Control-Allow-Origin: ");
            head.push_str(origin);
            head.push_str(
                "\r\nAccess-Control-Allow-Methods: DELETE, GET, OPTIONS, POST, PATCH\r\nAccess-Control-Allow-Headers: \
                 Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, X-CSRF-Token, \
                 X-HTTP-Method-Override\r\n",
            );
        }
        head.push_str("Date: ");
        date(now, &mut head);
        head.push_str("\r\n");
        if self.retry_after {
            head.push_str("Retry-After: 1\r\n");
        }
        if self.close {
            head.push_str("Connection: close\r\n");
        }
        if self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&body);
        given
    }
}

/// A body for whoever accepts gzip.
pub fn packed(body: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    // Reading from memory and writing to it do not fail.
    let _ = GzEncoder::new(body, Compression::fast()).read_to_end(&mut packed);
    packed
}

/// A fresh time-based id.
fn request_id(now: i64) -> uuid::Uuid {
    static CLOCK: std::sync::LazyLock<(uuid::timestamp::context::ContextV1, [u8; 6])> =
        std::sync::LazyLock::new(|| {
            let random = *uuid::Uuid::new_v4().as_bytes();
            // The multicast bit marks a node id that is no hardware address.
            let node = [random[0] | 1, random[1], random[2], random[3], random[4], random[5]];
            (uuid::timestamp::context::ContextV1::new(u16::from_be_bytes([random[14], random[15]])), node)
        });
    let (seconds, nanoseconds) = (now.div_euclid(1_000_000_000), now.rem_euclid(1_000_000_000));
    let stamp = uuid::Timestamp::from_unix(&CLOCK.0, seconds.cast_unsigned(), nanoseconds as u32);
    uuid::Uuid::new_v1(stamp, &CLOCK.1)
}

/// RFC 1123, GMT.
fn date(now: i64, out: &mut String) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = now.div_euclid(86_400_000_000_000);
    let mut text = String::with_capacity(32);
    crate::json::rfc3339(now - now.rem_euclid(1_000_000_000), &mut text);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    let weekday = DAYS.get(days.rem_euclid(7) as usize);
    out.push_str(weekday.unwrap_or(&""));
    out.push_str(", ");
    out.push_str(part(8..10));
    out.push(' ');
    out.push_str(month.unwrap_or(&""));
    out.push(' ');
    out.push_str(part(0..4));
    out.push(' ');
    out.push_str(part(11..19));
    out.push_str(" GMT");
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}

/// What a relay needs to know of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub body: Body,
    pub keep_alive: bool,
    /// Bytes of the head.
    pub bytes: usize,
}

/// Reads the head of a response to a request; `head_request` says that the method was HEAD.
pub fn parse_response(buffer: &[u8], head_request: bool) -> Result<Parsed<ResponseHead>, FramingError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let bytes = match response.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) if buffer.len() <= HEAD_BYTES_MAX => return Ok(Parsed::Partial),
        _ => return Err(FramingError),
    };
    let status = response.code.unwrap_or_default();
    let version = response.version.unwrap_or(1);
    let mut lengths = Lengths::default();
    let mut connection = Connection::default();
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim_matches([' ', '\t']);
        match header.name {
            name if name.eq_ignore_ascii_case("content-length") => lengths.length(value).map_err(|_| FramingError)?,
            name if name.eq_ignore_ascii_case("transfer-encoding") => {
                lengths.transfer(value).map_err(|_| FramingError)?;
            }
            name if name.eq_ignore_ascii_case("connection") => connection.header(value),
            _ => {}
        }
    }
    let bodiless = head_request || status < 200 || matches!(status, 204 | 304);
    let body = if bodiless { Body::Length(0) } else { lengths.body(Body::UntilClose) };
    let keep_alive = connection.keeps_alive(version) && body != Body::UntilClose;
    Ok(Parsed::Complete(ResponseHead { status, body, keep_alive, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_write_has_the_headers_of_the_original() {
        let mut out = Vec::new();
        let answer = Answer { status: 400, body: b"database is required\n", version: "1.5.1", ..Answer::TAKEN };
        answer.write(1_600_000_000_000_000_000, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json; charset=utf-8\r\n"));
        assert!(text.contains("\r\nDate: Sun, 13 Sep 2020 12:26:40 GMT\r\n"), "{text}");
        assert!(text.ends_with("\r\nContent-Length: 21\r\n\r\ndatabase is required\n"));
        let id = text.split("Request-Id: ").nth(1).and_then(|rest| rest.get(..36)).unwrap();
        assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 1);
    }

    #[test]
    fn the_end_of_a_response_is_known() {
        let head = |text: &str| match parse_response(text.as_bytes(), false) {
            Ok(Parsed::Complete(head)) => (head.status, head.body, head.keep_alive),
            other => panic!("{other:?}"),
        };
        assert_eq!(head("HTTP/1.1 204 No Content\r\n\r\n"), (204, Body::Length(0), true));
        assert_eq!(head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), (200, Body::Length(3), true));
        assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), (200, Body::Chunked, true));
        assert_eq!(head("HTTP/1.1 200 OK\r\n\r\n"), (200, Body::UntilClose, false));
        assert_eq!(head("HTTP/1.1 100 Continue\r\n\r\n"), (100, Body::Length(0), true));
        assert_eq!(head("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"), (304, Body::Length(0), true));
        assert_eq!(head("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n"), (200, Body::Length(3), false));
        let closes = "HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: x\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(head(closes), (200, Body::Length(3), false));
        let to_head = parse_response(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true);
        assert!(matches!(to_head, Ok(Parsed::Complete(ResponseHead { body: Body::Length(0), keep_alive: true, .. }))));
        assert_eq!(parse_response(b"nonsense\r\n\r\n", false), Err(FramingError));
        assert_eq!(parse_response(b"HTTP/1.1 200 OK\r\nContent-", false), Ok(Parsed::Partial));
    }

    #[test]
    fn an_answer_is_packed_for_whoever_accepts_it() {
        let answer = |status, body, plain| {
            let mut out = Vec::new();
            Answer { status, body, gzip: true, plain, ..Answer::TAKEN }.write(0, &mut out);
            out
        };
        let refused = answer(400, b"database is required\n", false);
        let start = memchr::memmem::find(&refused, b"\r\n\r\n").unwrap() + 4;
        let (head, body) = (String::from_utf8_lossy(&refused[..start]), &refused[start..]);
        assert!(head.contains("\r\nContent-Encoding: gzip\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
        assert_eq!(text, "database is required\n");
        let taken = String::from_utf8(answer(204, b"", false)).unwrap();
        assert!(taken.contains("\r\nContent-Encoding: gzip\r\n") && taken.ends_with("\r\n\r\n"), "{taken}");
        let unread = String::from_utf8(answer(400, b"400 Bad Request", true)).unwrap();
        assert!(!unread.contains("Encoding") && unread.ends_with("400 Bad Request"), "{unread}");
    }

    #[test]
    fn an_answer_without_a_body_names_no_length() {
        let mut out = Vec::new();
        let origin = Some("http://a.example");
        let answer = Answer { version: "1.5.1", origin, close: true, ..Answer::TAKEN };
        answer.write(0, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains("\r\nContent-Length:") && !text.contains("\r\nTransfer-Encoding:"), "{text}");
        assert!(text.contains("\r\nX-Kapacitor-Version: 1.5.1\r\n") && text.contains("\r\nConnection: close\r\n"));
        assert!(text.contains("\r\nAccess-Control-Allow-Origin: http://a.example\r\n"));
        assert!(text.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n") && text.ends_with("\r\n\r\n"));
        // What was written can be read back.
        let read = parse_response(text.as_bytes(), false);
        let expected = ResponseHead { status: 204, body: Body::Length(0), keep_alive: false, bytes: text.len() };
        assert_eq!(read, Ok(Parsed::Complete(expected)));
    }
}
