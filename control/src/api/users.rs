//! `/users` (reference: http-api §28).

use axum::http::StatusCode;
use dataplane::http::Query;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, answer::Answer, body, listing::Listing};
use crate::auth::{Permission, User, UserError, UserType};

const FIELDS: [&str; 4] = ["link", "name", "type", "permissions"];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    name: String,
    password: Option<String>,
    #[serde(rename = "type")]
    kind: Option<UserType>,
    permissions: Option<Vec<Permission>>,
}

pub fn list(api: &Api, query: Query<'_>) -> Answer {
    let listing = match Listing::read(query, &FIELDS, &FIELDS) {
        Ok(listing) => listing,
        Err(message) => return Answer::error(StatusCode::BAD_REQUEST, &message),
    };
    let users = api.auth.list().into_iter().filter(|user| listing.page.pattern.matches(&user.name));
    let limit = usize::try_from(listing.page.limit).unwrap_or(usize::MAX);
    let users: Vec<Value> = users.skip(listing.page.offset).take(limit).map(|user| user_json(&user)).collect();
    Answer::json(&json!({ "users": users }))
}

pub fn get(api: &Api, name: &str) -> Answer {
    match api.auth.user(name) {
        Some(user) => Answer::json(&user_json(&user)),
        None => refuse(&UserError::Unknown(name.to_owned())),
    }
}

pub async fn create(api: &Api, given: &[u8]) -> Answer {
    let Body { name, password, kind, permissions } = match read(given) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let auth = api.auth.clone();
    let (kind, permissions) = (kind.unwrap_or_default(), permissions.unwrap_or_default());
    let made =
        tokio::task::spawn_blocking(move || auth.create(&name, &password.unwrap_or_default(), kind, permissions)).await;
    finish(api, made.map_err(|error| error.to_string())).await
}

pub async fn change(api: &Api, name: &str, given: &[u8]) -> Answer {
    let Body { password, kind, permissions, .. } = match read(given) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let (auth, name) = (api.auth.clone(), name.to_owned());
    let changed = tokio::task::spawn_blocking(move || auth.change(&name, password.as_deref(), kind, permissions)).await;
    finish(api, changed.map_err(|error| error.to_string())).await
}

pub async fn delete(api: &Api, name: &str) -> Answer {
    let (auth, name) = (api.auth.clone(), name.to_owned());
    let deleted = tokio::task::spawn_blocking(move || auth.delete(&name)).await;
    tell(api).await;
    match deleted {
        Ok(Ok(())) => Answer::empty(),
        Ok(Err(error)) => refuse(&error),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn finish(api: &Api, done: Result<Result<User, UserError>, String>) -> Answer {
    tell(api).await;
    match done {
        Ok(Ok(user)) => Answer::json(&user_json(&user)),
        Ok(Err(error)) => refuse(&error),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

/// What the data plane remembers of credentials is void.
async fn tell(api: &Api) {
    let auth = api.auth.clone();
    api.engine.configure(move |settings| settings.users_generation = auth.generation()).await;
}

fn read(given: &[u8]) -> Result<Body, Answer> {
    body::read(given).map_err(|error| {
        let text = error.to_string();
        let message =
            if text.contains("variant") { format!("invalid permissions: {text}") } else { "invalid JSON".to_owned() };
        Answer::error(StatusCode::BAD_REQUEST, &message)
    })
}

fn refuse(error: &UserError) -> Answer {
    let status = match error {
        UserError::Invalid(_) => StatusCode::BAD_REQUEST,
        UserError::Unknown(_) => StatusCode::NOT_FOUND,
        UserError::Exists | UserError::Store(_) | UserError::Hash(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Answer::error(status, &error.to_string())
}

fn user_json(user: &User) -> Value {
    json!({
        "link": { "rel": "self", "href": format!("/kapacitor/v1/users/{}", user.name) },
        "name": user.name,
        "type": user.kind,
        "permissions": user.permissions,
    })
}
