//! Backup of what must not be lost: the registry, the ledger, and the configuration file.
//!
//! **Invariant:** a backup appears under its name only as a whole, on the disk.
//! **Invariant:** the registry is copied before the ledger, so that it never counts on a line that
//! the copy of the ledger lacks: what was appended in between is as after a crash.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::clock;
use crate::ledger::Ledger;
use crate::registry::{self, Registry};
use crate::types::BackupManifest;

/// Name of the manifest in the backup.
const MANIFEST: &str = "manifest.json";

/// Copies the state in `state_dir`, and the configuration file `config`, into the directory `dir`,
/// which must not exist, or be empty. A daemon may be running.
///
/// # Errors
/// If `dir` is in use, a part cannot be read, or the backup cannot be written.
pub fn backup(
    state_dir: &Path,
    config: Option<&Path>,
    dir: &Path,
) -> anyhow::Result<BackupManifest> {
    let dir = std::path::absolute(dir).context("the current directory is gone")?;
    check_free(&dir)?;
    if !state_dir.is_dir() {
        anyhow::bail!(
            "there is no state directory \"{}\"\n  name it with --state-dir, or the configuration with --config",
            state_dir.display()
        );
    }
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let cannot = |what: &str| format!("cannot {what} in \"{}\"", parent.display());
    let draft = tempfile::Builder::new()
        .prefix(".lapsed-backup-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .with_context(|| cannot("make a directory"))?;
    Registry::open_to_read(state_dir)?.copy_to(&draft.path().join(registry::FILE))?;
    let ledger = Ledger::open_to_read(&state_dir.join("ledger"))?;
    ledger.copy_to(&draft.path().join("ledger"))?;
    let config = config.map(|file| copy_config(file, draft.path()));
    let manifest = BackupManifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: clock::now().wall.to_string(),
        registry_format: registry::VERSION,
        state_dir: state_dir.display().to_string(),
        configuration: config.transpose()?.map(|file| file.display().to_string()),
    };
    let json = serde_json::to_vec_pretty(&manifest).context("cannot render the manifest")?;
    write(&draft.path().join(MANIFEST), &json).with_context(|| cannot("write the manifest"))?;
    for path in [draft.path(), &draft.path().join("ledger")] {
        sync(path).with_context(|| cannot("synchronize the backup"))?;
    }
    // Replaces an empty directory.
    rustix::fs::rename(draft.path(), &dir)
        .with_context(|| format!("cannot name the backup \"{}\"", dir.display()))?;
    let _ = draft.keep();
    sync(parent).with_context(|| cannot("synchronize the backup"))?;
    Ok(manifest)
}

/// Refuses a directory that has something.
fn check_free(dir: &Path) -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries,
    };
    let is_empty = entries
        .with_context(|| format!("cannot write a backup to \"{}\"", dir.display()))?
        .next()
        .is_none();
    if !is_empty {
        anyhow::bail!(
            "\"{}\" is not empty\n  name a directory that does not exist yet",
            dir.display()
        );
    }
    Ok(())
}

/// Copies the configuration file, and returns its path.
fn copy_config(file: &Path, draft: &Path) -> anyhow::Result<PathBuf> {
    let bytes = std::fs::read(file)
        .with_context(|| format!("cannot read the configuration \"{}\"", file.display()))?;
    write(&draft.join("lapsed.toml"), &bytes)
        .with_context(|| format!("cannot copy the configuration to \"{}\"", draft.display()))?;
    Ok(file.to_path_buf())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
