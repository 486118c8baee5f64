//! Questions and orders of autoscale nodes: one file a service.
//!
//! A node has one on the way at a time, so there are never more than nodes, and none is kept from the others. Nothing is
//! tried again: the node says what it wants anew with its next point.

mod ec2;
mod kubernetes;
mod signature;
mod swarm;

use std::{
    cell::Cell,
    fmt::Display,
    rc::Rc,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hashbrown::HashMap;
use proto::plan::Scaler;
use reqwest::{Client, RequestBuilder};
use tokio::{sync::mpsc, time::timeout};

use super::shards::Shards;
use crate::{
    causes::with_causes,
    clock,
    node::autoscale::{AutoscaleRequest, Scale},
    shard::command::{AutoscaleOutput, Command, ScaleAsker},
    trust::Trust,
};

/// The longest time of a request, and of all that an answer needs.
const REQUEST: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(20);

/// How long a server that gave no answer is passed over: nothing waits for it again and again.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Clients that are kept, each with its connections. More: all are made anew as they are needed.
const CLIENTS_MAX: usize = 64;

#[derive(Debug, Default)]
pub struct AutoscaleCounters {
    pub answered: Cell<u64>,
    pub failed: Cell<u64>,
    /// On the way.
    pub waiting: Cell<u64>,
}

/// Takes requests of all shards and lanes for as long as there are any. Runs on the I/O thread's local set.
pub async fn run(mut outputs: mpsc::Receiver<AutoscaleOutput>, shards: Shards, counters: Rc<AutoscaleCounters>) {
    let clients = Rc::new(Clients::default());
    while let Some(AutoscaleOutput { asker, request }) = outputs.recv().await {
        counters.waiting.set(counters.waiting.get() + 1);
        let (shards, counters, clients) = (shards.clone(), counters.clone(), clients.clone());
        tokio::task::spawn_local(async move {
            let scale = timeout(OPERATION, carry_out(&request, &clients)).await.unwrap_or_else(|_| Err(late()));
            let counter = if scale.is_ok() { &counters.answered } else { &counters.failed };
            counter.set(counter.get() + 1);
            match asker {
                ScaleAsker::Shard { shard, instance } => {
                    let AutoscaleRequest { node, ticket, .. } = *request;
                    shards.send(shard, Command::Scaled { instance, node, ticket, scale }).await;
                }
                ScaleAsker::Lane(reply) => drop(reply.send(scale)),
            }
            counters.waiting.set(counters.waiting.get() - 1);
        });
    }
}

async fn carry_out(request: &AutoscaleRequest, clients: &Clients) -> Scale {
    let AutoscaleRequest { resource, set, .. } = request;
    match &request.plan.scaler {
        Scaler::Kubernetes { access, namespace, kind } => {
            let resource = kubernetes::Resource { namespace, kind, name: resource };
            kubernetes::scale(clients, access, &resource, *set).await
        }
        Scaler::Ec2 { access } => ec2::scale(clients, access, resource, *set, clock::now()).await,
        Scaler::Swarm { access } => swarm::scale(clients, access, resource, *set).await,
    }
}

/// Whether a service is there and lets us in; of a scaler only the access counts.
pub async fn reach(scaler: &Scaler) -> Result<(), String> {
    let clients = Clients::default();
    let reached = async {
        match scaler {
            Scaler::Kubernetes { access, .. } => kubernetes::reach(&clients, access).await,
            Scaler::Ec2 { access } => ec2::reach(&clients, access, clock::now()).await,
            Scaler::Swarm { access } => swarm::reach(&clients, access).await,
        }
    };
    timeout(OPERATION, reached).await.unwrap_or_else(|_| Err(late()))
}

fn late() -> String {
    format!("no answer for {} seconds", OPERATION.as_secs())
}

/// HTTP clients by what makes them differ, and who did not answer them.
#[derive(Default)]
struct Clients {
    kept: Mutex<HashMap<Trust, Client>>,
    away: Mutex<Away>,
}

impl Clients {
    fn kept(&self) -> MutexGuard<'_, HashMap<Trust, Client>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Away> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the servers in turn until one answers, whatever it says.
    async fn first_that_answers<'a, T, F>(&self, servers: &'a [String], ask: impl Fn(&'a str) -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut last = "no URL".to_owned();
        for server in servers {
            let known = self.away().error(server, Instant::now());
            if let Some(error) = known {
                last = error;
                continue;
            }
            match ask(server).await {
                Err(Failed::Away(error)) => {
                    self.away().note(server, &error, Instant::now());
                    last = error;
                }
                answered => return answered.map_err(Failed::text),
            }
        }
        Err(last)
    }

    fn get(&self, trust: &Trust) -> Result<Client, String> {
        if let Some(client) = self.kept().get(trust) {
            return Ok(client.clone());
        }
        let tls = trust.config().map_err(|error| error.to_string())?;
        let builder = Client::builder().timeout(REQUEST).use_preconfigured_tls(tls);
        let client = builder.build().map_err(|error| with_causes(&error))?;
        let mut kept = self.kept();
        if kept.len() >= CLIENTS_MAX {
            kept.clear();
        }
        kept.insert(trust.clone(), client.clone());
        Ok(client)
    }

    /// Sends a request; status and body of the answer. A client that got none is not kept: its files may be new.
    async fn send(&self, trust: &Trust, request: RequestBuilder) -> Result<(u16, Vec<u8>), String> {
        let lost = |error: reqwest::Error| {
            self.kept().remove(trust);
            with_causes(&error)
        };
        let mut response = request.send().await.map_err(lost)?;
        let (status, mut body) = (response.status().as_u16(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }
}

/// Servers that gave no answer a moment ago, and why; as many as are configured.
#[derive(Default)]
struct Away(HashMap<String, (Instant, String)>);

impl Away {
    fn note(&mut self, server: &str, error: &str, now: Instant) {
        self.0.retain(|_, (since, _)| now.duration_since(*since) < PASSED_OVER);
        self.0.insert(server.to_owned(), (now, error.to_owned()));
    }

    /// Why nobody asks this server now.
    fn error(&self, server: &str, now: Instant) -> Option<String> {
        let (since, error) = self.0.get(server)?;
        (now.duration_since(*since) < PASSED_OVER).then(|| error.clone())
    }
}

/// Why a request came to nothing.
enum Failed {
    /// Another server may answer.
    Away(String),
    /// Status and reason.
    Refused(u16, String),
}

impl Failed {
    fn text(self) -> String {
        let (Failed::Away(text) | Failed::Refused(_, text)) = self;
        text
    }
}

/// A URL with these further segments of its path.
fn url(base: &str, segments: &[&str]) -> Result<reqwest::Url, Failed> {
    let invalid = |why: &dyn Display| Failed::Refused(0, format!("invalid URL {base:?}: {why}"));
    let mut url = reqwest::Url::parse(base).map_err(|error| invalid(&error))?;
    url.path_segments_mut().map_err(|()| invalid(&"no host"))?.pop_if_empty().extend(segments);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::io::tls;

    /// A certificate for `localhost`, signed by itself, with its key.
    const LOCALHOST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tls/localhost.pem");

    /// Answers everybody who agrees on TLS; gives the port.
    async fn server() -> u16 {
        let acceptor = tls::acceptor(LOCALHOST.as_ref(), None).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(mut stream) = tls::handshake(&acceptor, stream).await else { continue };
                let _ = stream.read_buf(&mut Vec::new()).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }

    async fn ask(clients: &Clients, trust: &Trust, port: u16) -> Result<(u16, Vec<u8>), String> {
        let client = clients.get(trust)?;
        clients.send(trust, client.get(format!("https://localhost:{port}/"))).await
    }

    #[tokio::test]
    async fn who_is_trusted_is_what_the_section_says() {
        let (port, clients) = (server().await, Clients::default());
        let file = || LOCALHOST.to_owned();
        for trust in [
            Trust { authorities: file(), ..Trust::default() },
            Trust { authorities: file(), certificate: file(), ..Trust::default() },
            Trust { insecure: true, ..Trust::default() },
        ] {
            assert_eq!(ask(&clients, &trust, port).await, Ok((200, b"{}".to_vec())), "{trust:?}");
        }
        let nobody = ask(&clients, &Trust::default(), port).await.unwrap_err();
        assert!(nobody.contains("certificate"), "{nobody}");
        // A client that got no answer is made anew.
        assert_eq!(clients.kept().len(), 3);
    }

    #[tokio::test]
    async fn servers_are_asked_in_turn_until_one_answers() {
        let (clients, servers) = (Clients::default(), ["a", "b", "c"].map(str::to_owned));
        let asked = Mutex::new(String::new());
        let ask = |server: &str| {
            asked.lock().unwrap().push_str(server);
            std::future::ready(match server {
                "a" => Err(Failed::Away("a is away".into())),
                "b" => Err(Failed::Refused(403, "forbidden".into())),
                _ => Ok(()),
            })
        };
        assert_eq!(clients.first_that_answers(&servers, ask).await, Err("forbidden".into()));
        // One that was away a moment ago is passed over.
        assert_eq!(clients.first_that_answers(&[servers[0].clone(), servers[2].clone()], ask).await, Ok(()));
        assert_eq!(clients.first_that_answers(&servers[..1], ask).await, Err("a is away".into()));
        assert_eq!(clients.first_that_answers(&[], ask).await, Err("no URL".into()));
        assert_eq!(*asked.lock().unwrap(), "abc");
    }

    #[test]
    fn a_server_is_passed_over_for_a_moment() {
        let (mut away, start) = (Away::default(), Instant::now());
        away.note("a", "why", start);
        assert_eq!(away.error("a", start + PASSED_OVER / 2).as_deref(), Some("why"));
        assert_eq!((away.error("b", start), away.error("a", start + PASSED_OVER)), (None, None));
        away.note("b", "why", start + PASSED_OVER);
        assert_eq!(away.0.len(), 1);
    }

    #[test]
    fn segments_of_paths_are_encoded() {
        let url = |base| url(base, &["a", "../b c"]).map(|url| url.to_string()).map_err(Failed::text);
        assert_eq!(url("http://h/base/"), Ok("http://h/base/a/..%2Fb%20c".into()));
        assert_eq!(url("http://h"), Ok("http://h/a/..%2Fb%20c".into()));
        assert!(url("nowhere").unwrap_err().starts_with("invalid URL \"nowhere\": "));
    }
}
