//! Connection to the registry, shared between threads.
//!
//! **Invariant:** a change is always one transaction, which is rolled back if a part of it fails.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Fault, RegistryError};

/// Registry. Shared between threads; each call waits for the disk.
#[derive(Debug)]
pub struct Registry {
    pub(super) path: PathBuf,
    pub(super) connection: Mutex<Connection>,
    /// True if the disk was too full to create the file: then the registry is empty, and cannot be
    /// written.
    pub(super) is_unmade: AtomicBool,
}

impl Registry {
    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read<T>(
        &self,
        action: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        read(&self.connection.lock()).map_err(|fault| fault.into_error(action, &self.path))
    }

    pub(super) fn write<T>(
        &self,
        action: &'static str,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection.lock();
        if self.is_unmade.load(Ordering::Relaxed) {
            *connection = self.make()?;
            self.is_unmade.store(false, Ordering::Relaxed);
        }
        let written = (|| {
            // A transaction that reads before it writes could lose the lock in between: it is taken
            // at once.
            let changes = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&changes)?;
            changes.commit()?;
            Ok(value)
        })();
        written.map_err(|fault: Fault| fault.into_error(action, &self.path))
    }
}

/// Returns `number` as a signed one of the same bits: SQLite has no unsigned numbers.
pub(super) fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// Returns the number that [`stored`] was given.
pub(super) fn number(stored: i64) -> u64 {
    stored.cast_unsigned()
}
