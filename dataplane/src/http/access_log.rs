//! One line a request in the log (reference: http-api §22).

use super::{Credential, HEADERS_MAX, Query, credential};
use crate::{json, template::duration_text};

/// What the line says of a request before it is answered.
pub struct Line {
    pub host: String,
    pub user: String,
    pub start: String,
    pub method: String,
    pub uri: String,
    pub protocol: String,
    pub referer: String,
    pub user_agent: String,
}

impl Line {
    /// Of the bytes of a head that was read before; `start` is in nanoseconds since 1970.
    pub fn of_head(head: &[u8], host: String, start: i64) -> Line {
        let text = head.trim_ascii_start();
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        // What could not be read would not have got here.
        let _ = request.parse(text);
        let header = |name: &str| {
            let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.map(|header| String::from_utf8_lossy(header.value).into_owned()).filter(|value| !value.is_empty())
        };
        let target = request.path.unwrap_or_default();
        Line {
            host,
            user: user(header("authorization").as_deref(), target.split_once('?').map_or("", |(_, query)| query)),
            start: time(start),
            method: request.method.unwrap_or_default().to_owned(),
            uri: redacted(target),
            protocol: format!("HTTP/1.{}", request.version.unwrap_or(1)),
            referer: header("referer").unwrap_or_else(|| "-".to_owned()),
            user_agent: header("user-agent").unwrap_or_else(|| "-".to_owned()),
        }
    }

    pub fn write(&self, status: u16, request_id: &str, took: std::time::Duration) {
        tracing::info!(
            service = "http",
            host = self.host,
            username = self.user,
            start = self.start,
            method = self.method,
            uri = self.uri,
            protocol = self.protocol,
            status,
            referer = self.referer,
            user_agent = self.user_agent,
            request_id,
            duration = duration_text(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX)),
            "http request"
        );
    }
}

/// RFC 3339.
pub fn time(nanoseconds: i64) -> String {
    let mut time = String::new();
    json::rfc3339(nanoseconds, &mut time);
    time
}

/// Whose credentials a request carries.
pub fn user(authorization: Option<&str>, query: &str) -> String {
    if let Some(user) = Query(query).get("u").filter(|user| !user.is_empty()) {
        return user.into_owned();
    }
    match credential(authorization, Query("")) {
        Ok(Credential::Password { user, .. }) => user,
        Ok(Credential::Subscription(_)) => "~subscriber".to_owned(),
        _ => "-".to_owned(),
    }
}

/// The target with the value of the password parameter hidden.
pub fn redacted(uri: &str) -> String {
    let Some((path, query)) = uri.split_once('?') else { return uri.to_owned() };
    let pairs = query.split('&').map(|pair| if pair.starts_with("p=") { "p=%5BREDACTED%5D" } else { pair });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_logged() {
        assert_eq!(redacted("/write?u=a&p=secret&db=x"), "/write?u=a&p=%5BREDACTED%5D&db=x");
    }

    #[test]
    fn a_head_tells_who_asks_for_what() {
        let head = b"\r\nPOST /write?db=d HTTP/1.1\r\nHost: x\r\nUser-Agent: t/1\r\n\
            Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n";
        let line = Line::of_head(head, "10.0.0.1".into(), 0);
        assert_eq!((&*line.method, &*line.uri, &*line.protocol), ("POST", "/write?db=d", "HTTP/1.1"));
        assert_eq!((&*line.user, &*line.user_agent, &*line.referer), ("alice", "t/1", "-"));
        assert_eq!(line.start, "1970-01-01T00:00:00Z");
    }
}
