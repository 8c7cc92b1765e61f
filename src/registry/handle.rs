//! One connection, shared between threads.
//!
//! **Invariant:** a change is one transaction: what fails within it is rolled back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Fault, RegistryError};

/// What people and programs told us. Shared between threads; each call waits for the disk.
#[derive(Debug)]
pub struct Registry {
    pub(super) path: PathBuf,
    pub(super) connection: Mutex<Connection>,
    /// Whether there was no room for the file: then nothing was told yet, and nothing can be.
    pub(super) is_unmade: AtomicBool,
}

impl Registry {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read<T>(
        &self,
        action: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        read(&self.connection.lock()).map_err(|fault| fault.told(action, &self.path))
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
            // Whoever writes reads first: taken at once, the lock cannot be lost to somebody in between.
            let changes = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&changes)?;
            changes.commit()?;
            Ok(value)
        })();
        written.map_err(|fault: Fault| fault.told(action, &self.path))
    }
}

/// A number of ours in the database, which knows only signed ones; it comes back as it was.
pub(super) fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// The number that [`stored`] was given.
pub(super) fn number(stored: i64) -> u64 {
    stored.cast_unsigned()
}
