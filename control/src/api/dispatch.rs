//! Which resource answers a request (reference: http-api §1, §2).

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header},
};
use dataplane::{
    clock,
    http::{self, Query},
};
use percent_encoding::percent_decode_str;

use super::{
    Api, BASE, BODY_BYTES_MAX, PREVIEW, VERSION, access, access_log,
    answer::{Answer, Content},
    config, debug, http_out, limits, logs, metrics, page, pprof, recordings, replays,
    routes::{self, METHODS},
    service_tests, sideload, storage, subscriptions, tasks, templates, topics, users,
};

/// Profiles are below it.
const PPROF: &str = "/debug/pprof/";

pub async fn dispatch(State(api): State<Api>, request: Request) -> Response<Body> {
    let started = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let line = api.log_requests.then(|| access_log::line(&parts, clock::now()));
    let method = parts.method.clone();
    let id = request_id();
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let mut response = if let Some(clean) = unclean(parts.uri.path()) {
        return moved(&clean, parts.uri.query());
    } else if method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    } else if !METHODS.contains(&method.as_str()) {
        // No part of the API: none of its headers either.
        return Answer { content_type: "text/plain; charset=utf-8", ..Answer::not_found() }.into_response();
    } else {
        let answer = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
            Ok(body) => route(&api, &method, &parts.uri, &parts.headers, &body).await,
            Err(_) => {
                let message = format!("a body has {BODY_BYTES_MAX} bytes at most");
                Answer::error(StatusCode::PAYLOAD_TOO_LARGE, &message)
            }
        };
        api.latency.record(started.elapsed());
        let mut response = packed(answer, &parts.headers);
        response.headers_mut().insert("x-kapacitor-version", HeaderValue::from_static(VERSION));
        response
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    if let Some(origin) = origin {
        allow(response.headers_mut(), origin);
    }
    if let Some(line) = line {
        line.write(response.status().as_u16(), &id, started.elapsed());
    }
    response
}

async fn route(api: &Api, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Answer {
    let query = Query(uri.query().unwrap_or_default());
    let decoded = percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    let below =
        decoded.strip_prefix(PREVIEW).or_else(|| decoded.strip_prefix(BASE)).filter(|rest| rest.starts_with('/'));
    if let Some(refusal) = access::check(api, method, below.unwrap_or(&decoded), headers, query).await {
        return refusal;
    }
    let path = match decoded.strip_prefix(PREVIEW) {
        Some("/logs") if method == Method::GET => return logs::follow(api, headers, query),
        Some(rest) if rest.starts_with('/') => rest,
        _ => match decoded.strip_prefix(BASE) {
            Some(rest) if rest.starts_with('/') => rest,
            _ if decoded == "/write" => "/write",
            _ if decoded == "/" && method == Method::GET => return page::get(api, headers),
            _ if decoded == "/metrics" && method == Method::GET => return metrics::get(api).await,
            _ => return Answer::not_found(),
        },
    };
    let Some((pattern, rest)) = routes::find(method.as_str(), path) else { return Answer::not_found() };
    match (method.as_str(), pattern) {
        (_, "/ping") => Answer::empty(),
        // Writes belong to the data plane: one that arrives here finds it away.
        (_, "/write") => {
            let message = "the data plane is restarting, try again";
            Answer::write_error(StatusCode::SERVICE_UNAVAILABLE, message).try_again()
        }
        ("GET", "/tasks") => tasks::list(api, query).await,
        ("POST", "/tasks") => tasks::define(api, query, body).await,
        ("GET", "/templates") => templates::list(api, query),
        ("POST", "/templates") => templates::define(api, query, body).await,
        (_, "/templates/") if rest.is_empty() => {
            Answer::error(StatusCode::BAD_REQUEST, "must specify template id on path")
        }
        ("GET", "/templates/") => templates::get(api, rest, query),
        ("PATCH", "/templates/") => templates::change(api, rest, query, body).await,
        ("DELETE", "/templates/") => templates::delete(api, rest).await,
        (_, "/tasks/") if rest.is_empty() => Answer::error(StatusCode::BAD_REQUEST, "must specify task id on path"),
        ("GET", "/tasks/") => match http_out::get(api, rest).await {
            Some(answer) => answer,
            None => tasks::get(api, rest, query).await,
        },
        ("PATCH", "/tasks/") => tasks::change(api, rest, query, body).await,
        ("DELETE", "/tasks/") => tasks::delete(api, rest).await,
        (method, pattern) if pattern.starts_with("/recordings") => {
            recordings::answer(api, method, &path["/recordings".len()..], query, body).await
        }
        (method, pattern) if pattern.starts_with("/replays") => {
            replays::answer(api, method, &path["/replays".len()..], query, body).await
        }
        (_, "/alerts/topics") => topics::list(api, &target(uri), query),
        ("GET", "/alerts/topics/") => topics::get(api, rest, &target(uri), query),
        ("POST", "/alerts/topics/") => topics::create(api, rest, body).await,
        ("PUT", "/alerts/topics/") => topics::replace(api, rest, body).await,
        ("PATCH", "/alerts/topics/") => topics::patch(api, rest, body).await,
        ("DELETE", "/alerts/topics/") => topics::delete(api, rest).await,
        (_, "/config") => config::all(api),
        ("GET", "/config/") => config::get(api, rest),
        ("POST", "/config/") => config::change(api, rest, body).await,
        (_, "/service-tests") => service_tests::list(api, query),
        ("GET", "/service-tests/") => service_tests::get(rest),
        ("POST", "/service-tests/") => service_tests::run(api, rest, body).await,
        (_, "/storage/stores") => storage::stores(),
        (_, "/storage/backup") => storage::backup(api).await,
        (_, "/storage/") => storage::act(api, rest, body).await,
        ("GET", "/users") => users::list(api, query),
        ("POST", "/users") => users::create(api, body).await,
        (_, "/users/") if rest.is_empty() => Answer::error(StatusCode::BAD_REQUEST, "must specify user name on path"),
        ("GET", "/users/") => users::get(api, rest),
        ("PATCH", "/users/") => users::change(api, rest, body).await,
        ("DELETE", "/users/") => users::delete(api, rest).await,
        // Whoever may not write is refused before.
        (_, "/authorize") => Answer::empty(),
        (_, "/loglevel") => debug::log_level(api, body).await,
        (_, "/subscriptions") => subscriptions::sync(api).await,
        (_, "/sideload/reload") => sideload::reload(api).await,
        (_, "/debug/limits") => limits::get(api).await,
        (_, "/debug/vars") => debug::vars(api).await,
        (_, pattern) if pattern.starts_with(PPROF) => {
            pprof::get(api, path.get(PPROF.len()..).unwrap_or_default(), query).await
        }
        (_, "/:routes") => debug::routes(api),
        _ => Answer::not_found(),
    }
}

/// Path and query of a request below [`BASE`], whichever name of it was asked for.
fn target(uri: &Uri) -> String {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    target.strip_prefix(PREVIEW).map_or_else(|| target.to_owned(), |rest| format!("{BASE}{rest}"))
}

/// The cleaned path, if the path is not clean.
fn unclean(path: &str) -> Option<String> {
    let dirty =
        path.split('/').skip(1).enumerate().any(|(index, part)| {
            part == "." || part == ".." || part.is_empty() && index + 1 < path.matches('/').count()
        });
    if !dirty || path == "*" {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", parts.join("/")))
}

fn moved(path: &str, query: Option<&str>) -> Response<Body> {
    let location = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let page = format!("<a href=\"{}\">Moved Permanently</a>.\n\n", page::escaped(&location));
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The answer, packed if the request accepts it: whenever the word stands in its header.
fn packed(mut answer: Answer, headers: &HeaderMap) -> Response<Body> {
    let accepts = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
    let Content::Bytes(plain) = &answer.content else { return answer.into_response() };
    if !accepts {
        return answer.into_response();
    }
    if !plain.is_empty() {
        answer.content = Content::Bytes(http::packed(plain));
    }
    let mut response = answer.into_response();
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("DELETE, GET, OPTIONS, POST, PATCH"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Accept, Accept-Encoding, Authorization, Content-Length, Content-Type, X-CSRF-Token, X-HTTP-Method-Override",
        ),
    );
}

fn request_id() -> String {
    uuid::Uuid::now_v1(&[2, 0, 0, 0, 0, 1]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unclean_paths_are_cleaned() {
        assert_eq!(unclean("/a//b/./c/../d/"), Some("/a/b/d/".into()));
        assert_eq!(unclean("//x"), Some("/x".into()));
        assert_eq!((unclean("/a/b"), unclean("/a/b/"), unclean("/")), (None, None, None));
    }

    #[test]
    fn both_bases_are_one_place() {
        let target = |uri: &'static str| target(&Uri::from_static(uri));
        assert_eq!(target("/kapacitor/v1preview/alerts/topics?pattern=*"), "/kapacitor/v1/alerts/topics?pattern=*");
        assert_eq!(target("http://host/kapacitor/v1/alerts/topics"), "/kapacitor/v1/alerts/topics");
    }
}
