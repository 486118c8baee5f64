//! Messages on their way: HTTP requests, lines over TCP, mail, records to Kafka.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dataplane::{causes::with_causes, trust::Trust};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use reqwest::Client;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use super::{
    ServiceError,
    mqtt::{self, Publication},
};
use crate::kafka::{Record, Target, TopicWriter, Writers};

/// How much of an answer is read and shown.
const ANSWER_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, PartialEq)]
pub enum Message {
    Http(Http),
    Line(Line),
    Mail(Mail),
    Datagram(Datagram),
    Publication(Publication),
    Record(Target, Record),
}

impl Message {
    /// Whether it goes with its neighbour, over one connection.
    fn goes_with(&self, next: &Message) -> bool {
        match (self, next) {
            (Message::Record(one, _), Message::Record(other, _)) => one == other,
            (Message::Publication(one), Message::Publication(other)) => one.broker == other.broker,
            _ => false,
        }
    }
}

#[derive(Debug, PartialEq)]
pub struct Http {
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub basic_auth: Option<(String, String)>,
    pub body: Body,
    /// Statuses that say that the message has arrived.
    pub accepted: &'static [u16],
    pub trust: Trust,
}

impl Http {
    /// A POST of JSON.
    pub fn json(url: impl Into<String>, body: Value, accepted: &'static [u16]) -> Http {
        let (url, headers) = (url.into(), Vec::new());
        Http { url, headers, basic_auth: None, body: Body::Json(body), accepted, trust: Trust::default() }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Http {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Debug, PartialEq)]
pub enum Body {
    Json(Value),
    Form(Vec<(&'static str, String)>),
}

/// A line that must be answered by another.
#[derive(Debug, PartialEq)]
pub struct Line {
    pub address: String,
    pub line: String,
    pub answer: &'static str,
}

/// What nobody answers.
#[derive(Debug, PartialEq)]
pub struct Datagram {
    pub address: String,
    pub bytes: Vec<u8>,
    /// How often it is sent at most, while sending fails.
    pub tries: u32,
}

/// One message to all recipients.
#[derive(Debug, PartialEq)]
pub struct Mail {
    pub host: String,
    pub port: u16,
    /// None without a user name.
    pub login: Option<(String, String)>,
    /// Trust any certificate.
    pub insecure: bool,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub html: String,
}

/// Keeps connections from one message to the next.
#[derive(Default)]
pub struct Sender {
    /// For as long as the same are trusted.
    client: Mutex<Option<(Trust, Client)>>,
    writers: Arc<Writers>,
    /// Writes to Kafka's topic last written to; others that write there share it.
    writer: Mutex<Option<Arc<TopicWriter>>>,
}

impl Sender {
    pub fn new(writers: Arc<Writers>) -> Sender {
        Sender { writers, ..Sender::default() }
    }

    /// Sends messages in order, each within `limit`; gives what became of each. Neighbours that go the same way go together.
    pub async fn send(&self, messages: &[Message], limit: Duration) -> Vec<Result<(), ServiceError>> {
        let mut results = Vec::with_capacity(messages.len());
        for together in messages.chunk_by(Message::goes_with) {
            let Some(first) = together.first() else { continue };
            let sent = match first {
                Message::Record(target, _) => {
                    let records = together.iter().filter_map(|message| match message {
                        Message::Record(_, record) => Some(record),
                        _ => None,
                    });
                    results.extend(self.write(target, &records.collect::<Vec<_>>(), limit).await);
                    continue;
                }
                Message::Publication(_) => {
                    let publications = together.iter().filter_map(|message| match message {
                        Message::Publication(publication) => Some(publication),
                        _ => None,
                    });
                    results.extend(mqtt::publish(&publications.collect::<Vec<_>>(), limit).await);
                    continue;
                }
                Message::Http(http) => within(limit, self.post(http)).await,
                Message::Line(line) => within(limit, send_line(line)).await,
                Message::Mail(mail) => within(limit, send_mail(mail)).await,
                Message::Datagram(datagram) => within(limit, send_datagram(datagram)).await,
            };
            results.push(sent);
        }
        results
    }

    async fn write(&self, target: &Target, records: &[&Record], limit: Duration) -> Vec<Result<(), ServiceError>> {
        let writer = self.writers.get(target);
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer.clone());
        let written = writer.write(records, dataplane::clock::now(), limit).await;
        written.into_iter().map(|result| result.map_err(|error| ServiceError(error.to_string()))).collect()
    }

    async fn post(&self, http: &Http) -> Result<(), ServiceError> {
        let mut request = self.client(&http.trust)?.post(&http.url);
        for (name, value) in &http.headers {
            request = request.header(*name, value);
        }
        if let Some((user, password)) = &http.basic_auth {
            request = request.basic_auth(user, Some(password));
        }
        request = match &http.body {
            Body::Json(body) => {
                request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body.to_string())
            }
            Body::Form(pairs) => request.form(pairs),
        };
        // The address may hold a token, so that errors do not show it.
        let failed = |error: reqwest::Error| ServiceError(with_causes(&error.without_url()));
        let response = request.send().await.map_err(|error| {
            // The files of certificates may be new.
            self.kept().take();
            failed(error)
        })?;
        let status = response.status().as_u16();
        if http.accepted.contains(&status) {
            return Ok(());
        }
        let answer = response.text().await.unwrap_or_default();
        let answer: String = answer.chars().take(ANSWER_BYTES_MAX).collect();
        Err(ServiceError(format!("the service answered with status {status}: {}", answer.trim())))
    }

    fn client(&self, trust: &Trust) -> Result<Client, ServiceError> {
        if let Some((known, client)) = &*self.kept()
            && known == trust
        {
            return Ok(client.clone());
        }
        let config = trust.config().map_err(|error| ServiceError(error.to_string()))?;
        let client = Client::builder().use_preconfigured_tls(config).build();
        let client = client.map_err(|error| ServiceError(format!("no HTTP client could be made: {error}")))?;
        *self.kept() = Some((trust.clone(), client.clone()));
        Ok(client)
    }

    fn kept(&self) -> MutexGuard<'_, Option<(Trust, Client)>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn within(limit: Duration, sending: impl Future<Output = Result<(), ServiceError>>) -> Result<(), ServiceError> {
    let sent = tokio::time::timeout(limit, sending).await;
    sent.unwrap_or_else(|_| Err(ServiceError(format!("no answer within {limit:?}"))))
}

async fn send_line(line: &Line) -> Result<(), ServiceError> {
    let failed = |error: std::io::Error| ServiceError(format!("{}: {error}", line.address));
    let mut stream = TcpStream::connect(&line.address).await.map_err(failed)?;
    stream.write_all(line.line.as_bytes()).await.map_err(failed)?;
    stream.write_all(b"\n").await.map_err(failed)?;
    stream.shutdown().await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut answer).await.map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.trim() == line.answer {
        true => Ok(()),
        false => Err(ServiceError(format!("{} answered {:?}", line.address, answer.trim()))),
    }
}

async fn send_datagram(datagram: &Datagram) -> Result<(), ServiceError> {
    let address = &datagram.address;
    let failed = |error: std::io::Error| ServiceError(format!("{address}: {error}"));
    let to = tokio::net::lookup_host(address).await.map_err(failed)?.next();
    let to = to.ok_or_else(|| ServiceError(format!("{address}: no such host")))?;
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    let mut sent = Ok(0);
    for _ in 0..datagram.tries.max(1) {
        sent = socket.send_to(&datagram.bytes, to).await;
        if sent.is_ok() {
            break;
        }
    }
    sent.map(drop).map_err(failed)
}

async fn send_mail(mail: &Mail) -> Result<(), ServiceError> {
    /// The port on which mail servers speak TLS from the first byte.
    const IMPLICIT_TLS: u16 = 465;
    let mailbox = |address: &str| {
        let parsed = address.parse::<Mailbox>();
        parsed.map_err(|error| ServiceError(format!("invalid mail address {address:?}: {error}")))
    };
    let mut message = lettre::Message::builder().from(mailbox(&mail.from)?).subject(&mail.subject);
    for to in &mail.to {
        message = message.to(mailbox(to)?);
    }
    let message = message.header(ContentType::TEXT_HTML).body(mail.html.clone());
    let message = message.map_err(|error| ServiceError(format!("cannot make the mail: {error}")))?;
    let tls = TlsParameters::builder(mail.host.clone()).dangerous_accept_invalid_certs(mail.insecure).build();
    let tls = tls.map_err(|error| ServiceError(format!("no TLS: {error}")))?;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.host).port(mail.port);
    transport = match &mail.login {
        Some(_) if mail.port == IMPLICIT_TLS => transport.tls(Tls::Wrapper(tls)),
        _ => transport.tls(Tls::Opportunistic(tls)),
    };
    if let Some((user, password)) = mail.login.clone() {
        transport = transport.credentials(Credentials::new(user, password));
    }
    let sent = transport.build().send(message).await;
    sent.map(drop).map_err(|error| ServiceError(format!("{}:{}: {error}", mail.host, mail.port)))
}
