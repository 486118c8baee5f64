//! `mqtt`: a message to a topic of a broker, over a connection of its own (MQTT 3.1.1).

use dataplane::trust::Trust;
use serde::{Deserialize, Deserializer, de::Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Message, Occasion, Section, Service, ServiceError, occasion::check_templates};
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

/// The only message of a connection.
const ID: [u8; 2] = [0, 1];

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
    /// `HOST:PORT`.
    pub address: String,
    /// It is TLS.
    pub trust: Option<Trust>,
    pub client_id: String,
    pub login: Option<(String, String)>,
    pub topic: String,
    pub payload: String,
    pub qos: Qos,
    pub retained: bool,
}

impl Service for Mqtt {
    fn element(&self) -> &str {
        &self.broker_name
    }

    fn check(&self) -> Result<(), String> {
        check_templates([self.topic.as_str()])
    }

    fn message(&self, section: &Section<'_>, occasion: &Occasion<'_>) -> Result<Message, ServiceError> {
        let (address, with_tls) = address(section.text("url")).map_err(ServiceError)?;
        let client_id = section.or(section.text("client-id"), "name");
        Ok(Message::Publication(Publication {
            address,
            trust: with_tls.then(|| section.trust()),
            client_id: client_id.to_owned(),
            login: section.login(),
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

/// Connects, publishes, waits for what the quality of service asks of the broker, and leaves.
pub async fn publish(publication: &Publication) -> Result<(), ServiceError> {
    let address = &publication.address;
    let failed = |error: std::io::Error| ServiceError(format!("{address}: {error}"));
    let connected = tls::connect(address, publication.trust.as_ref()).await;
    let mut stream = connected.map_err(|error| ServiceError(format!("{address}: {error}")))?;
    stream.write_all(&connect(publication)).await.map_err(failed)?;
    match answer(&mut *stream, packet::CONNACK).await.map_err(failed)? {
        [_, 0] => {}
        [_, code] => return Err(ServiceError(format!("{address} refuses the connection with code {code}"))),
    }
    stream.write_all(&publish_packet(publication)).await.map_err(failed)?;
    match publication.qos {
        Qos::AtMost => {}
        Qos::AtLeast => drop(answer(&mut *stream, packet::PUBACK).await.map_err(failed)?),
        Qos::Exactly => {
            answer(&mut *stream, packet::PUBREC).await.map_err(failed)?;
            stream.write_all(&framed(packet::PUBREL, &ID)).await.map_err(failed)?;
            answer(&mut *stream, packet::PUBCOMP).await.map_err(failed)?;
        }
    }
    stream.write_all(&framed(packet::DISCONNECT, &[])).await.map_err(failed)?;
    stream.shutdown().await.map_err(failed)
}

/// The two bytes of a packet of this kind, which alone may come now.
async fn answer(stream: &mut dyn Stream, kind: u8) -> std::io::Result<[u8; 2]> {
    let mut packet = [0; 4];
    stream.read_exact(&mut packet).await?;
    match packet {
        [found, 2, one, two] if found == kind => Ok([one, two]),
        _ => Err(std::io::Error::other(format!("the broker answered with {packet:02x?} where {kind:#x} is due"))),
    }
}

fn connect(publication: &Publication) -> Vec<u8> {
    // A clean session, with user name and password where there are.
    let flags = if publication.login.is_some() { 0xc2 } else { 0x02 };
    let mut body = text("MQTT");
    body.extend([4, flags]);
    body.extend(KEEP_ALIVE.to_be_bytes());
    body.extend(text(&publication.client_id));
    if let Some((user, password)) = &publication.login {
        body.extend(text(user));
        body.extend(text(password));
    }
    framed(packet::CONNECT, &body)
}

fn publish_packet(publication: &Publication) -> Vec<u8> {
    let mut body = text(&publication.topic);
    if publication.qos != Qos::AtMost {
        body.extend(ID);
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

    fn publication(address: std::net::SocketAddr, qos: Qos) -> Publication {
        Publication {
            address: address.to_string(),
            trust: None,
            client_id: "me".to_owned(),
            login: Some(("u".to_owned(), "p".to_owned())),
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
            let (sent, received) = tokio::join!(publish(&publication), broker);
            sent.unwrap();
            assert_eq!(received, expected, "{qos:?}");
        }
    }

    #[tokio::test]
    async fn a_broker_may_speak_tls() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tls/localhost.pem").to_owned();
        let acceptor = dataplane::io::tls::acceptor(own.as_ref(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut publication = publication(listener.local_addr().unwrap(), Qos::AtMost);
        publication.address = format!("localhost:{}", listener.local_addr().unwrap().port());
        publication.trust = Some(Trust { authorities: own, ..Trust::default() });
        let broker = async {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            stream.read_exact(&mut [0; 22]).await.unwrap();
            stream.write_all(b"\x20\x02\0\0").await.unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let (sent, received) = tokio::join!(publish(&publication), broker);
        sent.unwrap();
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
        let (sent, ()) = tokio::join!(publish(&publication), broker);
        assert!(sent.unwrap_err().to_string().contains("code 5"));
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
