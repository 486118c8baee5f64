//! `/users` (reference: http-api §28).

use axum::http::StatusCode;
use dataplane::http::Query;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Api,
    answer::Answer,
    body,
    listing::{Fields, Listing},
};
use crate::auth::{Permission, User, UserError, UserType};

const FIELDS: Fields =
    Fields { always: &["link", "name"], shown: &["link", "name", "type", "permissions"], asked: &[] };

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
    let elements = || {
        let listing = Listing::read(query, &FIELDS)?;
        let users = listing.page.of(api.auth.list(), |user| &user.name);
        users.iter().map(|user| listing.element(&object(user))).collect::<Result<Vec<_>, String>>()
    };
    match elements() {
        Ok(users) => Answer::json(&json!({ "users": users })),
        Err(message) => Answer::error(StatusCode::BAD_REQUEST, &message),
    }
}

pub fn get(api: &Api, name: &str) -> Answer {
    match api.auth.user(name) {
        Some(user) => Answer::json(&object(&user)),
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
        Ok(Ok(user)) => Answer::json(&object(&user)),
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

fn object(user: &User) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("link", json!({ "rel": "self", "href": format!("/kapacitor/v1/users/{}", user.name) }));
    put("name", json!(user.name));
    put("type", json!(user.kind));
    put("permissions", json!(user.permissions));
    object
}
