//! Users by name, and the token of this server's subscriptions.

use heed::Env;

use super::{StoreError, Table};
use crate::auth::User;

/// Key of the token: no user can have this name.
const SUBSCRIPTION_TOKEN: &str = "\0subscription-token";

#[derive(Clone)]
pub struct UserTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl UserTable {
    pub fn all(&self) -> Result<Vec<User>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut users = Vec::new();
        for entry in self.table.iter(&transaction)? {
            let (name, user) = entry?;
            if name != SUBSCRIPTION_TOKEN {
                users.push(serde_json::from_slice(user)?);
            }
        }
        Ok(users)
    }

    pub fn put(&self, user: &User) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.put(&mut transaction, &user.name, &serde_json::to_vec(user)?)?;
        Ok(transaction.commit()?)
    }

    pub fn delete(&self, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        self.table.delete(&mut transaction, name)?;
        Ok(transaction.commit()?)
    }

    /// The token, made when it is asked for the first time.
    pub fn subscription_token(&self) -> Result<String, StoreError> {
        let mut transaction = self.env.write_txn()?;
        if let Some(token) = self.table.get(&transaction, SUBSCRIPTION_TOKEN)? {
            return Ok(serde_json::from_slice(token)?);
        }
        let token = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        self.table.put(&mut transaction, SUBSCRIPTION_TOKEN, &serde_json::to_vec(&token)?)?;
        transaction.commit()?;
        Ok(token)
    }
}
