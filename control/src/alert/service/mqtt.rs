//! `mqtt`: a message to a topic of a broker (MQTT 3.1.1). Those that wait share a connection, which ends with the last.

use std::time::Duration;

use dataplane::trust::Trust;
use serde::{Deserialize, Deserializer, de::Error};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout_at},
};

use super::{Message, Occasion, Section, Service, ServiceError, Together, occasion::check_templates};
use crate::tls::{self, Stream};

/// Ports where the URL has none, plain and with TLS.
const DEFAULT_PORTS: [u16; 2] = [1_883, 8_883];

/// First bytes of packets (MQTT 3.1.1 §2.2).
mod packet {
    pub const CONNECT: u8 = 0x10;
    pub const CONNACK: u8 = 0x20;
    pub const PUBLISH: u8 = 0x30;
    pub const PUBACK: u8 = 0x40;
    pub const PUBREC: u8 = 0x50;
    pub const PUBREL: u8 = 0x62;
    pub const PUBCOMP: u8 = 0x70;
    pub const DISCONNECT: u8 = 0xe0;
}

/// Messages of a connection.
const TOGETHER: usize = 100;

/// Seconds; longer than any delivery may take, so that nothing needs to be kept alive.
const KEEP_ALIVE: u16 = 120;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Mqtt {
    broker_name: String,
    /// A template.
    topic: String,
    qos: Qos,
    retained: bool,
}

/// How often a message arrives: once, at the most or at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qos {
    #[default]
    AtMost,
    AtLeast,
    Exactly,
}

impl<'de> Deserialize<'de> for Qos {
    /// Scripts have numbers, handlers of topics words; one of them lacks a letter in the original.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match (value.as_i64(), value.as_str()) {
            (Some(0), _) | (_, Some("at-most-once" | "")) => Ok(Qos::AtMost),
            (Some(1), _) | (_, Some("at-least-once")) => Ok(Qos::AtLeast),
            (Some(2), _) | (_, Some("exactly-once" | "exactly-one")) => Ok(Qos::Exactly),
            _ => Err(D::Error::custom(format!("invalid qos {value}: must be 0, 1 or 2, or at-most-once and its like"))),
        }
    }
}

/// What is published, and where.
#[derive(Debug, PartialEq)]
pub struct Publication {
    pub broker: Broker,
    pub topic: String,
    pub payload: String,
    pub qos: Qos,
    pub retained: bool,
}

/// How a broker is reached.
#[derive(Debug, PartialEq)]
pub struct Broker {
    /// `HOST:PORT`.
    pub address: String,
    /// It is TLS.
    pub trust: Option<Trust>,
    pub client_id: String,
    pub login: Option<(String, String)>,
}

impl Service for Mqtt {
    fn element(&self) -> &str {
        &self.broker_name
    }

    fn check(&self) -> Result<(), String> {
        check_templates([self.topic.as_str()])
    }

    fn together(&self, _section: &Section<'_>) -> Together {
        Together { most: TOGETHER, wait: Duration::ZERO }
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let (address, with_tls) = address(section.text("url")).map_err(ServiceError)?;
        let client_id = section.or(section.text("client-id"), "name");
        let trust = with_tls.then(|| section.trust());
        Ok(Message::Publication(Publication {
            broker: Broker { address, trust, client_id: client_id.to_owned(), login: section.login() },
            topic: occasion.render(&self.topic)?,
            payload: occasion.event.message.clone(),
            qos: self.qos,
            retained: self.retained,
        }))
    }
}

/// Address of a broker's URL, and whether it speaks TLS there.
pub fn address(url: &str) -> Result<(String, bool), String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("tcp", url));
    let with_tls = match scheme {
        "tcp" | "mqtt" => false,
        "ssl" | "tls" | "tcps" | "mqtts" => true,
        other => return Err(format!("{url}: {other} is not supported by this version, only tcp and ssl are")),
    };
    let parsed = reqwest::Url::parse(&format!("mqtt://{rest}"));
    let parsed = parsed.map_err(|error| format!("invalid URL {url:?}: {error}"))?;
    let host = parsed.host_str().ok_or_else(|| format!("invalid URL {url:?}: no host"))?;
    let port = parsed.port().unwrap_or(DEFAULT_PORTS[usize::from(with_tls)]);
    Ok((format!("{host}:{port}"), with_tls))
}

/// Publishes messages of one broker within `limit`; gives what became of each. One that fails costs the others a new
/// connection.
pub async fn publish(publications: &[&Publication], limit: Duration) -> Vec<Result<(), ServiceError>> {
    let end = Instant::now() + limit;
    let late = || ServiceError(format!("no answer within {limit:?}"));
    let mut results = Vec::with_capacity(publications.len());
    while let [first, ..] = &publications[results.len()..] {
        let mut connection =
            match timeout_at(end, Connection::open(&first.broker)).await.unwrap_or_else(|_| Err(late())) {
                Ok(connection) => connection,
                Err(error) => {
                    results.resize(publications.len(), Err(error));
                    break;
                }
            };
        for publication in &publications[results.len()..] {
            let published = timeout_at(end, connection.publish(publication)).await.unwrap_or_else(|_| Err(late()));
            let failed = published.is_err();
            results.push(published);
            if failed {
                break;
            }
        }
        if let Err(error) = timeout_at(end, connection.close()).await.unwrap_or_else(|_| Err(late()))
            && let Some(last @ Ok(())) = results.last_mut()
        {
            *last = Err(error);
        }
    }
    results
}

struct Connection<'a> {
    broker: &'a Broker,
    stream: Box<dyn Stream>,
    /// Of the last message.
    id: u16,
}

impl Connection<'_> {
    async fn open(broker: &Broker) -> Result<Connection<'_>, ServiceError> {
        let address = &broker.address;
        let connected = tls::connect(address, broker.trust.as_ref()).await;
        let stream = connected.map_err(|error| ServiceError(format!("{address}: {error}")))?;
        let mut connection = Connection { broker, stream, id: 0 };
        connection.say(&connect_packet(broker)).await?;
        match connection.answer(packet::CONNACK).await? {
            [_, 0] => Ok(connection),
            [_, code] => Err(ServiceError(format!("{address} refuses the connection with code {code}"))),
        }
    }

    /// Waits for what the quality of service asks of the broker.
    async fn publish(&mut self, publication: &Publication) -> Result<(), ServiceError> {
        // Zero is no id.
        self.id = self.id.checked_add(1).unwrap_or(1);
        self.say(&publish_packet(publication, self.id)).await?;
        match publication.qos {
            Qos::AtMost => {}
            Qos::AtLeast => self.acknowledged(packet::PUBACK).await?,
            Qos::Exactly => {
                self.acknowledged(packet::PUBREC).await?;
                self.say(&framed(packet::PUBREL, &self.id.to_be_bytes())).await?;
                self.acknowledged(packet::PUBCOMP).await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ServiceError> {
        self.say(&framed(packet::DISCONNECT, &[])).await?;
        self.stream.shutdown().await.map_err(|error| self.failed(error))
    }

    async fn acknowledged(&mut self, kind: u8) -> Result<(), ServiceError> {
        match self.answer(kind).await? == self.id.to_be_bytes() {
            true => Ok(()),
            false => Err(self.failed(std::io::Error::other("the broker acknowledges another message"))),
        }
    }

    async fn say(&mut self, packet: &[u8]) -> Result<(), ServiceError> {
        self.stream.write_all(packet).await.map_err(|error| self.failed(error))
    }

    /// The two bytes of a packet of this kind, which alone may come now.
    async fn answer(&mut self, kind: u8) -> Result<[u8; 2], ServiceError> {
        let mut packet = [0; 4];
        self.stream.read_exact(&mut packet).await.map_err(|error| self.failed(error))?;
        match packet {
            [found, 2, one, two] if found == kind => Ok([one, two]),
            _ => {
                let error = format!("the broker answered with {packet:02x?} where {kind:#x} is due");
                Err(self.failed(std::io::Error::other(error)))
            }
        }
    }

    fn failed(&self, error: std::io::Error) -> ServiceError {
        ServiceError(format!("{}: {error}", self.broker.address))
    }
}

fn connect_packet(broker: &Broker) -> Vec<u8> {
    // A clean session, with user name and password where there are.
    let flags = if broker.login.is_some() { 0xc2 } else { 0x02 };
    let mut body = text("MQTT");
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE.to_be_bytes());
    body.extend(text(&broker.client_id));
    if let Some((user, password)) = &broker.login {
        body.extend(text(user));
        body.extend(text(password));
    }
    framed(packet::CONNECT, &body)
}

fn publish_packet(publication: &Publication, id: u16) -> Vec<u8> {
    let mut body = text(&publication.topic);
    if publication.qos != Qos::AtMost {
        body.extend(id.to_be_bytes());
    }
    body.extend(publication.payload.as_bytes());
    framed(packet::PUBLISH | (publication.qos as u8) << 1 | u8::from(publication.retained), &body)
}

/// Texts stand behind their length, which has two bytes: longer ones are cut.
fn text(text: &str) -> Vec<u8> {
    let text = super::occasion::cut(text, usize::from(u16::MAX));
    let mut out = (text.len() as u16).to_be_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

/// A packet: its first byte, the length of the rest in seven bits a byte, the rest.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let more = length >= 0x80;
        out.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    out.extend(body);
    out
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn publication(address: std::net::SocketAddr, qos: Qos) -> Publication {
        Publication {
            broker: Broker {
                address: address.to_string(),
                trust: None,
                client_id: "me".to_owned(),
                login: Some(("u".to_owned(), "p".to_owned())),
            },
            topic: "a/b".to_owned(),
            payload: "M".to_owned(),
            qos,
            retained: true,
        }
    }

    #[tokio::test]
    async fn a_broker_gets_a_message_by_the_rules_of_its_quality() {
        for (qos, answers, expected) in [
            (Qos::AtMost, vec![], &b"\x31\x06\0\x03a/bM\xe0\0"[..]),
            (Qos::AtLeast, vec![&b"\x40\x02\0\x01"[..]], b"\x33\x08\0\x03a/b\0\x01M\xe0\0"),
            (Qos::Exactly, vec![b"\x50\x02\0\x01", b"\x70\x02\0\x01"], b"\x35\x08\0\x03a/b\0\x01M\x62\x02\0\x01\xe0\0"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let publication = publication(listener.local_addr().unwrap(), qos);
            let broker = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 22];
                stream.read_exact(&mut hello).await.unwrap();
                assert_eq!(&hello, b"\x10\x14\0\x04MQTT\x04\xc2\0\x78\0\x02me\0\x01u\0\x01p");
                stream.write_all(&[b"\x20\x02\0\0".to_vec(), answers.concat()].concat()).await.unwrap();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.unwrap();
                rest
            };
            let one = [&publication];
            let (sent, received) = tokio::join!(publish(&one, LIMIT), broker);
            assert!(sent.iter().all(Result::is_ok), "{sent:?}");
            assert_eq!(received, expected, "{qos:?}");
        }
    }

    #[tokio::test]
    async fn a_broker_may_speak_tls() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tls/localhost.pem").to_owned();
        let acceptor = dataplane::io::tls::acceptor(own.as_ref(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut publication = publication(listener.local_addr().unwrap(), Qos::AtMost);
        publication.broker.address = format!("localhost:{}", listener.local_addr().unwrap().port());
        publication.broker.trust = Some(Trust { authorities: own, ..Trust::default() });
        let broker = async {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            stream.read_exact(&mut [0; 22]).await.unwrap();
            stream.write_all(b"\x20\x02\0\0").await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let one = [&publication];
        let (sent, received) = tokio::join!(publish(&one, LIMIT), broker);
        assert!(sent.iter().all(Result::is_ok), "{sent:?}");
        assert_eq!(received, b"\x31\x06\0\x03a/bM\xe0\0");
    }

    #[tokio::test]
    async fn a_broker_that_refuses_is_told_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let publication = publication(listener.local_addr().unwrap(), Qos::AtMost);
        let broker = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"\x20\x02\0\x05").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let both = [&publication; 2];
        let (sent, ()) = tokio::join!(publish(&both, LIMIT), broker);
        assert!(sent.len() == 2 && sent.iter().all(|sent| sent.clone().unwrap_err().to_string().contains("code 5")));
    }

    #[tokio::test]
    async fn messages_share_a_connection_until_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let publication = publication(listener.local_addr().unwrap(), Qos::AtLeast);
        let three = [&publication; 3];
        let broker = async {
            // The second acknowledgement is that of another message.
            for answers in [&b"\x20\x02\0\0\x40\x02\0\x01\x40\x02\0\x07"[..], b"\x20\x02\0\0\x40\x02\0\x01"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(answers).await.unwrap();
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        };
        let (sent, ()) = tokio::join!(publish(&three, LIMIT), broker);
        assert_eq!(sent.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{sent:?}");
    }

    #[test]
    fn lengths_take_seven_bits_a_byte_and_urls_have_a_port() {
        assert_eq!(framed(0x30, &[0; 321])[..3], [0x30, 0xc1, 0x02]);
        assert_eq!(address("tcp://h:1"), Ok(("h:1".to_owned(), false)));
        assert_eq!(address("mqtt://[::1]"), Ok(("[::1]:1883".to_owned(), false)));
        assert_eq!(address("ssl://h"), Ok(("h:8883".to_owned(), true)));
        assert!(address("ws://h").unwrap_err().contains("ws is not supported"));
    }
}
