//! One line a request in the log (reference: http-api §22).

use std::{net::IpAddr, time::Duration};

use axum::http::{HeaderMap, HeaderName, StatusCode, header, request::Parts};
use dataplane::{
    http::{Credential, Query, credential},
    io::relay::CLIENT_HEADER,
    json,
};

use crate::{supervise::Peer, tick::dot::duration};

/// What the line says of a request before it is answered.
pub struct Line {
    host: String,
    user: String,
    start: String,
    method: String,
    uri: String,
    protocol: String,
    referer: String,
    user_agent: String,
}

impl Line {
    /// `start` is in nanoseconds since 1970.
    pub fn of(parts: &Parts, start: i64) -> Line {
        let text = |name: HeaderName| {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.filter(|value| !value.is_empty()).unwrap_or("-").to_owned()
        };
        let mut time = String::new();
        json::rfc3339(start, &mut time);
        Line {
            host: client(parts).map_or_else(|| "-".to_owned(), |address| address.to_string()),
            user: user(&parts.headers, parts.uri.query().unwrap_or_default()),
            start: time,
            method: parts.method.to_string(),
            uri: redacted(&parts.uri.to_string()),
            protocol: format!("{:?}", parts.version),
            referer: text(header::REFERER),
            user_agent: text(header::USER_AGENT),
        }
    }

    pub fn write(&self, status: StatusCode, request_id: &str, took: Duration) {
        tracing::info!(
            service = "http",
            host = self.host,
            username = self.user,
            start = self.start,
            method = self.method,
            uri = self.uri,
            protocol = self.protocol,
            status = status.as_u16(),
            referer = self.referer,
            user_agent = self.user_agent,
            request_id,
            duration = duration(took.as_nanos() as u64),
            "http request"
        );
    }
}

/// Who sent the request: the data plane says it of those that it relays, behind all that the client has said itself.
fn client(parts: &Parts) -> Option<IpAddr> {
    if let Some(Peer(address)) = parts.extensions.get() {
        return Some(address.ip());
    }
    parts.headers.get_all(CLIENT_HEADER).iter().next_back()?.to_str().ok()?.parse().ok()
}

fn user(headers: &HeaderMap, query: &str) -> String {
    let query = Query(query);
    if let Some(user) = query.get("u").filter(|user| !user.is_empty()) {
        return user.into_owned();
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match credential(authorization, Query("")) {
        Ok(Credential::Password { user, .. }) => user,
        Ok(Credential::Subscription(_)) => "~subscriber".to_owned(),
        _ => "-".to_owned(),
    }
}

/// The target with the value of the password parameter hidden.
fn redacted(uri: &str) -> String {
    let Some((path, query)) = uri.split_once('?') else { return uri.to_owned() };
    let pairs = query.split('&').map(|pair| if pair.starts_with("p=") { "p=%5BREDACTED%5D" } else { pair });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn passwords_are_not_logged() {
        assert_eq!(redacted("/write?u=a&p=secret&db=x"), "/write?u=a&p=%5BREDACTED%5D&db=x");
    }

    #[test]
    fn who_asks_is_named() {
        let request = Request::get("/x?u=eve&p=s")
            .header("authorization", "Basic YWxpY2U6c2VjcmV0")
            .header(CLIENT_HEADER, "6.6.6.6")
            .header(CLIENT_HEADER, "10.0.0.1");
        let line = Line::of(&request.body(()).unwrap().into_parts().0, 0);
        assert_eq!((&*line.host, &*line.user), ("10.0.0.1", "eve"));
        assert_eq!((&*line.referer, &*line.protocol, &*line.start), ("-", "HTTP/1.1", "1970-01-01T00:00:00Z"));
        let request = Request::get("/x").header("authorization", "Basic YWxpY2U6c2VjcmV0");
        let line = Line::of(&request.body(()).unwrap().into_parts().0, 0);
        assert_eq!((&*line.host, &*line.user), ("-", "alice"));
    }
}
