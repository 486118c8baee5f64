//! Something in the place of a Kafka cluster: speaks as much of the protocol as a producer needs, and keeps the records.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use bytes::Buf;

const NOT_LEADER: i16 = 6;
const TOO_LARGE: i16 = 10;
const SASL_FAILED: i16 = 58;

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub key: String,
    pub value: String,
}

/// Brokers, numbered from 0, that share topics of so many partitions each.
pub struct Cluster {
    addresses: Vec<SocketAddr>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    records: Vec<Record>,
    /// How many records each request brought.
    requests: Vec<usize>,
    /// Brokers by partition.
    leaders: Vec<usize>,
    /// Topics whose partitions were asked for, in order.
    asked: Vec<String>,
    /// Bytes that a batch may have.
    largest: Option<usize>,
    /// User and password that everybody must know.
    login: Option<(String, String)>,
    /// Brokers that are stopped.
    stopped: Vec<usize>,
    connections: BTreeMap<usize, Vec<TcpStream>>,
}

impl Cluster {
    /// Partition n is led by broker n, modulo their number.
    pub fn start(brokers: usize, partitions: usize) -> io::Result<Cluster> {
        let listeners =
            (0..brokers).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<io::Result<Vec<TcpListener>>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let leaders = (0..partitions).map(|partition| partition % brokers).collect();
        let cluster = Cluster { addresses, state: Arc::new(Mutex::new(State { leaders, ..State::default() })) };
        for (number, listener) in listeners.into_iter().enumerate() {
            cluster.accept(number, listener);
        }
        Ok(cluster)
    }

    /// The address of a broker.
    pub fn address(&self, number: usize) -> String {
        self.addresses[number].to_string()
    }

    /// What was written, in order of arrival.
    pub fn records(&self) -> Vec<Record> {
        self.state().records.clone()
    }

    /// How many records each request brought.
    pub fn requests(&self) -> Vec<usize> {
        self.state().requests.clone()
    }

    /// Topics whose partitions were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// From now on new connections need these (SASL, PLAIN).
    pub fn require(&self, user: &str, password: &str) {
        self.state().login = Some((user.to_owned(), password.to_owned()));
    }

    /// From now on larger batches are refused.
    pub fn allow(&self, bytes: usize) {
        self.state().largest = Some(bytes);
    }

    /// Gives all partitions to one broker.
    pub fn lead(&self, number: usize) {
        self.state().leaders.fill(number);
    }

    /// Ends a broker with its connections.
    pub fn stop(&self, number: usize) {
        let connections = {
            let mut state = self.state();
            state.stopped.push(number);
            state.connections.remove(&number).unwrap_or_default()
        };
        for connection in connections {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addresses[number]);
    }

    /// Starts a broker again, at the address that it had.
    pub fn restart(&self, number: usize) -> io::Result<()> {
        let listener = TcpListener::bind(self.addresses[number])?;
        self.state().stopped.retain(|stopped| *stopped != number);
        self.accept(number, listener);
        Ok(())
    }

    fn accept(&self, number: usize, listener: TcpListener) {
        let (state, addresses) = (self.state.clone(), self.addresses.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut locked = lock(&state);
                if locked.stopped.contains(&number) {
                    return;
                }
                if let Ok(stream) = stream.try_clone() {
                    locked.connections.entry(number).or_default().push(stream);
                }
                drop(locked);
                let (state, addresses) = (state.clone(), addresses.clone());
                thread::spawn(move || Broker { number, addresses, state, known: false }.serve(stream));
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection's end.
struct Broker {
    number: usize,
    addresses: Vec<SocketAddr>,
    state: Arc<Mutex<State>>,
    /// The client has said who it is.
    known: bool,
}

impl Broker {
    fn serve(mut self, mut stream: TcpStream) {
        let mut length = [0; 4];
        while stream.read_exact(&mut length).is_ok() {
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            if stream.read_exact(&mut request).is_err() {
                return;
            }
            let mut request = &request[..];
            let (api, version, correlation) = (request.get_i16(), request.get_i16(), request.get_i32());
            let _client = text(&mut request);
            let Some(answer) = self.answer(api, version, &mut request) else { return };
            assert!(request.is_empty(), "request {api} is longer than it should be: {request:02x?}");
            let length = answer.len() as u32 + 4;
            let framed = [&length.to_be_bytes()[..], &correlation.to_be_bytes(), &answer].concat();
            if stream.write_all(&framed).is_err() {
                return;
            }
        }
    }

    /// Nothing: the broker hangs up.
    fn answer(&mut self, api: i16, version: i16, request: &mut &[u8]) -> Option<Vec<u8>> {
        let must_say_who = lock(&self.state).login.is_some() && !self.known;
        match (api, version) {
            (18, 0) => Some(versions()),
            (17, 1) => {
                text(request);
                Some([&[0, 0][..], &1_i32.to_be_bytes(), &counted("PLAIN")].concat())
            }
            (36, 0) => Some(self.authenticate(&bytes(request))),
            _ if must_say_who => None,
            (3, 4) => Some(self.metadata(request)),
            (0, 3) => Some(self.produce(request)),
            _ => None,
        }
    }

    fn authenticate(&mut self, token: &[u8]) -> Vec<u8> {
        let login = lock(&self.state).login.clone();
        self.known = login.is_none_or(|(user, password)| token == format!("\0{user}\0{password}").as_bytes());
        let (code, message) = if self.known { (0, "") } else { (SASL_FAILED, "invalid credentials") };
        [&i16::to_be_bytes(code)[..], &counted(message), &0_i32.to_be_bytes()].concat()
    }

    fn metadata(&self, request: &mut &[u8]) -> Vec<u8> {
        assert_eq!(request.get_i32(), 1, "metadata of more than one topic");
        let topic = text(request);
        // Whether it may be made.
        request.get_i8();
        let mut state = lock(&self.state);
        state.asked.push(topic.clone());
        let mut answer = [0_i32.to_be_bytes(), (self.addresses.len() as i32).to_be_bytes()].concat();
        for (number, address) in self.addresses.iter().enumerate() {
            answer.extend((number as i32).to_be_bytes());
            answer.extend(counted(&address.ip().to_string()));
            answer.extend(i32::from(address.port()).to_be_bytes());
            answer.extend((-1_i16).to_be_bytes());
        }
        answer.extend(counted("cluster"));
        answer.extend(0_i32.to_be_bytes());
        answer.extend([&1_i32.to_be_bytes()[..], &[0, 0], &counted(&topic), &[0]].concat());
        answer.extend((state.leaders.len() as i32).to_be_bytes());
        for (partition, leader) in state.leaders.iter().enumerate() {
            answer.extend([0, 0]);
            // Its number, its leader; one replica, in sync.
            for number in [partition as i32, *leader as i32, 1, *leader as i32, 1, *leader as i32] {
                answer.extend(number.to_be_bytes());
            }
        }
        answer
    }

    fn produce(&self, request: &mut &[u8]) -> Vec<u8> {
        assert_eq!(request.get_i16(), -1, "no transaction");
        assert_eq!(request.get_i16(), 1, "the leader answers");
        let _limit = request.get_i32();
        let mut answer = request.get_i32().to_be_bytes().to_vec();
        let topic = text(request);
        answer.extend(counted(&topic));
        let partitions = request.get_i32();
        answer.extend(partitions.to_be_bytes());
        let mut state = lock(&self.state);
        let mut taken = 0;
        for _ in 0..partitions {
            let partition = request.get_i32();
            let batch = bytes(request);
            let records = records(&batch);
            let code = match state.leaders.get(partition as usize) == Some(&self.number) {
                false => NOT_LEADER,
                true if state.largest.is_some_and(|largest| batch.len() > largest) => TOO_LARGE,
                true => 0,
            };
            if code == 0 {
                taken += records.len();
                let record = |(key, value)| Record { topic: topic.clone(), partition, key, value };
                state.records.extend(records.into_iter().map(record));
            }
            answer.extend(partition.to_be_bytes());
            answer.extend(code.to_be_bytes());
            answer.extend([0; 16]);
        }
        if taken > 0 {
            state.requests.push(taken);
        }
        answer.extend(0_i32.to_be_bytes());
        answer
    }
}

/// Produce, Metadata, SASL and this request itself.
fn versions() -> Vec<u8> {
    let spoken = [(0_i16, 3_i16, 9_i16), (3, 0, 12), (17, 0, 1), (18, 0, 3), (36, 0, 2)];
    let mut answer = [&[0, 0][..], &(spoken.len() as i32).to_be_bytes()].concat();
    for (api, least, most) in spoken {
        answer.extend([api.to_be_bytes(), least.to_be_bytes(), most.to_be_bytes()].concat());
    }
    answer
}

/// Keys and values of a record batch, whose checksum must be right.
fn records(mut batch: &[u8]) -> Vec<(String, String)> {
    let (_offset, length, _epoch) = (batch.get_i64(), batch.get_i32(), batch.get_i32());
    assert_eq!(length as usize, batch.len() + 4, "length of a batch");
    assert_eq!(batch.get_i8(), 2, "magic of a batch");
    assert_eq!(batch.get_u32(), crc32c(batch), "checksum of a batch");
    assert_eq!(batch.get_i16(), 0, "attributes of a batch");
    let last = batch.get_i32();
    // Two times, three fields about a producer.
    batch.advance(8 + 8 + 8 + 2 + 4);
    let count = batch.get_i32();
    assert_eq!(last, count - 1, "number of the last record");
    let record = |number| {
        let length = varint(&mut batch) as usize;
        let (mut record, rest) = batch.split_at(length);
        batch = rest;
        assert_eq!((record.get_i8(), varint(&mut record), varint(&mut record)), (0, 0, number));
        let mut text = || {
            let length = varint(&mut record) as usize;
            let (text, rest) = record.split_at(length);
            record = rest;
            String::from_utf8_lossy(text).into_owned()
        };
        let pair = (text(), text());
        assert_eq!(record, [0], "no headers");
        pair
    };
    let records = (0..i64::from(count)).map(record).collect();
    assert!(batch.is_empty(), "a batch ends with its records");
    records
}

fn varint(bytes: &mut &[u8]) -> i64 {
    let (mut number, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes.get_u8();
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (number >> 1) as i64 ^ -((number & 1) as i64);
        }
    }
}

/// Bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

fn text(request: &mut &[u8]) -> String {
    let length = request.get_i16().max(0) as usize;
    let text = String::from_utf8_lossy(&request[..length]).into_owned();
    request.advance(length);
    text
}

fn bytes(request: &mut &[u8]) -> Vec<u8> {
    let length = request.get_i32().max(0) as usize;
    let bytes = request[..length].to_vec();
    request.advance(length);
    bytes
}

fn counted(text: &str) -> Vec<u8> {
    [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat()
}
