//! A shard's thread without its loop: real sockets, and a clock that the test sets.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::AtomicU64,
};

use bytes::BytesMut;
use flate2::{Compression, write::GzEncoder};
use proto::{limits::Limits, message::Settings};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    gate::Gate,
    io::shards::Loads,
    reactor::{Choice, Wake},
    routing::Routing,
    shard::{
        command::{Command, Effects, Seats},
        receiver::Receiver,
        ring::{Ends, Item, Signals, rings},
        staging::tests::task,
        thread::{Start, Thread},
    },
};

const SECOND: i64 = 1_000_000_000;

const RING_BLOCKS: usize = 16;

/// The thread of the first of two shards, whose second one does nothing.
struct Stand {
    thread: Thread,
    other: Ends,
    _commands: mpsc::Sender<Command>,
    relays: mpsc::Receiver<Handover>,
}

impl Stand {
    fn new(receive: Choice) -> Stand {
        let wakes: Vec<_> = (0..2).map(|_| Arc::new(Wake::new().unwrap())).collect();
        let mut ends = rings(wakes.iter().map(|wake| Signals::new(wake.clone())).collect(), RING_BLOCKS);
        let (other, ends) = (ends.pop().unwrap(), ends.pop().unwrap());
        let (commands, received) = mpsc::channel(1);
        let (relay, relays) = mpsc::channel(16);
        let settings = watch::channel(Settings::default()).1;
        let effects = Effects {
            alerts: mpsc::channel(1).0,
            posts: mpsc::channel(1).0,
            influxdb: mpsc::channel(1).0,
            autoscale: mpsc::channel(1).0,
            udf: mpsc::channel(1).0,
            failures: mpsc::unbounded_channel().0,
            relays: relay,
            gate: Arc::new(Gate::new(settings.clone())),
            inhibitors: Arc::default(),
            taps: Default::default(),
            writes: mpsc::channel(16).0,
        };
        let start = Start {
            shard: 0,
            shards: 2,
            core: None,
            receive,
            wake: wakes[0].clone(),
            ends,
            commands: received,
            effects,
            settings,
            loads: Loads::new(2),
            order: Arc::new(AtomicU64::new(0)),
            limits: Limits::default(),
        };
        Stand { thread: Thread::new(start).unwrap(), other, _commands: commands, relays }
    }

    /// One whose connections may hold so many bytes.
    fn with_room(bytes: usize) -> Stand {
        let mut stand = Stand::new(Choice::Epoll);
        stand.thread.connections.bytes_max = bytes;
        stand
    }

    fn connect(&mut self) -> TcpStream {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let Thread { reactor, shard, connections, now, .. } = &mut self.thread;
        let seat = Seats::default().take(1).unwrap();
        connections.connect(reactor, shard, Handover { stream, peer, buffered: BytesMut::new(), seat }, *now);
        client
    }

    fn turn(&mut self) {
        self.thread.reactor.wait(Some(Duration::from_millis(1))).unwrap();
        self.thread.work();
    }

    fn turns(&mut self) {
        (0..6).for_each(|_| self.turn());
    }

    fn pass(&mut self, seconds: i64) {
        self.thread.steady += seconds * SECOND;
        self.turns();
    }

    /// Sends all of it, however much the thread takes at once; returns whether there is nobody any more to take it.
    fn send(&mut self, client: &mut TcpStream, mut bytes: &[u8]) -> bool {
        for _ in 0..1_000 {
            match client.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return true,
            }
            if bytes.is_empty() {
                break;
            }
            self.turn();
        }
        self.turns();
        false
    }

    /// What has come back so far.
    fn answer(&mut self, client: &mut TcpStream) -> String {
        self.turns();
        let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(bytes @ 1..) = client.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..bytes]);
        }
        String::from_utf8(answer).unwrap()
    }

    fn is_closed(&mut self, client: &mut TcpStream) -> bool {
        self.turns();
        !matches!(client.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// A write whose body is held until it is whole: packed, and not made smaller.
fn packed_write() -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::none());
    packer.write_all("# a comment\n".repeat(10_000).as_bytes()).unwrap();
    let body = packer.finish().unwrap();
    assert!(body.len() > 110_000);
    let mut write = format!(
        "POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    write.extend_from_slice(&body);
    write
}

/// Room for one body of [`packed_write`] and a half.
const ROOM: usize = 200_000;

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

#[test]
fn a_body_without_room_waits_for_the_oldest() {
    let mut stand = Stand::with_room(ROOM);
    let (mut first, mut second) = (stand.connect(), stand.connect());
    let write = packed_write();
    let (front, back) = write.split_at(100_000);
    stand.send(&mut first, front);
    stand.send(&mut second, &write[..90_000]);
    stand.send(&mut second, &write[90_000..100_000]);
    assert_eq!(stand.thread.connections.stalled, 1, "{} bytes", stand.thread.connections.bytes);
    let held = stand.thread.connections.bytes;
    stand.send(&mut second, back);
    assert_eq!((stand.thread.connections.bytes, stand.answer(&mut second)), (held, String::new()));
    stand.send(&mut first, back);
    assert_eq!(status(&stand.answer(&mut first)), "204");
    assert_eq!(status(&stand.answer(&mut second)), "204");
    assert_eq!((stand.thread.connections.stalled, stand.thread.connections.bytes), (0, 0));
    // Both go on.
    for client in [&mut first, &mut second] {
        stand.send(client, &write);
        assert_eq!(status(&stand.answer(client)), "204");
    }
}

/// A body that stands in the way of another one; what is sent of it while ten seconds pass.
fn in_the_way(sent: &[&[u8]]) -> (String, String, u64) {
    let mut stand = Stand::with_room(ROOM);
    let (mut first, mut second) = (stand.connect(), stand.connect());
    let head = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 10000000\r\n\r\n";
    stand.send(&mut first, &[&head[..], &[b'x'; 130_000]].concat());
    let write = packed_write();
    stand.send(&mut second, &write[..90_000]);
    stand.send(&mut second, &write[90_000..]);
    assert_eq!(stand.thread.connections.stalled, 1);
    for piece in sent {
        stand.pass(4);
        stand.send(&mut first, piece);
    }
    stand.pass(0);
    let answers = (stand.answer(&mut first), stand.answer(&mut second));
    assert_eq!(stand.is_closed(&mut first), !answers.0.is_empty());
    (answers.0, answers.1, stand.thread.shard.bodies_stalled)
}

#[test]
fn a_body_that_holds_up_others_must_move() {
    let (first, second, stalled) = in_the_way(&[b"", b"", b""]);
    assert!(first.starts_with("HTTP/1.1 503 ") && first.contains("\r\nRetry-After: 1\r\n"), "{first}");
    assert_eq!((status(&second), stalled), ("204", 1));
}

#[test]
fn a_trickle_is_no_movement() {
    let (first, second, stalled) = in_the_way(&[b"x", b"x", b"x"]);
    assert_eq!((status(&first), status(&second), stalled), ("503", "204", 1));
}

#[test]
fn a_body_that_moves_is_waited_for() {
    let piece = vec![b'x'; STALL_BYTES];
    let (first, second, stalled) = in_the_way(&[&piece, &piece, &piece, &piece]);
    assert_eq!((first.as_str(), second.as_str(), stalled), ("", "", 0));
}

#[test]
fn a_long_head_closes_where_there_is_no_room() {
    let mut stand = Stand::with_room(ROOM);
    let mut body = stand.connect();
    let head = b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 10000000\r\n\r\n";
    stand.send(&mut body, &[&head[..], &[b'x'; 190_000]].concat());
    let (mut short, mut long) = (stand.connect(), stand.connect());
    stand.send(&mut short, b"POST /write?db=d HTTP/1.1\r\nHost: x\r\n");
    stand.send(&mut long, format!("POST /write?db=d HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(100_000)).as_bytes());
    assert!(stand.is_closed(&mut long));
    assert!(!stand.is_closed(&mut short) && !stand.is_closed(&mut body));
    assert_eq!(stand.thread.connections.closed_without_room, 1);
}

#[test]
fn a_refused_connection_is_cut_however_much_it_sends() {
    for receive in [Choice::Epoll, Choice::Automatic] {
        let mut stand = Stand::new(receive);
        let mut client = stand.connect();
        stand.send(&mut client, b"POST /write HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n");
        assert_eq!(status(&stand.answer(&mut client)), "413");
        for _ in 0..3 {
            assert!(!stand.send(&mut client, b"and more"));
            stand.thread.steady += SECOND * 2 / 5;
            stand.turns();
        }
        assert_eq!(stand.thread.connections.count(), 0, "{receive:?}");
    }
}

#[test]
fn a_body_of_a_cache_that_started_over_is_to_be_sent_again() {
    let mut stand = Stand::new(Choice::Epoll);
    stand.thread.shard.receiver = Receiver::new(2, 20_000);
    let (mut slow, mut quick) = (stand.connect(), stand.connect());
    let write =
        |body: &str| format!("POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let body = write("m,id=slow v=1\nm,id=slow v=2\n");
    stand.send(&mut slow, &body.as_bytes()[..body.len() - 5]);
    for begin in (0..400).step_by(20) {
        let lines: String = (begin..begin + 20).map(|series| format!("m,id={series:050} v=1\n")).collect();
        stand.send(&mut quick, write(&lines).as_bytes());
        assert_eq!(status(&stand.answer(&mut quick)), "204");
        if stand.thread.shard.receiver.cache.generation() > 0 {
            break;
        }
    }
    assert!(stand.thread.shard.receiver.cache.generation() > 0);
    stand.send(&mut slow, &body.as_bytes()[body.len() - 5..]);
    let answer = stand.answer(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
    // The same again, on the same connection.
    stand.send(&mut slow, body.as_bytes());
    assert_eq!(status(&stand.answer(&mut slow)), "204");
}

#[test]
fn a_full_ring_holds_up_the_answer_and_what_follows() {
    for receive in [Choice::Epoll, Choice::Automatic] {
        let mut stand = Stand::new(receive);
        let Thread { shard, .. } = &mut stand.thread;
        shard.receiver.route(Arc::new(Routing::new(1, 2, vec![task(1, "cpu", Some("v"), 2)])));
        for instance in 0..RING_BLOCKS as u64 {
            shard.outbound.send(1, Item::Stopped(instance));
        }
        shard.outbound.push();
        let mut client = stand.connect();
        let body: String = (0..50).map(|host| format!("cpu,host=h{host} v=1\n")).collect();
        let head = format!("POST /write?db=db&rp=rp HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let write = [head, body].concat();
        stand.send(&mut client, [write.as_str(), &write].concat().as_bytes());
        assert_eq!(stand.answer(&mut client), "");
        assert!(stand.thread.connections.bytes > 50 * 16, "blocks that wait are in the account");
        let mut blocks = 0;
        while let Some((receiver, item)) = stand.other.inbound.pop() {
            assert_eq!(receiver, 0);
            blocks += usize::from(matches!(item, Item::Block(_)));
            stand.turn();
        }
        assert_eq!(blocks, 2);
        assert_eq!(stand.answer(&mut client).matches("HTTP/1.1 204 ").count(), 2);
        assert_eq!(stand.thread.connections.bytes, 0);
    }
}

#[test]
fn a_connection_leaves_with_all_that_it_sent() {
    for receive in [Choice::Epoll, Choice::Automatic] {
        let mut stand = Stand::new(receive);
        let mut client = stand.connect();
        let requests =
            b"POST /write?db=d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n#GET / HTTP/1.1\r\nHost: x\r\n\r\nPO";
        stand.send(&mut client, requests);
        assert_eq!(status(&stand.answer(&mut client)), "204");
        let mut handed = stand.relays.try_recv().unwrap();
        let mut left = handed.buffered.to_vec();
        // What came later is still in the socket.
        client.write_all(b"ST").unwrap();
        let mut rest = [0; 2];
        handed.stream.set_nonblocking(false).unwrap();
        handed.stream.read_exact(&mut rest).unwrap();
        left.extend_from_slice(&rest);
        assert_eq!(left, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST");
        assert_eq!(stand.thread.connections.count(), 0);
    }
}
