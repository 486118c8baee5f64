//! Every request gets exactly its answer, in order: API requests and writes on the same connections, pipelined, cut
//! anywhere, with keep-alive, close, and clients that end their side after the last request.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is the point of a test")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use farad_tests::{
    http::read_answer,
    server::{COUNTING, Server, patience},
};

/// How long an answer may take on a machine with other work.
const LIMIT: Duration = Duration::from_secs(20);

/// A request as it is sent, the status that it gets, and what stands in the body of that answer alone.
struct Request {
    bytes: Vec<u8>,
    status: u16,
    mark: String,
    bodiless: bool,
}

/// Requests of all kinds, by number.
fn request(kind: usize, name: &str, close: bool) -> Request {
    let close = if close { "Connection: close\r\n" } else { "" };
    let with = |line: &str, body: &str, status, mark: &str| {
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{close}Content-Length: {}\r\n\r\n", body.len());
        Request { bytes: [head, body.to_owned()].concat().into(), status, mark: mark.to_owned(), bodiless: false }
    };
    let chunked = |line: &str, body: &str, status, mark: &str| {
        let (front, back) = body.split_at(body.len() / 2);
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{close}Transfer-Encoding: chunked\r\n\r\n");
        let body = format!("{:x}\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n", front.len(), back.len());
        Request { bytes: [head, body].concat().into(), status, mark: mark.to_owned(), bodiless: false }
    };
    let write = "POST /write?db=d&rp=r";
    match kind % KINDS {
        0 => with(write, &format!("cpu,host={name} v=1\n").repeat(3), 204, ""),
        1 => with(&format!("GET /kapacitor/v1/alerts/topics/{name}"), "", 404, name),
        2 => with(write, &format!("bad-{name}\n"), 400, name),
        3 => with("GET /kapacitor/v1/ping", "", 204, ""),
        4 => chunked(write, &format!("cpu,host={name} v=2\ncpu,host={name} v=3\n"), 204, ""),
        5 => with("GET /kapacitor/v1/tasks/t", "", 200, "executing"),
        6 => chunked("POST /kapacitor/v1/tasks", &format!("{{\"id\": \"{name}+\", \"type\": \"stream\"}}"), 400, name),
        7 => Request { bodiless: true, ..with("HEAD /kapacitor/v1/ping", "", 204, "") },
        8 => with("PATCH /kapacitor/v1/tasks/t", "{}", 200, "stream"),
        _ => with("GET /kapacitor/v1/tasks?limit=1", "", 200, "\"tasks\""),
    }
}

const KINDS: usize = 10;

/// How a connection sends its requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Each after the answer to the one before.
    Sequential,
    /// All at once; the last one says close.
    Pipelined,
    /// In pieces of some length.
    Cut(usize),
    /// All at once, and then the client's side is closed.
    HalfClosed,
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT * patience())).unwrap();
    stream.set_write_timeout(Some(LIMIT * patience())).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn check(answers: &mut impl BufRead, request: &Request, what: &str) {
    let sent = String::from_utf8_lossy(&request.bytes);
    match read_answer(answers, request.bodiless) {
        Ok(answer) => {
            assert_eq!(answer.status, request.status, "{what}: {sent:?}: {}", answer.text());
            assert!(answer.text().contains(&request.mark), "{what}: {sent:?}: {}", answer.text());
        }
        Err(error) => panic!("{what}: {sent:?}: {error}"),
    }
}

fn at_end(answers: &mut impl Read, what: &str) {
    let mut rest = Vec::new();
    let ended = answers.read_to_end(&mut rest);
    assert!(ended.is_ok() && rest.is_empty(), "{what}: {ended:?} {:?}", String::from_utf8_lossy(&rest));
}

/// Sends requests on one connection and checks their answers.
fn converse(address: SocketAddr, seed: usize, count: usize, manner: Manner) {
    let what = format!("connection {seed}, {manner:?}");
    let closes = |n| n + 1 == count && manner != Manner::HalfClosed;
    // Strides without a common divisor with the kinds: each follows each.
    let stride = [1, 3, 7, 9][seed % 4];
    let requests: Vec<_> = (0..count).map(|n| request(seed + n * stride, &format!("c{seed}-{n}"), closes(n))).collect();
    let mut stream = connect(address);
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    if manner == Manner::Sequential {
        for request in &requests {
            stream.write_all(&request.bytes).unwrap();
            check(&mut answers, request, &what);
        }
        return at_end(&mut answers, &what);
    }
    let all: Vec<u8> = requests.iter().flat_map(|request| request.bytes.iter().copied()).collect();
    let piece = if let Manner::Cut(bytes) = manner { bytes } else { all.len() };
    let sender = thread::spawn(move || {
        for piece in all.chunks(piece) {
            stream.write_all(piece).unwrap();
        }
        if manner == Manner::HalfClosed {
            stream.shutdown(Shutdown::Write).unwrap();
        }
    });
    for request in &requests {
        check(&mut answers, request, &what);
    }
    at_end(&mut answers, &what);
    sender.join().unwrap();
}

/// Runs a test on every way to receive that this machine has.
fn on_each_back_end(test: impl Fn(&Server)) {
    for receive in ["auto", "epoll"] {
        let server = Server::start(2, &[("KAPACITOR_FARAD_RECEIVE", receive)]).unwrap();
        assert_eq!(server.define("t", COUNTING).unwrap(), 200, "{}", server.log());
        test(&server);
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

#[test]
fn many_connections_of_all_manners() {
    const CONNECTIONS: usize = 60;
    const REQUESTS: usize = 20;
    on_each_back_end(|server| {
        let address = server.address;
        let converse = |seed: usize| {
            let manner = match seed % 6 {
                0 | 1 => Manner::Sequential,
                2 => Manner::Pipelined,
                3 => Manner::Cut(1 + seed / 6),
                4 => Manner::Cut(100 + seed),
                _ => Manner::HalfClosed,
            };
            thread::spawn(move || converse(address, seed, REQUESTS, manner))
        };
        let connections: Vec<_> = (0..CONNECTIONS).map(converse).collect();
        for connection in connections {
            if let Err(panic) = connection.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[test]
fn a_cut_at_any_byte() {
    on_each_back_end(|server| {
        for kinds in [[0, 1, 4], [5, 2, 6]] {
            let requests: Vec<_> = kinds.iter().map(|kind| request(*kind, "cut", false)).collect();
            let all: Vec<u8> = requests.iter().flat_map(|request| request.bytes.iter().copied()).collect();
            // First the fronts of all, so that each is read before its back comes.
            let sent = (0..=all.len()).map(|cut| {
                let mut stream = connect(server.address);
                stream.write_all(&all[..cut]).unwrap();
                (cut, stream)
            });
            let sent: Vec<_> = sent.collect();
            for (cut, mut stream) in sent {
                stream.write_all(&all[cut..]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut answers = BufReader::new(stream);
                let what = format!("{kinds:?} cut at {cut}");
                requests.iter().for_each(|request| check(&mut answers, request, &what));
                at_end(&mut answers, &what);
            }
        }
    });
}

/// While the data plane starts, the control plane answers in its place; no connection is lost between the two.
#[test]
fn from_the_first_moment_on() {
    for _ in 0..3 {
        let server = Server::spawn(2, &[]).unwrap();
        let address = server.address;
        let client = move |seed: u64| {
            let mut answers = Vec::new();
            while answers.iter().filter(|status| **status != 503).count() < 20 {
                let Ok(mut stream) = TcpStream::connect(address) else { continue };
                // Some are accepted before they have said anything.
                thread::sleep(Duration::from_millis(seed % 4 * 4));
                stream.set_read_timeout(Some(LIMIT * patience())).unwrap();
                let request = match seed % 2 {
                    0 => "GET /kapacitor/v1/tasks HTTP/1.1\r\nHost: x\r\n\r\n",
                    _ => "POST /write?db=d&rp=r HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nm v=1\n",
                };
                stream.write_all(request.as_bytes()).unwrap();
                let answer = read_answer(&mut BufReader::new(stream), false);
                answers.push(answer.unwrap_or_else(|error| panic!("after {answers:?}: {error}")).status);
            }
            answers
        };
        let clients: Vec<_> = (0..8).map(|seed| thread::spawn(move || client(seed))).collect();
        for client in clients {
            let answers = client.join().unwrap_or_else(|_| panic!("{}", server.log()));
            assert!(answers.iter().all(|status| [200, 204, 503].contains(status)), "{answers:?}");
        }
        // Whoever was let in by then can define at once.
        assert_eq!(server.define("t", COUNTING).unwrap(), 200, "{}", server.log());
    }
}
