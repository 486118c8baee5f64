//! Whether a request may be served (reference: http-api §4).

use axum::http::{HeaderMap, Method, StatusCode, header};
use dataplane::http::{Query, credential};
use serde_json::json;

use super::{
    Api,
    answer::{Answer, compact},
};
use crate::auth::{Action, AuthError};

/// The refusal of a request that lacks credentials or a permission; `None` if it may be served. `path` is below the
/// base, or the whole path where it is not.
pub async fn check(api: &Api, method: &Method, path: &str, headers: &HeaderMap, query: Query<'_>) -> Option<Answer> {
    if !api.auth.enabled() {
        return None;
    }
    if api.live.get().http.pprof_enabled && path.starts_with("/debug/") {
        return None;
    }
    if path == "/users" && method == Method::POST && api.auth.needs_admin() {
        return None;
    }
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match credential(authorization, query) {
        Ok(credential) => credential,
        Err(error) => return Some(unauthorized(&error.into())),
    };
    let auth = api.auth.clone();
    // Passwords are slow to check on purpose.
    let checked = tokio::task::spawn_blocking(move || auth.authenticate(&credential)).await;
    let principal = match checked {
        Ok(Ok(principal)) => principal,
        Ok(Err(error)) => return Some(unauthorized(&error)),
        Err(error) => return Some(Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())),
    };
    let action = action(path);
    if principal.may(action) {
        return None;
    }
    let user = &principal.name;
    if action == Action::Write {
        let database = query.get("db").unwrap_or_default();
        let message = format!("{user:?} user is not authorized to write to database {database:?}");
        return Some(Answer::write_error(StatusCode::UNAUTHORIZED, &message));
    }
    let privilege = match *method {
        Method::GET | Method::HEAD => "read",
        Method::DELETE => "delete",
        _ => "write",
    };
    let message = format!("user {user} does not have {privilege:?} privilege for API endpoint \"/kapacitor/v1{path}\"");
    Some(short(StatusCode::FORBIDDEN, &message))
}

fn action(path: &str) -> Action {
    let below = |base: &str| path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'));
    match path {
        "/ping" => Action::Ping,
        "/write" | "/authorize" => Action::Write,
        _ if below("/config") => Action::ConfigApi,
        _ if below("/users") => Action::Users,
        _ => Action::Api,
    }
}

fn unauthorized(error: &AuthError) -> Answer {
    short(StatusCode::UNAUTHORIZED, &error.to_string())
}

/// Refusals are on one line.
fn short(status: StatusCode, message: &str) -> Answer {
    Answer { status, ..Answer::raw_json(compact(&json!({ "error": message }))) }
}
