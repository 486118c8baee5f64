//! The root path for a browser: what runs here and where the API is.

use axum::http::{HeaderMap, StatusCode, header};

use super::{
    Api, VERSION,
    answer::{Answer, Content},
};

/// The page, for those who ask for HTML; to others the root is no resource.
pub fn get(api: &Api, headers: &HeaderMap) -> Answer {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepts.contains("text/html") {
        return Answer::not_found();
    }
    let scheme = if api.live.get().http.https_enabled { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost:9092");
    let uptime = std::time::Duration::from_secs(api.started.elapsed().as_secs());
    let (tasks, enabled) = api.tasks.counts();
    let values = [
        ("{version}", VERSION.to_owned()),
        ("{host}", api.server.hostname.clone()),
        ("{uptime}", crate::tick::dot::duration(uptime.as_nanos() as u64)),
        ("{tasks}", tasks.to_string()),
        ("{enabled}", enabled.to_string()),
        ("{url}", format!("{scheme}://{host}")),
    ];
    let mut page = include_str!("page.html").to_owned();
    for (place, value) in values {
        page = page.replace(place, &escaped(&value));
    }
    Answer {
        status: StatusCode::OK,
        content: Content::Bytes(page.into_bytes()),
        content_type: "text/html; charset=utf-8",
        headers: Vec::new(),
    }
}

/// Text that HTML shows as it is.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
