//! Manifest of a backup.

use serde::{Deserialize, Serialize};

/// `manifest.json` in a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupManifest {
    /// Version of the program that wrote it.
    pub version: String,
    /// Instant of the backup, in UTC.
    pub at: String,
    /// Format of the registry that this version writes.
    pub registry_format: i64,
    /// The state directory.
    pub state_dir: String,
    /// The configuration file; `null`: there is none.
    pub configuration: Option<String>,
}
