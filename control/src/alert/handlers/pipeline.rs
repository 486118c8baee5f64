//! Posts to one receiver over a connection of their own: all that wait are written at once, the answers read in order.
//!
//! Posted one by one, an event would cost two system calls, two changes of process and the time of an answer; together
//! they cost a fraction of it, and still reach the receiver one after the other in their order.
//!
//! A client should not send behind a POST without an answer unless it can tell what was not carried out (RFC 9112
//! §9.3.2). Here only a receiver that has kept a connection over an answer of known length gets more than one request at
//! once, and whatever has no answer when the connection ends is posted again, alone. So an event may come twice at a
//! receiver that ends connections without an answer, and none is lost.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::DeliveryError;

/// Most requests at once.
pub const REQUESTS_MAX: usize = 128;

/// Bytes of requests after which no further one goes along.
const BYTES_MAX: usize = 256 << 10;

/// Longest answer, head and body: a receiver with longer ones is left to the client.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// With so many answers to come a moment passes before the next look: taken one by one, each would wake this process.
const GATHER_MIN: usize = 8;
const GATHER_PAUSE: Duration = Duration::from_millis(1);

const HEADERS_MAX: usize = 64;

/// Proxies that the client would use.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

pub struct Pipeline {
    host: String,
    port: u16,
    /// Of every request, up to the length of its body.
    head: Vec<u8>,
    connection: Option<Connection>,
    /// Its answers are of known length, as far as is known.
    usable: bool,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of answers.
    received: BytesMut,
    /// The receiver kept it over an answer.
    kept: bool,
}

/// What the receiver says to one request.
pub struct Answer {
    pub status: u16,
    body: Vec<u8>,
    /// The connection goes on.
    keeps: bool,
    /// Its end is known.
    is_whole: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Pipeline {
    /// For a request over plain HTTP that no proxy stands before.
    pub fn new(request: &reqwest::Request) -> Option<Pipeline> {
        let url = request.url();
        if url.scheme() != "http" || PROXIES.iter().any(|name| std::env::var_os(name).is_some()) {
            return None;
        }
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let named = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut head =
            format!("POST {}{query} HTTP/1.1\r\nhost: {host}{named}\r\naccept: */*\r\n", url.path()).into_bytes();
        for (name, value) in request.headers() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"content-length: ");
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Pipeline { host, port, head, connection: None, usable: true })
    }

    /// Posts some of `bodies`, the first ones, each within `limit`. Returns what came of them; the others, all where
    /// nothing comes back, have not been carried out as far as is known.
    pub async fn post(&mut self, bodies: &[String], limit: Duration) -> Vec<Result<Answer, DeliveryError>> {
        if !self.usable {
            return Vec::new();
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match tokio::time::timeout(limit, TcpStream::connect((self.host.as_str(), self.port))).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    Connection { stream, received: BytesMut::new(), kept: false }
                }
                // The client says what is wrong.
                _ => return Vec::new(),
            },
        };
        let most = if connection.kept { REQUESTS_MAX } else { 1 };
        let (mut requests, mut count) = (Vec::new(), 0);
        for body in bodies.iter().take(most) {
            if count > 0 && requests.len() + self.head.len() + body.len() > BYTES_MAX {
                break;
            }
            requests.extend_from_slice(&self.head);
            requests.extend_from_slice(body.len().to_string().as_bytes());
            requests.extend_from_slice(b"\r\n\r\n");
            requests.extend_from_slice(body.as_bytes());
            count += 1;
        }
        let answers = connection.exchange(&requests, count, limit).await;
        let keeps = |answer: &Result<Answer, DeliveryError>| answer.as_ref().is_ok_and(|answer| answer.keeps);
        if answers.iter().any(|answer| answer.as_ref().is_ok_and(|answer| !answer.is_whole)) {
            self.usable = false;
        } else if answers.len() == count && answers.iter().all(keeps) && connection.received.is_empty() {
            connection.kept = true;
            self.connection = Some(connection);
        }
        answers
    }
}

impl Connection {
    /// Writes requests and reads answers until there are `count`, or no more can come.
    async fn exchange(&mut self, requests: &[u8], count: usize, limit: Duration) -> Vec<Result<Answer, DeliveryError>> {
        let (mut read, mut write) = self.stream.split();
        let received = &mut self.received;
        let writing = write.write_all(requests);
        let reading = async {
            let mut answers = Vec::with_capacity(count);
            while answers.len() < count {
                if received.is_empty() && count - answers.len() >= GATHER_MIN {
                    tokio::time::sleep(GATHER_PAUSE).await;
                }
                let answer = match tokio::time::timeout(limit, next_answer(&mut read, received)).await {
                    Ok(Some(answer)) => Ok(answer),
                    Ok(None) => break,
                    Err(_) => Err(DeliveryError::Timeout(limit)),
                };
                let goes_on = answer.as_ref().is_ok_and(|answer| answer.keeps);
                answers.push(answer);
                if !goes_on {
                    break;
                }
            }
            answers
        };
        tokio::pin!(writing, reading);
        let mut is_written = false;
        loop {
            tokio::select! {
                // What failed to be written has no answer.
                _ = &mut writing, if !is_written => is_written = true,
                answers = &mut reading => return answers,
            }
        }
    }
}

/// The next final answer; `None` where the connection ends or what comes is none.
async fn next_answer(read: &mut (impl AsyncReadExt + Unpin), received: &mut BytesMut) -> Option<Answer> {
    loop {
        match parse(received) {
            Ok(Some((bytes, answer))) => {
                received.advance(bytes);
                if answer.status >= 200 {
                    return Some(answer);
                }
            }
            Ok(None) => {
                received.reserve(16 << 10);
                if read.read_buf(received).await.ok()? == 0 {
                    return None;
                }
            }
            Err(()) => return None,
        }
    }
}

/// The answer that `bytes` begin with and its length; `None` while it is not all there.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Answer)>, ()> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() <= ANSWER_BYTES_MAX => return Ok(None),
        _ => return Err(()),
    };
    let status = response.code.ok_or(())?;
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.trim_ascii())
    };
    let length = match (status, header("transfer-encoding"), header("content-length")) {
        (100..200 | 204 | 304, _, _) => Some(0),
        (_, None, Some(length)) => std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()),
        _ => None,
    };
    let length = length.filter(|length| head.saturating_add(*length) <= ANSWER_BYTES_MAX);
    let closes = header("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    let keeps = length.is_some() && !closes && response.version == Some(1);
    let Some(body) = bytes.get(head..head + length.unwrap_or(0)) else { return Ok(None) };
    Ok(Some((head + body.len(), Answer { status, body: body.to_vec(), keeps, is_whole: length.is_some() })))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500";
        for cut in 0..40 {
            assert!(parse(&whole[..cut]).unwrap().is_none(), "{cut}");
        }
        let (bytes, answer) = parse(whole).unwrap().unwrap();
        assert_eq!((bytes, answer.status, answer.text().as_str(), answer.keeps), (40, 200, "ok", true));
        let open_ended = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok").unwrap().unwrap().1;
        assert!(!open_ended.keeps && !open_ended.is_whole);
        let closing = parse(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").unwrap().unwrap().1;
        assert!(!closing.keeps && closing.is_whole);
        let old = parse(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap().unwrap().1;
        assert!(!old.keeps && old.is_whole);
        assert!(parse(b"220 mail\r\n").is_err());
    }

    fn pipeline(address: std::net::SocketAddr) -> Pipeline {
        let client = reqwest::Client::new();
        Pipeline::new(&client.post(format!("http://{address}/a?b=c")).header("x", "y").build().unwrap()).unwrap()
    }

    /// Serves connections, each with so many answers before it ends; returns the bodies in order of arrival.
    async fn serve(listener: TcpListener, answers: &[usize]) -> Vec<String> {
        let mut bodies = Vec::new();
        for &answers in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            for _ in 0..answers {
                let (head, end) = loop {
                    let text = String::from_utf8(received.clone()).unwrap();
                    if let Some(at) = text.find("\r\n\r\n") {
                        let length: usize = text[..at].rsplit("content-length: ").next().unwrap().parse().unwrap();
                        if text.len() >= at + 4 + length {
                            break (at + 4, at + 4 + length);
                        }
                    }
                    assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
                };
                let text = String::from_utf8(received.drain(..end).collect()).unwrap();
                assert!(text.starts_with("POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:"), "{text}");
                assert!(text.contains("\r\nx: y\r\n"));
                bodies.push(text[head..].to_owned());
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            }
            // What came behind is not carried out, and the answers arrive all the same.
            stream.shutdown().await.unwrap();
            while stream.read_buf(&mut received).await.is_ok_and(|bytes| bytes > 0) {}
        }
        bodies
    }

    #[tokio::test]
    async fn what_has_no_answer_when_the_connection_ends_is_left_to_be_posted_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pipeline = pipeline(listener.local_addr().unwrap());
        let bodies: Vec<String> = (0..10).map(|n| format!("event {n}")).collect();
        let limit = Duration::from_secs(10);
        let sent = bodies.clone();
        let sending = async move {
            let (mut at, mut rounds) = (0, Vec::new());
            while at < sent.len() && rounds.len() < 20 {
                let answers = pipeline.post(&sent[at..], limit).await;
                assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
                rounds.push(answers.len());
                at += answers.len();
            }
            rounds
        };
        let (rounds, received) = tokio::join!(sending, serve(listener, &[4, 6]));
        // One to see whether the connection is kept, then all; after it ended the same again.
        assert_eq!(rounds.iter().filter(|answers| **answers > 0).collect::<Vec<_>>(), [&1, &3, &1, &5]);
        assert_eq!(received, bodies);
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_answer_fails_the_event_and_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut pipeline = pipeline(listener.local_addr().unwrap());
        let (sent, silent) = tokio::join!(
            async { pipeline.post(&["one".to_owned(), "two".to_owned()], Duration::from_millis(50)).await },
            listener.accept()
        );
        assert!(matches!(sent.as_slice(), [Err(DeliveryError::Timeout(_))]));
        drop(silent);
    }
}
