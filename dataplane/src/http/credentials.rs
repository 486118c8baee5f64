//! The credentials that a request carries (reference: http-api §4).

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Query;

/// User of subscriptions, whose password is a token.
const SUBSCRIBER: &str = "~subscriber";

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    Password {
        user: String,
        password: String,
    },
    /// A JSON Web Token.
    Bearer(String),
    /// The token of a subscription of InfluxDB.
    Subscription(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("unable to parse authentication credentials")]
    Unparsable,
    #[error("username required")]
    NoUser,
}

/// The first of header and query that can be used: a bearer token, basic authentication, `u` and `p`.
pub fn credential(authorization: Option<&str>, query: Query<'_>) -> Result<Credential, CredentialError> {
    match authorization.and_then(|value| value.split_once(' ')) {
        Some(("Bearer", token)) => return Ok(Credential::Bearer(token.to_owned())),
        Some(("Basic", encoded)) => {
            let decoded = BASE64_STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
                return match user {
                    "" => Err(CredentialError::NoUser),
                    SUBSCRIBER => Ok(Credential::Subscription(password.to_owned())),
                    user => Ok(Credential::Password { user: user.to_owned(), password: password.to_owned() }),
                };
            }
        }
        _ => {}
    }
    let parameter = |name| query.get(name).filter(|value| !value.is_empty());
    match (parameter("u"), parameter("p")) {
        (Some(user), Some(password)) if user == SUBSCRIBER => Ok(Credential::Subscription(password.into_owned())),
        (Some(user), Some(password)) => {
            Ok(Credential::Password { user: user.into_owned(), password: password.into_owned() })
        }
        _ => Err(CredentialError::Unparsable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_can_be_used_counts() {
        let read = |header: Option<&str>, query: &str| credential(header, Query(query));
        let password = |user: &str, password: &str| {
            Ok(Credential::Password { user: user.to_owned(), password: password.to_owned() })
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert!(read(Some(&basic("a:b:c")), "u=x&p=y") == password("a", "b:c"));
        assert!(read(None, "u=x&p=y") == password("x", "y"));
        assert!(read(Some("Token a:b"), "u=x&p=y") == password("x", "y"));
        assert!(read(Some("Basic ???"), "") == Err(CredentialError::Unparsable));
        assert!(read(Some(&basic(":b")), "") == Err(CredentialError::NoUser));
        assert!(read(Some("Bearer t.o k"), "") == Ok(Credential::Bearer("t.o k".into())));
        assert!(read(Some(&basic("~subscriber:t")), "") == Ok(Credential::Subscription("t".into())));
        assert!(read(None, "u=x&p=") == Err(CredentialError::Unparsable) && read(None, "").is_err());
    }
}
