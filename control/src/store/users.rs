//! Users by name, and the token of this server's subscriptions.

use super::{
    StoreError,
    table::{Keyed, Table},
};
use crate::auth::User;

/// Key of the token.
const SUBSCRIPTION_TOKEN: &str = "subscriptions";

#[derive(Clone)]
pub struct UserTable {
    pub(super) users: Table<User>,
    pub(super) tokens: Table<String>,
}

impl Keyed for User {
    fn key(&self) -> String {
        self.name.clone()
    }
}

impl UserTable {
    pub fn all(&self) -> Result<Vec<User>, StoreError> {
        self.users.all()
    }

    pub fn put(&self, user: &User) -> Result<(), StoreError> {
        self.users.put(user)
    }

    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.users.delete(name)
    }

    /// The token, made when it is asked for the first time.
    pub fn subscription_token(&self) -> Result<String, StoreError> {
        self.tokens.change(|transaction| {
            if let Some(token) = self.tokens.get_in(transaction, SUBSCRIPTION_TOKEN)? {
                return Ok(token);
            }
            let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            self.tokens.put_in(transaction, SUBSCRIPTION_TOKEN, &token)?;
            Ok(token)
        })
    }
}
