//! A local receiver: keeps every body that is POSTed to it, by path, in order of arrival.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use serde_json::{Value, json};

type Received = Arc<Mutex<BTreeMap<String, Vec<Value>>>>;

pub struct Sink {
    address: SocketAddr,
    received: Received,
}

impl Sink {
    pub fn start() -> io::Result<Sink> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let received = Received::default();
        let shared = received.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Ok(Sink { address, received })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived below `prefix`, by the rest of the path.
    pub fn take(&self, prefix: &str) -> BTreeMap<String, Vec<Value>> {
        let below = format!("{prefix}/");
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = received.iter().filter(|(path, _)| path.starts_with(&below));
        rest.map(|(path, bodies)| (path[prefix.len()..].to_owned(), bodies.clone())).collect()
    }

    /// Forgets what arrived below `prefix`.
    pub fn forget(&self, prefix: &str) {
        let below = format!("{prefix}/");
        self.received.lock().unwrap_or_else(PoisonError::into_inner).retain(|path, _| !path.starts_with(&below));
    }

    /// How many bodies arrived below `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        let below = format!("{prefix}/");
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().filter(|(path, _)| path.starts_with(&below)).map(|(_, bodies)| bodies.len()).sum()
    }
}

fn serve(stream: TcpStream, received: &Received) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = read_request(&mut reader) {
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| json!({ "text": String::from_utf8_lossy(&body) }));
        received.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default().push(body);
        if writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse().ok()?,
            Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
        return Some((path, body));
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let at = body.len();
        body.resize(at + size, 0);
        reader.read_exact(&mut body[at..]).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some((path, body));
        }
    }
}
