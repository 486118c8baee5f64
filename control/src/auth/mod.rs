//! Who may do what (reference: http-api §4, §28).
//!
//! Off unless `[http] auth-enabled`. Then a request needs a user of the store with its password, a JWT signed with the
//! shared secret, or the token of this server's subscriptions. The original accepts any password where it has no user
//! store; here a password counts only if it is that of a user.

mod jwt;

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dataplane::http::{Credential, CredentialError};
use serde::{Deserialize, Serialize};

use crate::{
    config::Live,
    store::{StoreError, UserTable},
};

/// Verified passwords that are kept, so that not every request costs a bcrypt. Full: all are forgotten.
pub const CACHE_MAX: usize = 10_000;

/// What a user may do besides reading their own ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    None,
    Api,
    ConfigApi,
    WritePoints,
    All,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserType {
    #[default]
    Normal,
    /// May do everything.
    Admin,
}

/// A user of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: UserType,
    pub permissions: Vec<Permission>,
    /// bcrypt.
    pub hash: String,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing that needs a permission.
    Ping,
    Api,
    ConfigApi,
    /// The users themselves.
    Users,
    Write,
}

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("authorization failed")]
    Refused,
    #[error("{0}")]
    Token(String),
}

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("{0}")]
    Invalid(String),
    #[error("failed to create user: user already exists")]
    Exists,
    #[error("unknown user: {0:?}")]
    Unknown(String),
    #[error("failed to keep the user: {0}")]
    Store(#[from] StoreError),
    #[error("failed to create user: {0}")]
    Hash(#[from] bcrypt::BcryptError),
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: String,
    permissions: Vec<Permission>,
}

/// Users and tokens; cheap to clone.
#[derive(Clone)]
pub struct Auth {
    shared: Arc<Shared>,
}

struct Shared {
    live: Live,
    table: UserTable,
    users: Mutex<HashMap<String, User>>,
    /// Hash of user and password, and until when it is known to be right.
    verified: Mutex<HashMap<u64, Instant>>,
    hasher: RandomState,
    /// Changes with the users.
    generation: AtomicU64,
    subscription_token: String,
}

impl Principal {
    fn admin(name: &str) -> Principal {
        Principal { name: name.to_owned(), permissions: vec![Permission::All] }
    }

    pub fn may(&self, action: Action) -> bool {
        let has = |permission| self.permissions.contains(&Permission::All) || self.permissions.contains(&permission);
        match action {
            Action::Ping => true,
            Action::Api => has(Permission::Api),
            Action::ConfigApi => has(Permission::ConfigApi),
            Action::Users => has(Permission::All),
            Action::Write => has(Permission::WritePoints),
        }
    }
}

impl Auth {
    pub fn open(live: Live, table: UserTable) -> Result<Auth, StoreError> {
        let users = table.all()?.into_iter().map(|user| (user.name.clone(), user)).collect();
        let subscription_token = table.subscription_token()?;
        let shared = Shared {
            live,
            table,
            users: Mutex::new(users),
            verified: Mutex::default(),
            hasher: RandomState::new(),
            generation: AtomicU64::new(1),
            subscription_token,
        };
        Ok(Auth { shared: Arc::new(shared) })
    }

    pub fn enabled(&self) -> bool {
        self.shared.live.get().http.auth_enabled
    }

    /// The token that subscriptions of this server write with, as user `~subscriber`.
    pub fn subscription_token(&self) -> &str {
        &self.shared.subscription_token
    }

    /// Number of the users' state: another one after each change.
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Relaxed)
    }

    /// Whose credentials these are. Waits for the processor: bcrypt is slow on purpose.
    pub fn authenticate(&self, credential: &Credential) -> Result<Principal, AuthError> {
        match credential {
            Credential::Subscription(token) => match same(token, &self.shared.subscription_token) {
                true => Ok(Principal { name: "~subscriber".to_owned(), permissions: vec![Permission::WritePoints] }),
                false => Err(AuthError::Refused),
            },
            Credential::Bearer(token) => {
                let config = self.shared.live.get();
                let name = jwt::user(token, &config.http.shared_secret).map_err(AuthError::Token)?;
                // A token of a user of the store is that user's; any other is an administrator's, as in the original.
                Ok(self.user(&name).map_or_else(|| Principal::admin(&name), |user| principal(&user)))
            }
            Credential::Password { user, password } => {
                let user = self.user(user).ok_or(AuthError::Refused)?;
                let key = self.shared.hasher.hash_one((&user.name, password, &user.hash));
                let mut verified = self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner);
                if verified.get(&key).is_some_and(|until| Instant::now() < *until) {
                    return Ok(principal(&user));
                }
                drop(verified);
                if !bcrypt::verify(password, &user.hash).unwrap_or(false) {
                    return Err(AuthError::Refused);
                }
                verified = self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner);
                if verified.len() >= CACHE_MAX {
                    verified.clear();
                }
                let age: Duration = self.shared.live.get().auth.cache_expiration.0;
                verified.insert(key, Instant::now() + age);
                Ok(principal(&user))
            }
        }
    }

    pub fn user(&self, name: &str) -> Option<User> {
        self.users().get(name).cloned()
    }

    /// All users, by name.
    pub fn list(&self) -> Vec<User> {
        let mut users: Vec<User> = self.users().values().cloned().collect();
        users.sort_by(|one, other| one.name.cmp(&other.name));
        users
    }

    /// Whether there is nobody yet who could make users: the first administrator needs no credentials.
    pub fn needs_admin(&self) -> bool {
        !self.users().values().any(|user| principal(user).may(Action::Users))
    }

    /// Makes a user. Waits for processor and disk.
    pub fn create(
        &self,
        name: &str,
        password: &str,
        kind: UserType,
        permissions: Vec<Permission>,
    ) -> Result<User, UserError> {
        check_name(name)?;
        if password.is_empty() {
            return Err(UserError::Invalid("password is required".to_owned()));
        }
        let hash = self.hash(password)?;
        let mut users = self.users();
        if users.contains_key(name) {
            return Err(UserError::Exists);
        }
        let user = User { name: name.to_owned(), kind, permissions, hash };
        self.shared.table.put(&user)?;
        users.insert(user.name.clone(), user.clone());
        self.changed();
        Ok(user)
    }

    /// Changes what is given of a user. Waits for processor and disk.
    pub fn change(
        &self,
        name: &str,
        password: Option<&str>,
        kind: Option<UserType>,
        permissions: Option<Vec<Permission>>,
    ) -> Result<User, UserError> {
        let hash = password.filter(|password| !password.is_empty()).map(|password| self.hash(password)).transpose()?;
        let mut users = self.users();
        let Some(user) = users.get_mut(name) else { return Err(UserError::Unknown(name.to_owned())) };
        let mut next = user.clone();
        next.hash = hash.unwrap_or(next.hash);
        next.kind = kind.unwrap_or(next.kind);
        next.permissions = permissions.unwrap_or(next.permissions);
        self.shared.table.put(&next)?;
        user.clone_from(&next);
        self.changed();
        Ok(next)
    }

    /// Removes a user; one that is not there is removed already. Waits for the disk.
    pub fn delete(&self, name: &str) -> Result<(), UserError> {
        let mut users = self.users();
        self.shared.table.delete(name)?;
        users.remove(name);
        self.changed();
        Ok(())
    }

    fn hash(&self, password: &str) -> Result<String, UserError> {
        Ok(bcrypt::hash(password, self.shared.live.get().auth.bcrypt_cost)?)
    }

    fn changed(&self) {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
        self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn users(&self) -> std::sync::MutexGuard<'_, HashMap<String, User>> {
        self.shared.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn principal(user: &User) -> Principal {
    match user.kind {
        UserType::Admin => Principal::admin(&user.name),
        UserType::Normal => Principal { name: user.name.clone(), permissions: user.permissions.clone() },
    }
}

fn check_name(name: &str) -> Result<(), UserError> {
    if name.is_empty() {
        return Err(UserError::Invalid("username is required".to_owned()));
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '@' | '_');
    if name.len() > 500 || !name.chars().all(allowed) {
        return Err(UserError::Invalid(format!(
            "username must contain only letters, numbers, '-', '.', '@' and '_'. {name:?}"
        )));
    }
    Ok(())
}

/// Compares secrets without telling by the time where they differ.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
