//! A connection to a broker: one request after the other, each in the one version of it that is spoken here.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    error::{KafkaError, code_text},
    sasl::Credentials,
    settings::Settings,
    wire::{Answer, Fields},
};
use crate::tls::{self, Stream};

/// Longest answer that is read; that about a topic of many thousand partitions is shorter.
const ANSWER_BYTES_MAX: usize = 8 << 20;

const CLIENT_ID: &str = "farad";

/// A request's number and its version.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    name: &'static str,
    key: i16,
    version: i16,
}

pub const PRODUCE: Api = Api { name: "Produce", key: 0, version: 3 };
pub const METADATA: Api = Api { name: "Metadata", key: 3, version: 4 };
const SASL_HANDSHAKE: Api = Api { name: "SaslHandshake", key: 17, version: 1 };
const API_VERSIONS: Api = Api { name: "ApiVersions", key: 18, version: 0 };
const SASL_AUTHENTICATE: Api = Api { name: "SaslAuthenticate", key: 36, version: 0 };

pub struct Connection {
    address: String,
    stream: Box<dyn Stream>,
    /// Of the last request.
    correlation: i32,
    limit: Duration,
}

impl Connection {
    /// Connects to `HOST:PORT`, sees that the broker speaks what is needed, and says who this is.
    pub async fn open(address: &str, settings: &Settings) -> Result<Connection, KafkaError> {
        let limit = settings.timeout;
        let late = |_| KafkaError::Late { address: address.to_owned(), limit };
        let connected = timeout(limit, tls::connect(address, settings.tls.as_ref())).await.map_err(late)?;
        let stream = connected.map_err(|error| KafkaError::connect(address, &error))?;
        let mut connection = Connection { address: address.to_owned(), stream, correlation: 0, limit };
        connection.check_versions(settings.credentials.is_some()).await?;
        if let Some(credentials) = &settings.credentials {
            connection.authenticate(credentials).await?;
        }
        Ok(connection)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and reads its answer. After an error, and when this is dropped in the middle, the connection is of no
    /// further use.
    pub async fn call(&mut self, api: Api, request: Fields) -> Result<Vec<u8>, KafkaError> {
        let (limit, address) = (self.limit, self.address.clone());
        match timeout(limit, self.exchange(api, request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(KafkaError::Io { address, error: error.to_string() }),
            Err(_) => Err(KafkaError::Late { address, limit }),
        }
    }

    async fn exchange(&mut self, api: Api, request: Fields) -> std::io::Result<Vec<u8>> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = Fields::default().i16(api.key).i16(api.version).i32(self.correlation).text(CLIENT_ID);
        let framed = Fields::default().count(header.0.len() + request.0.len()).raw(&header.0).raw(&request.0);
        self.stream.write_all(&framed.0).await?;
        self.stream.flush().await?;
        let length = self.stream.read_i32().await?;
        let length = usize::try_from(length).ok().filter(|length| (4..=ANSWER_BYTES_MAX).contains(length));
        let length = length.ok_or_else(|| std::io::Error::other("the answer is none of a Kafka broker"))?;
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        let answers = answer.split_off(4);
        match answer == self.correlation.to_be_bytes() {
            true => Ok(answers),
            false => Err(std::io::Error::other("the answer is to another request")),
        }
    }

    async fn check_versions(&mut self, with_sasl: bool) -> Result<(), KafkaError> {
        let answer = self.call(API_VERSIONS, Fields::default()).await?;
        let mut answer = Answer(&answer);
        let read = || {
            let code = answer.i16()?;
            Ok((code, answer.list(|item| Ok((item.i16()?, item.i16()?, item.i16()?)))?))
        };
        let (code, spoken) = { read }().map_err(KafkaError::cut_short(&self.address))?;
        let odd = |error: String| KafkaError::Protocol { address: self.address.clone(), error };
        if code != 0 {
            return Err(odd(code_text(code)));
        }
        let sasl = [SASL_HANDSHAKE, SASL_AUTHENTICATE];
        for api in [PRODUCE, METADATA].iter().chain(sasl.iter().filter(|_| with_sasl)) {
            let Api { name, key, version } = api;
            match spoken.iter().find(|(known, ..)| known == key) {
                Some((_, min, max)) if (min..=max).contains(&version) => {}
                Some((_, min, max)) => {
                    return Err(odd(format!("the broker speaks {name} in versions {min} to {max}, not in {version}")));
                }
                None => return Err(odd(format!("the broker does not speak {name}"))),
            }
        }
        Ok(())
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<(), KafkaError> {
        let refused = |address: &str, error: String| KafkaError::Credentials { address: address.to_owned(), error };
        let mechanism = credentials.mechanism;
        let answer = self.call(SASL_HANDSHAKE, Fields::default().text(mechanism.name())).await?;
        let mut answer = Answer(&answer);
        let mut read = || Ok((answer.i16()?, answer.list(Answer::text)?));
        let (code, known) = read().map_err(KafkaError::cut_short(&self.address))?;
        if code != 0 {
            let error = format!("{}; it knows {}, not {}", code_text(code), known.join(", "), mechanism.name());
            return Err(refused(&self.address, error));
        }
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let Some(scram) = credentials.scram(&nonce) else {
            return self.token(&credentials.plain()).await.map(drop);
        };
        let challenge = self.token(&scram.first()).await?;
        let (last, expected) = scram.last(&challenge).map_err(|error| refused(&self.address, error))?;
        match self.token(&last).await? == expected {
            true => Ok(()),
            false => Err(refused(&self.address, "the broker does not know the password either".to_owned())),
        }
    }

    /// One message of a mechanism and the answer to it.
    async fn token(&mut self, token: &[u8]) -> Result<Vec<u8>, KafkaError> {
        let answer = self.call(SASL_AUTHENTICATE, Fields::default().bytes(token)).await?;
        let mut answer = Answer(&answer);
        let mut read = || Ok((answer.i16()?, answer.text()?, answer.bytes()?));
        let (code, message, token) = read().map_err(KafkaError::cut_short(&self.address))?;
        if code != 0 {
            let error = if message.is_empty() { code_text(code) } else { message };
            return Err(KafkaError::Credentials { address: self.address.clone(), error });
        }
        Ok(token.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::kafka::sasl::Mechanism;

    /// What comes of a peer that answers the first request with these bytes and is silent then.
    async fn opened(answer: &[u8]) -> KafkaError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let settings = Settings {
            cluster: "c".to_owned(),
            brokers: vec![address.clone()],
            timeout: Duration::from_millis(200),
            tls: None,
            credentials: None,
        };
        let peer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            stream
        };
        let (opened, _peer) = tokio::join!(Connection::open(&address, &settings), peer);
        opened.err().unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_is_no_broker_or_a_strange_one_is_told_of() {
        let answer = |fields: Fields| {
            let fields = Fields::default().i32(1).raw(&fields.0);
            Fields::default().bytes(&fields.0).0
        };
        let produce = |fields: Fields| fields.i16(PRODUCE.key).i16(9).i16(12);
        for (answer, says) in [
            (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "the answer is none of a Kafka broker"),
            (answer(Fields::default().i16(0).count(9)), "the answer is cut short"),
            (answer(Fields::default().i16(0).count(0)), "the broker does not speak Produce"),
            (
                answer(produce(Fields::default().i16(0).count(1))),
                "the broker speaks Produce in versions 9 to 12, not in 3",
            ),
            (answer(Fields::default().i16(35).count(0)), "UNSUPPORTED_VERSION"),
            (Fields::default().bytes(&[0; 8]).0, "the answer is to another request"),
            (Vec::new(), "no answer within 200ms"),
        ] {
            let error = opened(&answer).await.to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }

    /// A broker that lets in whoever proves to know `pencil`; whether it proves the same is `honest`.
    async fn scram_broker(listener: &TcpListener, honest: bool) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut expected = Vec::new();
        while let Ok(length) = stream.read_i32().await {
            let mut request = vec![0; length as usize];
            stream.read_exact(&mut request).await.unwrap();
            let mut request = Answer(&request);
            let (api, _version, correlation) = (request.i16().unwrap(), request.i16().unwrap(), request.i32().unwrap());
            request.text().unwrap();
            let answer = Fields::default().i32(correlation);
            let answer = match api {
                18 => [PRODUCE, METADATA, SASL_HANDSHAKE, SASL_AUTHENTICATE]
                    .iter()
                    .fold(answer.i16(0).count(4), |answer, api| answer.i16(api.key).i16(0).i16(9)),
                17 => {
                    assert_eq!(request.text().unwrap(), "SCRAM-SHA-512");
                    answer.i16(0).count(1).text("SCRAM-SHA-512")
                }
                36 => {
                    let token = request.bytes().unwrap();
                    let said = String::from_utf8_lossy(token).into_owned();
                    let reply = match said.strip_prefix("n,,n=user,r=") {
                        Some(nonce) => {
                            let challenge = format!("r={nonce}more,s=c2FsdA==,i=4096").into_bytes();
                            let known = credentials("pencil");
                            let (last, proof) = known.scram(nonce).unwrap().last(&challenge).unwrap();
                            expected = vec![last, if honest { proof } else { b"v=AAAA".to_vec() }];
                            challenge
                        }
                        None if expected[0] == token => expected[1].clone(),
                        None => Vec::new(),
                    };
                    match reply.is_empty() {
                        true => answer.i16(58).text("wrong password").bytes(b""),
                        false => answer.i16(0).no_text().bytes(&reply),
                    }
                }
                other => panic!("request {other}"),
            };
            stream.write_all(&Fields::default().bytes(&answer.0).0).await.unwrap();
        }
    }

    fn credentials(password: &str) -> Credentials {
        Credentials { mechanism: Mechanism::ScramSha512, user: "user".to_owned(), password: password.to_owned() }
    }

    #[tokio::test]
    async fn a_password_is_proved_by_both_sides() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        for (password, honest, says) in [
            ("pencil", true, ""),
            ("pen", true, "refuses the credentials: wrong password"),
            ("pencil", false, "the broker does not know the password either"),
        ] {
            let settings = Settings {
                cluster: "c".to_owned(),
                brokers: vec![address.clone()],
                timeout: Duration::from_secs(20),
                tls: None,
                credentials: Some(credentials(password)),
            };
            let opened = async { Connection::open(&address, &settings).await.err().map(|error| error.to_string()) };
            let (error, ()) = tokio::join!(opened, scram_broker(&listener, honest));
            let error = error.unwrap_or_default();
            assert!(error.ends_with(says) && error.is_empty() == says.is_empty(), "{says}: {error}");
        }
    }
}
