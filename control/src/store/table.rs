//! A table of the store: values of one type by name, kept as JSON.

use std::marker::PhantomData;

use heed::{
    Database, Env, RoTxn, RwTxn,
    types::{Bytes, Str},
};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// A value that knows the name under which it is kept.
pub trait Keyed {
    fn key(&self) -> String;
}

/// Every method is a transaction of its own unless it is given one; cheap to clone.
pub struct Table<V> {
    env: Env,
    entries: Database<Str, Bytes>,
    values: PhantomData<fn() -> V>,
}

impl<V> Clone for Table<V> {
    fn clone(&self) -> Table<V> {
        Table { env: self.env.clone(), entries: self.entries, values: PhantomData }
    }
}

impl<V> Table<V> {
    pub(super) fn open(env: &Env, transaction: &mut RwTxn<'_>, name: &str) -> Result<Table<V>, StoreError> {
        let entries = env.create_database(transaction, Some(name))?;
        Ok(Table { env: env.clone(), entries, values: PhantomData })
    }

    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.change(|transaction| self.delete_in(transaction, key))
    }

    /// Does all of `change` or, when it fails, nothing of it.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut RwTxn<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.env.write_txn()?;
        let result = change(&mut transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    pub(super) fn delete_in(&self, transaction: &mut RwTxn<'_>, key: &str) -> Result<(), StoreError> {
        self.entries.delete(transaction, key)?;
        Ok(())
    }
}

impl<V: DeserializeOwned> Table<V> {
    /// All values, in order of their keys.
    pub fn all(&self) -> Result<Vec<V>, StoreError> {
        Ok(self.entries()?.into_iter().map(|(_, value)| value).collect())
    }

    pub(super) fn entries(&self) -> Result<Vec<(String, V)>, StoreError> {
        let transaction = self.env.read_txn()?;
        let entry = |entry: heed::Result<(&str, &[u8])>| {
            let (key, value) = entry?;
            Ok((key.to_owned(), serde_json::from_slice(value)?))
        };
        self.entries.iter(&transaction)?.map(entry).collect()
    }

    pub(super) fn get_in(&self, transaction: &RoTxn<'_>, key: &str) -> Result<Option<V>, StoreError> {
        let value = self.entries.get(transaction, key)?;
        Ok(value.map(serde_json::from_slice).transpose()?)
    }
}

impl<V: Serialize> Table<V> {
    pub(super) fn put_in(&self, transaction: &mut RwTxn<'_>, key: &str, value: &V) -> Result<(), StoreError> {
        Ok(self.entries.put(transaction, key, &serde_json::to_vec(value)?)?)
    }
}

impl<V: Serialize + Keyed> Table<V> {
    pub fn put(&self, value: &V) -> Result<(), StoreError> {
        self.replace(None, value)
    }

    /// Puts a value and removes the key that it had before, if it had another.
    pub fn replace(&self, old: Option<&str>, value: &V) -> Result<(), StoreError> {
        self.change(|transaction| self.replace_in(transaction, old, value))
    }

    pub(super) fn replace_in(
        &self,
        transaction: &mut RwTxn<'_>,
        old: Option<&str>,
        value: &V,
    ) -> Result<(), StoreError> {
        if let Some(old) = old {
            self.delete_in(transaction, old)?;
        }
        self.put_in(transaction, &value.key(), value)
    }
}
