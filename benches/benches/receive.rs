//! Ways to receive, against each other: CPU time of the receiving thread per line of writes that are framed, whose lines
//! are counted, and that are answered; nothing is parsed.
//!
//! ```text
//! ring        this project's reactor on io_uring: multishot receives into one ring of page-aligned buffers
//! epoll       the same reactor on epoll, one page-aligned buffer
//! tokio-uring a task a connection, reads into a page-aligned buffer of its own
//! tokio       the same on tokio's epoll
//! ```
//!
//! The sender runs on another core. `cargo bench -p farad-benches --bench receive -- [SECONDS]`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot run ends")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use dataplane::{
    http::{Framer, Parsed, Piece, parse_from},
    reactor::{Choice, Event, Reactor, Wake},
};
use farad_benches::{
    Cores,
    accounting::thread_time,
    lines::{BASE_TIME, Line, Shape},
};

const LINES: usize = 5_000;
const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nX-Kapacitor-Version: 1.5.1\r\n\r\n";

/// As in a shard's reactor.
const BUFFER_BYTES: usize = 64 << 10;
const PAGE_BYTES: usize = 4 << 10;

/// What a writer sends at once.
const PIECE_BYTES: usize = 32 << 10;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Ring,
    Epoll,
    TokioUring,
    Tokio,
}

const WAYS: [(&str, Way); 4] =
    [("ring", Way::Ring), ("epoll", Way::Epoll), ("tokio-uring", Way::TokioUring), ("tokio", Way::Tokio)];

/// A connection's requests, framed.
#[derive(Default)]
struct Conversation {
    held: Vec<u8>,
    searched: usize,
    body: Option<Framer>,
}

impl Conversation {
    /// Takes received bytes; returns how many lines they hold and how many requests they end.
    fn receive(&mut self, input: &[u8]) -> (u64, usize) {
        if self.held.is_empty() {
            let (used, lines, ended) = self.consume(input);
            self.held.extend_from_slice(&input[used..]);
            return (lines, ended);
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(input);
        let (used, lines, ended) = self.consume(&held);
        held.drain(..used);
        self.held = held;
        (lines, ended)
    }

    fn consume(&mut self, input: &[u8]) -> (usize, u64, usize) {
        let (mut used, mut lines, mut ended) = (0, 0, 0);
        loop {
            let rest = &input[used..];
            let Some(framer) = &mut self.body else {
                match parse_from(rest, &mut self.searched).unwrap() {
                    Parsed::Complete(head) if !rest.is_empty() => {
                        self.searched = 0;
                        used += head.bytes;
                        self.body = Some(Framer::new(head.body));
                        continue;
                    }
                    _ => return (used, lines, ended),
                }
            };
            match framer.next(rest).unwrap() {
                Piece::Data(range) => {
                    lines += memchr::memchr_iter(b'\n', &rest[range.clone()]).count() as u64;
                    used += range.end;
                }
                Piece::Skip(bytes) => used += bytes,
                Piece::More => return (used, lines, ended),
                Piece::Done => {
                    self.body = None;
                    ended += 1;
                }
            }
        }
    }
}

/// What a receiving thread tells.
#[derive(Default)]
struct Told {
    lines: AtomicU64,
    /// CPU time of the thread, ns.
    time: AtomicU64,
    stop: AtomicBool,
}

impl Told {
    fn add(&self, lines: u64) {
        if lines > 0 {
            self.lines.fetch_add(lines, Ordering::Relaxed);
        }
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A connection that the reactor serves.
struct Served {
    stream: Rc<OwnedFd>,
    conversation: Conversation,
}

fn on_reactor(choice: Choice, streams: Vec<TcpStream>, told: &Told) {
    let mut reactor = Reactor::new(choice, Arc::new(Wake::new().unwrap())).unwrap();
    let mut served: Vec<_> = streams
        .into_iter()
        .map(|stream| Served { stream: Rc::new(stream.into()), conversation: Conversation::default() })
        .collect();
    for (token, connection) in served.iter().enumerate() {
        reactor.add(token as u32, connection.stream.clone()).unwrap();
    }
    while !told.stops() {
        reactor.wait(Some(Duration::from_millis(50))).unwrap();
        while let Some(event) = reactor.next_event() {
            let Event::Received(token, buffer) = event else { continue };
            let connection = &mut served[token as usize];
            let (lines, ended) = connection.conversation.receive(reactor.bytes(&buffer));
            reactor.give_back(buffer);
            told.add(lines);
            for _ in 0..ended {
                rustix::net::send(&*connection.stream, ANSWER, rustix::net::SendFlags::NOSIGNAL).unwrap();
            }
        }
    }
}

/// Memory with a page-aligned part of [`BUFFER_BYTES`], and where that part begins.
fn aligned() -> (Vec<u8>, usize) {
    let memory = vec![0; BUFFER_BYTES + PAGE_BYTES];
    let start = memory.as_ptr().align_offset(PAGE_BYTES);
    (memory, start)
}

fn on_tokio_uring(streams: Vec<TcpStream>, told: &Arc<Told>) {
    use tokio_uring::buf::BoundedBuf;
    tokio_uring::start(async {
        for stream in streams {
            let told = told.clone();
            tokio_uring::spawn(async move {
                let stream = tokio_uring::net::TcpStream::from_std(stream);
                let mut conversation = Conversation::default();
                let (mut memory, start) = aligned();
                loop {
                    let (read, slice) = stream.read(memory.slice(start..start + BUFFER_BYTES)).await;
                    memory = slice.into_inner();
                    let Ok(bytes @ 1..) = read else { return };
                    let (lines, ended) = conversation.receive(&memory[start..start + bytes]);
                    told.add(lines);
                    for _ in 0..ended {
                        stream.write_all(ANSWER.to_vec()).await.0.unwrap();
                    }
                }
            });
        }
        while !told.stops() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

fn on_tokio(streams: Vec<TcpStream>, told: &Arc<Told>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        for stream in streams {
            let told = told.clone();
            tokio::task::spawn_local(async move {
                stream.set_nonblocking(true).unwrap();
                let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
                let mut conversation = Conversation::default();
                let (mut memory, start) = aligned();
                while let Ok(bytes @ 1..) = stream.read(&mut memory[start..start + BUFFER_BYTES]).await {
                    let (lines, ended) = conversation.receive(&memory[start..start + bytes]);
                    told.add(lines);
                    for _ in 0..ended {
                        stream.write_all(ANSWER).await.unwrap();
                    }
                }
            });
        }
        while !told.stops() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// CPU ns a line of a way to receive, and lines a second.
fn measure(way: Way, connections: usize, request: &[u8], duration: Duration) -> (f64, f64) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (mut clients, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        clients.push(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        streams.push(listener.accept().unwrap().0);
    }
    let told = Arc::new(Told::default());
    let seen = told.clone();
    let receiving = thread::spawn(move || {
        let _ = Cores(vec![0]).pin_self();
        let before = thread_time();
        match way {
            Way::Ring => on_reactor(Choice::Uring, streams, &told),
            Way::Epoll => on_reactor(Choice::Epoll, streams, &told),
            Way::TokioUring => on_tokio_uring(streams, &told),
            Way::Tokio => on_tokio(streams, &told),
        }
        told.time.store(thread_time() - before, Ordering::Relaxed);
    });
    let _ = Cores(vec![1]).pin_self();
    let start = Instant::now();
    // All connections are in the middle of a body, as those of many writers are, and each has one request under way.
    let mut sent = vec![0; connections];
    let answered = |client: &mut TcpStream| client.read_exact(&mut [0; ANSWER.len()]).unwrap();
    while start.elapsed() < duration {
        for (client, sent) in clients.iter_mut().zip(&mut sent) {
            if *sent == request.len() {
                answered(client);
                *sent = 0;
            }
            let end = request.len().min(*sent + PIECE_BYTES);
            client.write_all(&request[*sent..end]).unwrap();
            *sent = end;
        }
    }
    for (client, sent) in clients.iter_mut().zip(sent) {
        client.write_all(&request[sent..]).unwrap();
        answered(client);
    }
    let elapsed = start.elapsed().as_secs_f64();
    seen.stop.store(true, Ordering::Relaxed);
    receiving.join().unwrap();
    let lines = seen.lines.load(Ordering::Relaxed) as f64;
    (seen.time.load(Ordering::Relaxed) as f64 / lines, lines / elapsed)
}

fn main() {
    let seconds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1.0);
    let mut body = Vec::new();
    for series in 0..LINES {
        let line = Line { series: series % 1_000, of: 1_000, pass: series % 7, time: BASE_TIME, firing: false };
        Shape::Telegraf.write(line, &mut body);
    }
    let head = format!("POST /write?db=d&rp=r HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let request = [head.as_bytes(), &body].concat();
    println!("{:<14} {:>11} {:>10} {:>12}", "way", "connections", "CPU ns", "lines/s");
    for connections in [4, 64, 256] {
        // In turn and twice, the better of both: the machine's mood changes by the second.
        let mut best = [(f64::MAX, 0.0); WAYS.len()];
        for _ in 0..2 {
            for ((_, way), best) in WAYS.iter().zip(&mut best) {
                let measured = measure(*way, connections, &request, Duration::from_secs_f64(seconds));
                if measured.0 < best.0 {
                    *best = measured;
                }
            }
        }
        for ((name, _), (time, rate)) in WAYS.iter().zip(best) {
            println!("{name:<14} {connections:>11} {time:>10.1} {rate:>12.0}");
        }
    }
}
