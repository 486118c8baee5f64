//! What the log says of a request that was answered here (reference: http-api §22).

use std::net::IpAddr;

use axum::http::{HeaderName, header, request::Parts};
pub use dataplane::http::access_log::Line;
use dataplane::{http::access_log, io::relay::CLIENT_HEADER};

use crate::supervise::Peer;

/// The line of a request that began at `start`, in nanoseconds since 1970.
pub fn line(parts: &Parts, start: i64) -> Line {
    let text = |name: HeaderName| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.filter(|value| !value.is_empty()).unwrap_or("-").to_owned()
    };
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    Line {
        host: client(parts).map_or_else(|| "-".to_owned(), |address| address.to_string()),
        user: access_log::user(authorization, parts.uri.query().unwrap_or_default()),
        start: access_log::time(start),
        method: parts.method.to_string(),
        uri: access_log::redacted(&parts.uri.to_string()),
        protocol: format!("{:?}", parts.version),
        referer: text(header::REFERER),
        user_agent: text(header::USER_AGENT),
    }
}

/// Who sent the request: the data plane says it of those that it relays, behind all that the client has said itself.
fn client(parts: &Parts) -> Option<IpAddr> {
    if let Some(Peer(address)) = parts.extensions.get() {
        return Some(address.ip());
    }
    parts.headers.get_all(CLIENT_HEADER).iter().next_back()?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn who_asks_is_named() {
        let request = Request::get("/x?u=eve&p=s")
            .header("authorization", "Basic YWxpY2U6c2VjcmV0")
            .header(CLIENT_HEADER, "6.6.6.6")
            .header(CLIENT_HEADER, "10.0.0.1");
        let line = line(&request.body(()).unwrap().into_parts().0, 0);
        assert_eq!((&*line.host, &*line.user), ("10.0.0.1", "eve"));
        assert_eq!((&*line.referer, &*line.protocol, &*line.start), ("-", "HTTP/1.1", "1970-01-01T00:00:00Z"));
        let request = Request::get("/x").header("authorization", "Basic YWxpY2U6c2VjcmV0");
        let line = super::line(&request.body(()).unwrap().into_parts().0, 0);
        assert_eq!((&*line.host, &*line.user), ("-", "alice"));
    }
}
