//! Bodies of requests as the original takes them (reference: http-api §1).

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::task::{BodyError, request_body};

/// A body as a `T` whose keys are in lower case.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    Ok(serde_json::from_value(Value::Object(request_body(body)?))?)
}
