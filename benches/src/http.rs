//! A small blocking HTTP/1.1 client that keeps its connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// Longest wait for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server closes behind it.
    pub close: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// Address of an `http://host:port` URL.
pub fn address_of(url: &str) -> Option<SocketAddr> {
    let place = url.strip_prefix("http://")?.split('/').next()?;
    place.to_socket_addrs().ok()?.find(SocketAddr::is_ipv4)
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    /// What was read and belongs to no answer yet.
    pending: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        Ok(Client { stream, pending: Vec::with_capacity(4 << 10) })
    }

    /// A request from its parts.
    pub fn call(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.exchange(&request)
    }

    /// Sends a whole request and reads its answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request)?;
        loop {
            let head_end = loop {
                if let Some(at) = self.pending.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at + 4;
                }
                self.receive()?;
            };
            let head = Head::parse(&self.pending[..head_end])?;
            self.pending.drain(..head_end);
            if head.status == 100 {
                continue;
            }
            let body = match head.length {
                _ if matches!(head.status, 204 | 304) => Vec::new(),
                Length::Known(length) => self.take(length)?,
                Length::Chunked => self.take_chunks()?,
            };
            return Ok(Answer { status: head.status, body, close: head.close });
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4 << 10];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.pending.extend_from_slice(&buffer[..read]);
                Ok(())
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > ANSWER_BYTES_MAX {
            return Err(malformed("an answer that is too long"));
        }
        while self.pending.len() < length {
            self.receive()?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.pending.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                self.receive()?;
            };
            let line = self.take(end + 2)?;
            let digits = std::str::from_utf8(&line).unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("the size of a chunk"))?;
            let chunk = self.take(size.saturating_add(2))?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
}

enum Length {
    Known(usize),
    Chunked,
}

struct Head {
    status: u16,
    length: Length,
    close: bool,
}

impl Head {
    fn parse(head: &[u8]) -> io::Result<Head> {
        let text = std::str::from_utf8(head).map_err(|_| malformed("the head of an answer"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
        let mut parsed =
            Head { status: status.ok_or_else(|| malformed("a status line"))?, length: Length::Known(0), close: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                parsed.length = Length::Known(value.parse().map_err(|_| malformed("Content-Length"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                parsed.length = Length::Chunked;
            } else if name.eq_ignore_ascii_case("connection") {
                parsed.close = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(parsed)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn reads_answers_of_every_framing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server
            .write_all(
                b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n\
                  HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\nConnection: close\r\n\r\nbad\
                  HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            )
            .unwrap();
        let mut next = || client.exchange(b"x").unwrap();
        assert_eq!(next(), Answer { status: 204, ..Answer::default() });
        assert_eq!(next(), Answer { status: 400, body: b"bad".to_vec(), close: true });
        assert_eq!(next(), Answer { status: 200, body: b"abc".to_vec(), close: false });
    }

    #[test]
    fn an_address_wants_a_scheme_and_a_port() {
        assert_eq!(address_of("http://127.0.0.1:9092/path"), "127.0.0.1:9092".parse().ok());
        assert_eq!(address_of("127.0.0.1:9092"), None);
        assert_eq!(address_of("http://127.0.0.1"), None);
    }
}
