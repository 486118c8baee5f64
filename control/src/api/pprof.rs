//! `/debug/pprof/`: profiles of both processes, for `go tool pprof` (reference: http-api §23).

mod encode;

use axum::http::{HeaderValue, StatusCode, header};
use dataplane::{http::Query, profile};
use proto::{
    message::Refusal,
    profile::{Profile, ProfileKind},
};

use super::{
    Api,
    answer::{Answer, Content},
};
use crate::engine::EngineError;

/// Longest CPU profile, and the usual one, in seconds.
const SECONDS_MAX: u32 = 300;
const SECONDS: u32 = 30;

/// A profile by its name below `/debug/pprof/`.
pub async fn get(api: &Api, name: &str, query: Query<'_>) -> Answer {
    match name {
        "" => page(),
        "cmdline" => {
            let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
            text(StatusCode::OK, arguments.collect::<Vec<_>>().join("\0"))
        }
        // Profiles name their functions themselves.
        "symbol" => text(StatusCode::OK, "num_symbols: 0\n".to_owned()),
        "profile" => {
            let seconds = query.get("seconds").filter(|seconds| !seconds.is_empty());
            let seconds = seconds.map_or(Ok(SECONDS), |seconds| seconds.parse::<u32>());
            match seconds {
                Ok(seconds @ 1..=SECONDS_MAX) => taken(api, ProfileKind::Cpu { seconds }, query).await,
                _ => text(StatusCode::BAD_REQUEST, format!("seconds must be a number from 1 to {SECONDS_MAX}\n")),
            }
        }
        "heap" => taken(api, ProfileKind::Heap, query).await,
        name => {
            let message = format!("Unknown profile {name:?}: there are \"profile\" (CPU) and \"heap\" here\n");
            text(StatusCode::NOT_FOUND, message)
        }
    }
}

/// Of both processes at once, or of the one that the parameter `process` names.
async fn taken(api: &Api, kind: ProfileKind, query: Query<'_>) -> Answer {
    let process = query.get("process").unwrap_or_default();
    let (own, other) = match process.as_ref() {
        "" => (true, true),
        "control" => (true, false),
        "dataplane" => (false, true),
        other => {
            let message = format!("unknown process {other:?}: \"control\" or \"dataplane\"\n");
            return text(StatusCode::BAD_REQUEST, message);
        }
    };
    let own = async {
        if !own {
            return Ok(None);
        }
        match tokio::task::spawn_blocking(move || profile::take(kind)).await {
            Ok(taken) => taken.map(Some).map_err(|error| (StatusCode::CONFLICT, error.to_string())),
            Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    };
    let other = async {
        if !other {
            return Ok(None);
        }
        api.engine.profile(kind).await.map(Some).map_err(|error| match error {
            EngineError::Away => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            EngineError::Refused(Refusal::NoProfile(reason)) => (StatusCode::CONFLICT, reason),
            EngineError::Refused(refusal) => (StatusCode::INTERNAL_SERVER_ERROR, refusal.to_string()),
        })
    };
    let (own, other) = tokio::join!(own, other);
    let profiles = match (own, other) {
        (Ok(own), Ok(other)) => [("control", own), ("dataplane", other)],
        (Err((status, message)), _) | (_, Err((status, message))) => return text(status, message + "\n"),
    };
    let profiles: Vec<(&str, Profile)> =
        profiles.into_iter().filter_map(|(process, profile)| Some((process, profile?))).collect();
    let encoded = encode::encode(kind, &profiles, dataplane::clock::now());
    let name = if kind == ProfileKind::Heap { "heap" } else { "profile" };
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    Answer {
        status: StatusCode::OK,
        content: Content::Bytes(encoded),
        content_type: "application/octet-stream",
        headers: disposition.ok().map(|value| (header::CONTENT_DISPOSITION, value)).into_iter().collect(),
    }
}

fn text(status: StatusCode, text: String) -> Answer {
    Answer {
        status,
        content: Content::Bytes(text.into_bytes()),
        content_type: "text/plain; charset=utf-8",
        headers: Vec::new(),
    }
}

fn page() -> Answer {
    const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>/debug/pprof/</title></head><body>\n\
        <p>Profiles of both processes, for <code>go tool pprof URL</code>; <code>?process=control</code> or \
        <code>dataplane</code> looks at one.</p>\n<ul>\n\
        <li><a href=\"profile?seconds=30\">profile</a>: where CPU time goes</li>\n\
        <li><a href=\"heap\">heap</a>: who holds the memory that is in use</li>\n\
        <li><a href=\"cmdline\">cmdline</a>: how the control plane was started</li>\n</ul>\n</body></html>\n";
    Answer { content_type: "text/html; charset=utf-8", ..text(StatusCode::OK, PAGE.to_owned()) }
}
