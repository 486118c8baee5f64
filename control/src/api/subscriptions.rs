//! `/subscriptions`: subscriptions brought to what is configured, without waiting for their time (reference: http-api §24).

use axum::http::StatusCode;

use super::{Api, answer::Answer};

pub async fn sync(api: &Api) -> Answer {
    match api.subscriptions.sync_all(&api.clusters).await {
        Ok(()) => Answer::empty(),
        Err(error) => {
            Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed to link subscriptions: {error}"))
        }
    }
}
