//! `/sideload/reload`: the files of all sideload nodes, read anew (reference: nodes-alert-join-io §7.3).

use axum::http::StatusCode;

use super::{Api, answer::Answer};

pub async fn reload(api: &Api) -> Answer {
    match api.tasks.reload_sideloads().await {
        Ok(()) => Answer::empty(),
        Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}
