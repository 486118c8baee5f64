//! SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677).

use std::num::NonZeroU32;

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{digest, hmac, pbkdf2};

/// More rounds of hashing are not done for a broker.
const ROUNDS_MAX: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    #[default]
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    /// The one of a name as the configuration and brokers know it; the default one by the empty name.
    pub fn find(name: &str) -> Result<Mechanism, String> {
        match name {
            "" | "PLAIN" => Ok(Mechanism::Plain),
            "SCRAM-SHA-256" => Ok(Mechanism::ScramSha256),
            "SCRAM-SHA-512" => Ok(Mechanism::ScramSha512),
            "GSSAPI" | "OAUTHBEARER" => Err(format!(
                "sasl-mechanism {name} is not supported by this version, only PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are"
            )),
            _ => Err("invalid sasl-mechanism".to_owned()),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.mechanism.name(), self.user)
    }
}

impl Credentials {
    /// The only message of PLAIN.
    pub fn plain(&self) -> Vec<u8> {
        [b"", self.user.as_bytes(), self.password.as_bytes()].join(&0)
    }

    /// SCRAM, if that is the mechanism; `nonce` is a text that nobody has used before.
    pub fn scram(&self, nonce: &str) -> Option<Scram<'_>> {
        let (hash, digest, rounds) = match self.mechanism {
            Mechanism::Plain => return None,
            Mechanism::ScramSha256 => (hmac::HMAC_SHA256, &digest::SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
            Mechanism::ScramSha512 => (hmac::HMAC_SHA512, &digest::SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
        };
        let user = self.user.replace('=', "=3D").replace(',', "=2C");
        Some(Scram {
            first: format!("n={user},r={nonce}"),
            nonce: nonce.to_owned(),
            password: &self.password,
            hash,
            digest,
            rounds,
        })
    }
}

/// One conversation.
pub struct Scram<'a> {
    /// The client's first message without the header that says that no channel is bound.
    first: String,
    nonce: String,
    password: &'a str,
    hash: hmac::Algorithm,
    digest: &'static digest::Algorithm,
    rounds: pbkdf2::Algorithm,
}

impl Scram<'_> {
    pub fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.first).into_bytes()
    }

    /// What the client answers to the server's first message, and what the server's last one must then say.
    pub fn last(&self, server: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
        let server = std::str::from_utf8(server).map_err(|error| error.to_string())?;
        let field = |name: &str| server.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        if let Some(error) = field("e") {
            return Err(error.to_owned());
        }
        let odd = || format!("its SCRAM challenge is malformed: {server:?}");
        let nonce = field("r").filter(|nonce| nonce.starts_with(&self.nonce)).ok_or_else(odd)?;
        let salt = field("s").and_then(|salt| STANDARD.decode(salt).ok()).ok_or_else(odd)?;
        let rounds = field("i").and_then(|rounds| rounds.parse().ok()).ok_or_else(odd)?;
        if rounds > ROUNDS_MAX {
            return Err(format!("it asks for {rounds} rounds of hashing, {ROUNDS_MAX} are the most"));
        }
        let rounds = NonZeroU32::new(rounds).ok_or_else(odd)?;

        let mut salted = vec![0; self.digest.output_len()];
        pbkdf2::derive(self.rounds, rounds, &salt, self.password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(self.hash, key), text);
        let unproved = format!("c=biws,r={nonce}");
        let conversation = format!("{},{server},{unproved}", self.first);
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.digest, client_key.as_ref());
        let signature = sign(stored_key.as_ref(), conversation.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(one, other)| one ^ other).collect();
        let server_key = sign(&salted, b"Server Key");
        let expected = sign(server_key.as_ref(), conversation.as_bytes());
        Ok((
            format!("{unproved},p={}", STANDARD.encode(proof)).into_bytes(),
            format!("v={}", STANDARD.encode(expected)).into_bytes(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(mechanism: Mechanism) -> Credentials {
        Credentials { mechanism, user: "user".to_owned(), password: "pencil".to_owned() }
    }

    /// Of RFC 7677; the same of SHA-512 by Python's hashlib and hmac.
    #[test]
    fn scram_is_that_of_its_public_vector() {
        let of_256 = credentials(Mechanism::ScramSha256);
        let scram = of_256.scram("rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, expected) = scram.last(server.as_bytes()).unwrap();
        let last = String::from_utf8(last).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(expected, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let of_512 = credentials(Mechanism::ScramSha512);
        let (last, expected) = of_512.scram("rOprNGfwEbeRWgbNEkqO").unwrap().last(server.as_bytes()).unwrap();
        assert!(
            last.ends_with(
                b",p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="
            )
        );
        assert_eq!(
            expected,
            b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="
        );
    }

    #[test]
    fn a_challenge_that_is_not_one_is_refused() {
        let credentials = credentials(Mechanism::ScramSha512);
        let scram = credentials.scram("mine").unwrap();
        for (server, says) in [
            ("e=unknown-user", "unknown-user"),
            ("r=yours,s=W22Z,i=4096", "malformed"),
            ("r=mine1,s=W22Z,i=0", "malformed"),
            ("r=mine1,s=W22Z,i=2000000", "rounds"),
        ] {
            let error = scram.last(server.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{server}: {error}");
        }
    }

    #[test]
    fn plain_is_user_and_password_and_no_debug_output_shows_it() {
        let credentials = credentials(Mechanism::Plain);
        assert_eq!(credentials.plain(), b"\0user\0pencil");
        assert!(credentials.scram("n").is_none());
        assert_eq!(format!("{credentials:?}"), "PLAIN of user");
        assert_eq!(Mechanism::find("nope"), Err("invalid sasl-mechanism".to_owned()));
        assert!(Mechanism::find("GSSAPI").unwrap_err().contains("GSSAPI is not supported by this version"));
    }
}
