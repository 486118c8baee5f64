//! `/tasks/ID/NAME`: the rows of an httpOut node (reference: http-api §14).

use axum::http::StatusCode;

use super::{Api, answer::Answer};
use crate::engine::EngineError;
use proto::message::Refusal;

/// The rows, if the path names an endpoint of a running task.
pub async fn get(api: &Api, path: &str) -> Option<Answer> {
    // An id holds no slash.
    let (id, endpoint) = path.split_once('/')?;
    let view = api.tasks.get(id).ok()?;
    let rows = match view.executing {
        true => api.engine.http_out(id, endpoint).await,
        // The live task's endpoint comes first; without one a replay's is seen.
        false => api.replays.http_out(id, endpoint).await?,
    };
    match rows {
        Ok(Some(rows)) => Some(Answer::raw_json(format!("{{\"series\":[{rows}]}}"))),
        Ok(None) => Some(Answer::raw_json("{\"series\":null}".to_owned())),
        Err(EngineError::Refused(refusal @ (Refusal::NotJson(_) | Refusal::TooLarge(_)))) => {
            Some(Answer::error(StatusCode::INTERNAL_SERVER_ERROR, &refusal.to_string()))
        }
        Err(EngineError::Away) => {
            let answer = Answer::error(StatusCode::SERVICE_UNAVAILABLE, &EngineError::Away.to_string());
            Some(answer.try_again())
        }
        Err(EngineError::Refused(_)) => None,
    }
}
