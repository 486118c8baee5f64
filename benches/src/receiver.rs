//! A local receiver of alert posts: counts them, and notes when each probe's alert came.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

/// Largest body that is taken.
const BODY_BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
struct Received {
    posts: AtomicU64,
    stopped: AtomicBool,
    /// First arrival of each number that was an alert's message.
    probes: Mutex<HashMap<u64, Instant>>,
}

/// Listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Received>,
}

impl Receiver {
    pub fn start() -> io::Result<Receiver> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let received = Arc::<Received>::default();
        let shared = received.clone();
        thread::Builder::new().name("receiver".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        })?;
        Ok(Receiver { address, received })
    }

    pub fn url(&self) -> String {
        format!("http://{}/alert", self.address)
    }

    /// Posts since the start.
    pub fn posts(&self) -> u64 {
        self.received.posts.load(Ordering::Relaxed)
    }

    /// When each probe's alert came, by its number.
    pub fn probes(&self) -> HashMap<u64, Instant> {
        self.received.probes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.received.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, received: &Received) {
    let _ = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(body) = read_request(&mut reader) {
        let now = Instant::now();
        received.posts.fetch_add(1, Ordering::Relaxed);
        if let Some(number) = probe(&body) {
            received.probes.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_insert(now);
        }
        if writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// The number that is the message of an alert's JSON.
fn probe(body: &[u8]) -> Option<u64> {
    const KEY: &[u8] = b"\"message\":\"";
    let at = body.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let rest = &body[at..];
    std::str::from_utf8(&rest[..rest.iter().position(|byte| *byte == b'"')?]).ok()?.parse().ok()
}

fn read_request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut length, mut chunked, mut line) = (0, false, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            Some((name, _)) if name.eq_ignore_ascii_case("transfer-encoding") => chunked = true,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if !chunked {
        read_part(reader, length, &mut body)?;
        return Some(body);
    }
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let size = usize::from_str_radix(line.trim(), 16).ok()?;
        read_part(reader, size, &mut body)?;
        reader.read_line(&mut line).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn read_part(reader: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> Option<()> {
    if body.len().saturating_add(length) > BODY_BYTES_MAX {
        return None;
    }
    let read = reader.by_ref().take(length as u64).read_to_end(body).ok()?;
    (read == length).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_posts_and_notes_probes() {
        let receiver = Receiver::start().unwrap();
        let mut stream = TcpStream::connect(receiver.address).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let bodies = [r#"{"id":"x","message":"17","level":"CRITICAL"}"#, r#"{"message":"words"}"#];
        let known = format!("POST /alert HTTP/1.1\r\nContent-Length: {}\r\n\r\n{}", bodies[0].len(), bodies[0]);
        let chunked = format!(
            "POST /alert HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            bodies[1].len(),
            bodies[1]
        );
        for request in [known, chunked] {
            stream.write_all(request.as_bytes()).unwrap();
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                answers.read_line(&mut line).unwrap();
            }
        }
        assert_eq!(receiver.posts(), 2);
        assert_eq!(receiver.probes().keys().collect::<Vec<_>>(), [&17]);
    }
}
