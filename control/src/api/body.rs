//! Bodies of requests as the original takes them (reference: http-api §1).

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The first JSON value of a body as a `T` whose keys are in lower case. Keys count in any case, `null` is absent, what
/// follows the value is ignored; a body of `null` is an empty object.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let value = match crate::task::request_body(body)? {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.to_lowercase(), value))
                .collect(),
        ),
        Value::Null => Value::Object(Default::default()),
        // Lists would be read as fields in their order.
        _ => return Err(serde::de::Error::custom("expected an object")),
    };
    serde_json::from_value(value)
}
