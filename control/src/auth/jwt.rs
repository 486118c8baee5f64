//! JSON Web Tokens (RFC 7519), signed with the shared secret.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::Value;

/// The user that a token names; the text says why a token does not count.
pub fn user(token: &str, secret: &str) -> Result<String, String> {
    let invalid = |reason: &str| format!("invalid token: {reason}");
    if secret.is_empty() {
        return Err(invalid("no shared-secret is configured"));
    }
    let header = decode_header(token).map_err(|error| match error.kind() {
        ErrorKind::Json(_) => invalid("unexpected signing method: none"),
        _ => invalid("token contains an invalid number of segments"),
    })?;
    if !matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err(invalid(&format!("unexpected signing method: {:?}", header.alg)));
    }
    let mut validation = Validation::new(header.alg);
    validation.leeway = 0;
    validation.required_spec_claims.clear();
    validation.validate_aud = false;
    validation.validate_nbf = true;
    // Below: a token of the time 0 lacks an expiration, it is not expired.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let claims = decode::<Value>(token, &key, &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => invalid("signature is invalid"),
        ErrorKind::ImmatureSignature => invalid("Token is not valid yet"),
        _ => invalid(&error.to_string()),
    })?;
    let claims = claims.claims;
    match claims.get("exp").and_then(Value::as_f64) {
        None | Some(0.0) => return Err("token expiration required".to_owned()),
        Some(expires) if jsonwebtoken::get_current_timestamp() as f64 > expires => {
            return Err(invalid("Token is expired"));
        }
        Some(_) => {}
    }
    match claims.get("username") {
        Some(Value::String(name)) if !name.is_empty() => Ok(name.clone()),
        Some(Value::String(_)) | None => Err("token must contain a username".to_owned()),
        Some(_) => Err("username in token must be a string".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    }

    #[test]
    fn a_token_counts_if_it_is_signed_and_not_expired() {
        let soon = 4_000_000_000_i64;
        let good = json!({ "username": "bob", "exp": soon });
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert_eq!(user(&token(algorithm, "s", &good), "s"), Ok("bob".to_owned()));
        }
        let refused = |claims: Value| user(&token(Algorithm::HS256, "s", &claims), "s").unwrap_err();
        assert_eq!(user(&token(Algorithm::HS256, "x", &good), "s").unwrap_err(), "invalid token: signature is invalid");
        for expired in [json!(1), json!(-1), json!(1.5)] {
            assert_eq!(refused(json!({ "username": "bob", "exp": expired })), "invalid token: Token is expired");
        }
        for none in [json!(null), json!(0), json!("2999-01-01")] {
            assert_eq!(refused(json!({ "username": "bob", "exp": none })), "token expiration required");
        }
        assert_eq!(refused(json!({ "username": "bob" })), "token expiration required");
        assert_eq!(refused(json!({ "exp": soon })), "token must contain a username");
        assert_eq!(refused(json!({ "exp": soon, "username": 1 })), "username in token must be a string");
        // {"alg":"none"} and no signature.
        let none = "eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6ImJvYiIsImV4cCI6NDAwMDAwMDAwMH0.";
        assert_eq!(user(none, "s").unwrap_err(), "invalid token: unexpected signing method: none");
        assert!(
            user("junk", "s").is_err()
                && user("", "s").is_err()
                && user(&token(Algorithm::HS256, "", &good), "").is_err()
        );
    }
}
