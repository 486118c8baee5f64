//! Writes of influxDBOut nodes: in order per node, tried again while the InfluxDB is away.
//!
//! Each node has a worker with a queue that is bounded in bytes; when it is full, what comes is dropped with a counter and
//! the node hears of it. A write that InfluxDB refuses is not tried again.

use std::{cell::Cell, io::Write, rc::Rc, time::Duration};

use hashbrown::HashMap;
use proto::plan::{InfluxDbOut, InfluxDbTarget};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::shards::Shards;
use crate::{
    causes::with_causes,
    node::influxdb_out::{InfluxDbAct, WRITTEN},
    routing::Instance,
    shard::command::{Asker, Command, InfluxDbOutput},
    trust::Trust,
};

/// How long the worker of a node without writes stays.
const IDLE: Duration = Duration::from_secs(60);

/// Pauses between attempts: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long a write is tried before it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// How much of an answer is read, for the log.
const ANSWER_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, Default)]
pub struct InfluxDbCounters {
    pub written: Cell<u64>,
    pub failed: Cell<u64>,
    pub retried: Cell<u64>,
    /// Writes that found the queue of their node full.
    pub dropped: Cell<u64>,
    /// In a node's queue or on the way.
    pub waiting: Cell<u64>,
}

fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get() + count);
}

struct Worker {
    queue: mpsc::UnboundedSender<InfluxDbOutput>,
    /// Bytes of lines in `queue`.
    bytes: Rc<Cell<usize>>,
}

/// Takes writes of all shards for as long as there are shards. Runs on the I/O thread's local set. Nothing is tried again
/// once `draining` says so.
pub async fn run(
    mut outputs: mpsc::Receiver<InfluxDbOutput>,
    shards: Shards,
    counters: Rc<InfluxDbCounters>,
    draining: tokio::sync::watch::Receiver<bool>,
    bytes_max: usize,
) {
    let mut workers: HashMap<(Instance, String), Worker> = HashMap::new();
    while let Some(output) = outputs.recv().await {
        let key = (output.instance, output.request.node.clone());
        if workers.get(&key).is_none_or(|worker| worker.queue.is_closed()) {
            workers.retain(|_, worker| !worker.queue.is_closed());
            let (queue, received) = mpsc::unbounded_channel();
            let bytes = Rc::new(Cell::new(0));
            let work = Work {
                client: client(&output.request.plan.target),
                shards: shards.clone(),
                counters: counters.clone(),
                draining: draining.clone(),
                bytes: bytes.clone(),
                opened: false,
            };
            tokio::task::spawn_local(work.run(received));
            workers.insert(key.clone(), Worker { queue, bytes });
        }
        let Some(worker) = workers.get(&key) else { continue };
        let size = match &output.request.act {
            InfluxDbAct::Open => 0,
            InfluxDbAct::Write { lines, .. } => lines.len(),
        };
        if worker.bytes.get() + size > bytes_max {
            add(&counters.dropped, 1);
            answer(&shards, &output, 0).await;
            continue;
        }
        worker.bytes.set(worker.bytes.get() + size);
        add(&counters.waiting, 1);
        // A worker that has just gone had nothing left, and its node's next write makes another one.
        if worker.queue.send(output).is_err() {
            counters.waiting.set(counters.waiting.get() - 1);
            add(&counters.dropped, 1);
        }
    }
}

/// A client that holds to the target's rules. Without one every request fails and says so.
fn client(target: &InfluxDbTarget) -> Result<reqwest::Client, String> {
    let trust = Trust {
        authorities: target.ssl_ca.clone(),
        certificate: target.ssl_cert.clone(),
        key: target.ssl_key.clone(),
        insecure: target.insecure_skip_verify,
    };
    let tls = trust.config().map_err(|error| error.to_string())?;
    let mut builder = reqwest::Client::builder().user_agent("KapacitorInfluxDBClient").use_preconfigured_tls(tls);
    if let Ok(limit @ 1..) = u64::try_from(target.timeout) {
        builder = builder.timeout(Duration::from_nanos(limit));
    }
    builder.build().map_err(|error| with_causes(&error))
}

struct Work {
    client: Result<reqwest::Client, String>,
    shards: Shards,
    counters: Rc<InfluxDbCounters>,
    draining: tokio::sync::watch::Receiver<bool>,
    bytes: Rc<Cell<usize>>,
    /// Every shard's part of the node opens it.
    opened: bool,
}

impl Work {
    async fn run(mut self, mut received: mpsc::UnboundedReceiver<InfluxDbOutput>) {
        while let Ok(Some(output)) = timeout(IDLE, received.recv()).await {
            match &output.request.act {
                InfluxDbAct::Open if self.opened || !output.request.plan.create => {}
                InfluxDbAct::Open => {
                    self.opened = true;
                    self.create(&output).await;
                }
                InfluxDbAct::Write { lines, .. } => {
                    let status = self.write(&output).await;
                    let counter =
                        if WRITTEN.contains(&status) { &self.counters.written } else { &self.counters.failed };
                    add(counter, 1);
                    self.bytes.set(self.bytes.get() - lines.len());
                    answer(&self.shards, &output, status).await;
                }
            }
            self.counters.waiting.set(self.counters.waiting.get() - 1);
        }
    }

    /// `CREATE DATABASE`; a failure is logged and no more.
    async fn create(&self, output: &InfluxDbOutput) {
        let plan = &output.request.plan;
        let quoted = |name: &str| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let mut statement = format!("CREATE DATABASE {}", quoted(&plan.database));
        if !plan.retention_policy.is_empty() {
            statement.push_str(&format!(" WITH NAME {}", quoted(&plan.retention_policy)));
        }
        let mut last = (0, "no URL".to_owned());
        for url in &plan.target.urls {
            let client = match &self.client {
                Ok(client) => client,
                Err(error) => {
                    last.1.clone_from(error);
                    break;
                }
            };
            let request = client.post(endpoint(url, "query")).query(&[("db", ""), ("q", &statement)]);
            last = send(authorized(request, &plan.target)).await;
            if last.0 == 200 && !last.1.contains("\"error\"") {
                return;
            }
        }
        let (task, node, (code, err)) = (&output.request.task, &output.request.node, last);
        tracing::error!(service = "kapacitor", task, node, code, err, "failed to create database");
    }

    /// Status of the last answer; 0 without one.
    async fn write(&self, output: &InfluxDbOutput) -> u16 {
        let started = Instant::now();
        let mut pause = PAUSE.0;
        loop {
            let (status, error) = self.attempt(&output.request.plan, &output.request.act).await;
            if WRITTEN.contains(&status) {
                return status;
            }
            let away = status == 0 || status >= 500 || status == 429;
            let (task, node) = (&output.request.task, &output.request.node);
            if !away || started.elapsed() > GIVE_UP_AFTER || *self.draining.borrow() {
                tracing::error!(
                    service = "kapacitor",
                    task,
                    node,
                    code = status,
                    err = error,
                    "failed to write points"
                );
                return status;
            }
            tracing::warn!(service = "kapacitor", task, node, code = status, err = error, "a write is tried again");
            add(&self.counters.retried, 1);
            let mut draining = self.draining.clone();
            tokio::select! {
                () = sleep(pause) => {}
                _ = draining.wait_for(|draining| *draining) => {}
            }
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Tries every URL in turn.
    async fn attempt(&self, plan: &InfluxDbOut, act: &InfluxDbAct) -> (u16, String) {
        let InfluxDbAct::Write { database, retention_policy, lines, .. } = act else { return (0, String::new()) };
        let query = [
            ("consistency", plan.write_consistency.as_str()),
            ("db", database),
            ("precision", if plan.precision.is_empty() { "ns" } else { &plan.precision }),
            ("rp", retention_policy),
        ];
        let client = match &self.client {
            Ok(client) => client,
            Err(error) => return (0, error.clone()),
        };
        let mut last = (0, "no URL".to_owned());
        let packed = plan.target.gzip.then(|| gzip(lines.as_ref())).transpose();
        let packed = match packed {
            Ok(packed) => packed,
            Err(error) => return (0, error.to_string()),
        };
        for url in &plan.target.urls {
            let request = client.post(endpoint(url, "write")).query(&query);
            let request = request.header("Content-Type", "application/octet-stream");
            let request = match &packed {
                Some(packed) => request.header("Content-Encoding", "gzip").body(packed.clone()),
                None => request.body(lines.clone()),
            };
            last = send(authorized(request, &plan.target)).await;
            if last.0 != 0 && last.0 < 500 {
                return last;
            }
        }
        last
    }
}

fn gzip(lines: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(lines)?;
    packer.finish()
}

fn endpoint(url: &str, path: &str) -> String {
    format!("{}/{path}", url.trim_end_matches('/'))
}

fn authorized(request: reqwest::RequestBuilder, target: &InfluxDbTarget) -> reqwest::RequestBuilder {
    if !target.token.is_empty() {
        return request.header("Authorization", format!("Token {}", target.token));
    }
    match target.username.as_str() {
        "" => request,
        user => request.basic_auth(user, Some(&target.password)),
    }
}

/// Status and the first part of the answer's body, or 0 and why there is none.
async fn send(request: reqwest::RequestBuilder) -> (u16, String) {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return (0, with_causes(&error)),
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if room == 0 {
            break;
        }
    }
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn answer(shards: &Shards, output: &InfluxDbOutput, status: u16) {
    let InfluxDbAct::Write { ticket, .. } = output.request.act else { return };
    let (instance, node) = (output.instance, output.request.node.clone());
    match &output.asker {
        Asker::Shard(shard) => shards.send(*shard, Command::Resume { instance, node, ticket, status }).await,
        Asker::Lane(resumes) => resumes.send(node, ticket, status),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{io::shards::Loads, node::InfluxDbRequest};

    /// Answers one request a connection with the next of `statuses`; returns what the requests began with.
    async fn influxdb(listener: tokio::net::TcpListener, statuses: &[u16]) -> Vec<String> {
        let mut seen = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 16 << 10];
            let mut read = 0;
            while !head[..read].ends_with(b"v=1 1\n") {
                read += stream.read(&mut head[read..]).await.unwrap();
            }
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            seen.push(String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned());
        }
        seen
    }

    fn output(address: std::net::SocketAddr) -> InfluxDbOutput {
        let target = InfluxDbTarget { urls: vec![format!("http://{address}/")], ..Default::default() };
        let plan = Arc::new(InfluxDbOut { target, precision: "s".into(), ..Default::default() });
        let (database, retention_policy) = ("d b".into(), "r".into());
        let act = InfluxDbAct::Write { database, retention_policy, lines: "m v=1 1\n".into(), ticket: 0 };
        let request = InfluxDbRequest { task: "t".into(), node: "n".into(), plan, act };
        InfluxDbOutput { asker: Asker::Shard(0), instance: 1, request: Box::new(request) }
    }

    /// What a write against these answers ends with, the requests, and how often it was tried again.
    async fn written(statuses: &[u16]) -> (u16, Vec<String>, u64) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let output = output(listener.local_addr().unwrap());
        let (_keep, draining) = tokio::sync::watch::channel(false);
        let counters = Rc::new(InfluxDbCounters::default());
        let work = Work {
            client: client(&output.request.plan.target),
            shards: Shards::new(Vec::new(), Loads::new(0)),
            counters: counters.clone(),
            draining,
            bytes: Rc::default(),
            opened: false,
        };
        let (status, seen) = tokio::join!(work.write(&output), influxdb(listener, statuses));
        (status, seen, counters.retried.get())
    }

    #[tokio::test]
    async fn a_write_is_tried_again_until_it_is_taken() {
        let (status, seen, retried) = written(&[503, 204]).await;
        assert_eq!((status, retried), (204, 1));
        assert_eq!(seen, ["POST /write?consistency=&db=d+b&precision=s&rp=r HTTP/1.1"; 2]);
    }

    #[tokio::test]
    async fn what_finds_the_queue_of_its_node_full_is_dropped_and_counted() {
        let hung = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (sender, outputs) = mpsc::channel(8);
        let counters = Rc::new(InfluxDbCounters::default());
        let (_keep, draining) = tokio::sync::watch::channel(false);
        let work = run(outputs, Shards::new(Vec::new(), Loads::new(0)), counters.clone(), draining, 1_000);
        for _ in 0..4 {
            let mut output = output(hung.local_addr().unwrap());
            if let InfluxDbAct::Write { lines, .. } = &mut output.request.act {
                *lines = "x".repeat(500);
            }
            sender.try_send(output).unwrap();
        }
        drop(sender);
        tokio::task::LocalSet::new().run_until(work).await;
        assert_eq!((counters.dropped.get(), counters.waiting.get()), (2, 2));
    }

    #[tokio::test]
    async fn a_cluster_is_trusted_by_the_authorities_of_its_section() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tls/localhost.pem");
        let acceptor = crate::io::tls::acceptor(own.as_ref(), None).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut output = output(listener.local_addr().unwrap());
        let answered = async {
            loop {
                let Ok(mut stream) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                stream.write_all(b"HTTP/1.1 204 x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        };
        tokio::pin!(answered);
        for (ca, status, says) in [(own, 204, ""), ("", 0, "certificate"), ("/nowhere", 0, "/nowhere")] {
            let target = &mut Arc::get_mut(&mut output.request.plan).unwrap().target;
            target.urls = vec![format!("https://localhost:{}", listener.local_addr().unwrap().port())];
            target.ssl_ca = ca.to_owned();
            let (_keep, draining) = tokio::sync::watch::channel(false);
            let work = Work {
                client: client(target),
                shards: Shards::new(Vec::new(), Loads::new(0)),
                counters: Rc::default(),
                draining,
                bytes: Rc::default(),
                opened: false,
            };
            let (found, error) = tokio::select! {
                written = work.attempt(&output.request.plan, &output.request.act) => written,
                () = &mut answered => unreachable!(),
            };
            assert!(found == status && error.contains(says), "{ca}: {found} {error}");
        }
    }

    #[tokio::test]
    async fn a_write_is_packed_where_the_cluster_wants_it() {
        use std::io::Read;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut output = output(listener.local_addr().unwrap());
        Arc::get_mut(&mut output.request.plan).unwrap().target.gzip = true;
        let (_keep, draining) = tokio::sync::watch::channel(false);
        let work = Work {
            client: client(&output.request.plan.target),
            shards: Shards::new(Vec::new(), Loads::new(0)),
            counters: Rc::default(),
            draining,
            bytes: Rc::default(),
            opened: false,
        };
        let taken = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut sent, mut text) = (Vec::new(), String::new());
            loop {
                stream.read_buf(&mut sent).await.unwrap();
                let Some(end) = memchr::memmem::find(&sent, b"\r\n\r\n") else { continue };
                text.clear();
                if flate2::read::GzDecoder::new(&sent[end + 4..]).read_to_string(&mut text).is_ok() {
                    stream.write_all(b"HTTP/1.1 204 x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    let head = String::from_utf8_lossy(&sent[..end]).to_lowercase();
                    return (head.contains("\r\ncontent-encoding: gzip"), text);
                }
            }
        };
        let (status, taken) = tokio::join!(work.write(&output), taken);
        assert_eq!((status, taken), (204, (true, "m v=1 1\n".to_owned())));
    }

    #[tokio::test]
    async fn a_write_that_is_refused_is_not() {
        let (status, seen, retried) = written(&[400]).await;
        assert_eq!((status, seen.len(), retried), (400, 1, 0));
    }
}
