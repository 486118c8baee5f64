//! Signatures of requests to AWS, version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).

use std::fmt::Write;

use ring::{digest, hmac};

/// Who signs, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

/// A request for the path `/` without a query.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Signed ones: names in lower case and in order, `host` and `x-amz-date` among them.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Signer<'_> {
    /// The header `Authorization`. `date` as in `x-amz-date`: `20150830T123600Z`.
    pub fn authorization(&self, request: &Request<'_>, date: &str) -> String {
        let Signer { access_key, region, service, .. } = self;
        let (day, _) = date.split_once('T').unwrap_or((date, ""));
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let canonical = digest::digest(&digest::SHA256, request.canonical(&names).as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(canonical.as_ref()));
        let signature = hmac::sign(&self.key(day), to_sign.as_bytes());
        let signature = hex(signature.as_ref());
        format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    /// The key of a day.
    fn key(&self, day: &str) -> hmac::Key {
        let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", self.secret_key).as_bytes());
        let parts = [day, self.region, self.service, "aws4_request"];
        parts
            .into_iter()
            .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()))
    }
}

impl Request<'_> {
    fn canonical(&self, names: &str) -> String {
        let mut text = format!("{}\n/\n\n", self.method);
        for (name, value) in self.headers {
            text.push_str(&format!("{name}:{}\n", value.trim()));
        }
        let body = digest::digest(&digest::SHA256, self.body);
        text.push_str(&format!("\n{names}\n{}", hex(body.as_ref())));
        text
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20150830T123600Z";

    /// Key and service of the test suite that AWS publishes (`aws-sig-v4-test-suite`).
    fn signer(service: &'static str) -> Signer<'static> {
        let (access_key, secret_key) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        Signer { access_key, secret_key, region: "us-east-1", service }
    }

    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let vanilla = [("host", "example.amazonaws.com"), ("x-amz-date", DATE)];
        let form = [("content-type", "application/x-www-form-urlencoded"), vanilla[0], vanilla[1]];
        for (method, headers, body, expected) in [
            ("GET", &vanilla[..], "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", &vanilla[..], "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            ("POST", &form[..], "Param1=value1", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ] {
            let request = Request { method, headers, body: body.as_bytes() };
            let header = signer("service").authorization(&request, DATE);
            let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
            let begins = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, ",
                names.join(";")
            );
            assert_eq!(header, format!("{begins}Signature={expected}"), "{method} {body}");
        }
    }
}
