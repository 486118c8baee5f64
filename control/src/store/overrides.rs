//! Overridden options of the configuration, by section and element.

use heed::Env;

use super::{StoreError, Table};
use crate::config::Override;

/// Stands between section and element in a key; neither can hold it.
const SEPARATOR: char = '\0';

#[derive(Clone)]
pub struct OverrideTable {
    pub(super) env: Env,
    pub(super) table: Table,
}

impl OverrideTable {
    pub fn all(&self) -> Result<Vec<Override>, StoreError> {
        let transaction = self.env.read_txn()?;
        let mut overrides = Vec::new();
        for entry in self.table.iter(&transaction)? {
            overrides.push(serde_json::from_slice(entry?.1)?);
        }
        Ok(overrides)
    }

    /// Writes places in one transaction; one without an override is removed.
    pub fn put<'a>(
        &self,
        places: impl Iterator<Item = (&'a (String, String), Option<&'a Override>)>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.env.write_txn()?;
        for ((section, element), entry) in places {
            let key = format!("{section}{SEPARATOR}{element}");
            match entry {
                Some(entry) => self.table.put(&mut transaction, &key, &serde_json::to_vec(entry)?)?,
                None => drop(self.table.delete(&mut transaction, &key)?),
            }
        }
        Ok(transaction.commit()?)
    }
}
