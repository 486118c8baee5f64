//! Something in the place of an InfluxDB: keeps every request and answers as a test wants.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `POST /query`
    pub call: String,
    /// Of the query string, decoded, in its order.
    pub parameters: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What is answered, and after how long.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    pub delay: Duration,
}

impl From<&str> for Reply {
    fn from(body: &str) -> Reply {
        Reply { status: 200, body: body.to_owned(), delay: Duration::ZERO }
    }
}

impl From<String> for Reply {
    fn from(body: String) -> Reply {
        Reply::from(body.as_str())
    }
}

impl Request {
    /// A parameter of the query string; empty without it.
    pub fn parameter(&self, name: &str) -> &str {
        value(&self.parameters, name)
    }

    /// A header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        value(&self.headers, name)
    }

    /// The text of an InfluxQL query.
    pub fn query(&self) -> &str {
        self.parameter("q")
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

pub struct StandIn {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    /// Answers pings by itself, as an InfluxDB 1.6.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> io::Result<StandIn> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Ok(StandIn { address, requests })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, pings apart.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The InfluxQL texts that came.
    pub fn queries(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.query().to_owned()).filter(|query| !query.is_empty()).collect()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let reply = match request.call.as_str() {
            "GET /ping" => Reply { status: 204, ..Reply::from("") },
            _ => {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
                answer(&request)
            }
        };
        thread::sleep(reply.delay);
        let head = format!(
            "HTTP/1.1 {} X\r\nX-Influxdb-Version: 1.6.7\r\nContent-Length: {}\r\n\r\n",
            reply.status,
            reply.body.len()
        );
        let head =
            if reply.status == 204 { "HTTP/1.1 204 X\r\nX-Influxdb-Version: 1.6.7\r\n\r\n".to_owned() } else { head };
        if writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(reply.body.as_bytes())).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    };
    let mut request = Request {
        call: format!("{method} {path}"),
        parameters: query.split('&').filter(|text| !text.is_empty()).map(pair).collect(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

fn decode(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let code =
            bytes.get(at + 1..at + 3).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}
