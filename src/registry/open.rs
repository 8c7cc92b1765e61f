//! Opening of the file: it is created, checked, or refused.
//!
//! **Invariant:** the file appears under its name only as a whole: an empty or incomplete one is
//! always taken for damaged.
//! **Invariant:** a file that is refused is never written to.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};

use super::error::{Fault, RegistryError};
use super::format::{self, VERSION};
use super::handle::Registry;

/// SQLite's application id, "LAPS": it tells the file from another program's database.
const APPLICATION: i64 = 0x4c41_5053;

/// Name of the file in the state directory.
pub const FILE: &str = "registry.db";

/// Time to wait for a lock: a person with `sqlite3` may hold it for a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl Registry {
    /// Opens the registry in `state_dir`. Creates it (mode 0600) if it is missing.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version, or may not be read and written.
    pub fn open(state_dir: &Path) -> Result<Self, RegistryError> {
        let path = state_dir.join(FILE);
        if is_missing(&path)? {
            match create(state_dir, &path) {
                // It is empty. The first change creates the file, and fails until there is room.
                Err(RegistryError::Full { .. }) => return Self::unmade(path),
                made => made?,
            }
        }
        Self::open_made(&path)
    }

    /// Opens the registry in `state_dir` for reading: nothing is written or created, and a daemon
    /// may run beside it. A missing file is an empty registry. Writes fail.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version, or may not be read.
    pub fn open_to_read(state_dir: &Path) -> Result<Self, RegistryError> {
        let path = state_dir.join(FILE);
        if is_missing(&path)? {
            return Self::empty();
        }
        Ok(Self {
            connection: Mutex::new(connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?),
            is_unmade: AtomicBool::new(false),
            path,
        })
    }

    /// Creates an empty registry that cannot be written.
    ///
    /// # Errors
    /// When memory is exhausted.
    pub fn empty() -> Result<Self, RegistryError> {
        let path = PathBuf::new();
        let made = Connection::open_in_memory().and_then(|connection| {
            connection.execute_batch(&format::schema())?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        });
        let connection = made.map_err(|error| Fault::from(error).into_error("open", &path))?;
        Ok(Self {
            connection: Mutex::new(connection),
            is_unmade: AtomicBool::new(false),
            path,
        })
    }

    /// Writes a copy as of this moment to the file at `to` (mode 0600), which must not exist. An
    /// empty registry that has no file leaves none.
    ///
    /// # Errors
    /// When the registry cannot be read, or the copy cannot be written.
    pub fn copy_to(&self, to: &Path) -> Result<(), RegistryError> {
        const ACTION: &str = "copy";
        if self.path.as_os_str().is_empty() {
            return Ok(());
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(RegistryError::io(ACTION, to))?;
        let name = to.to_str().ok_or_else(|| {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "its path is not UTF-8");
            RegistryError::io(ACTION, to)(error)
        })?;
        self.read(ACTION, |connection| {
            connection.execute("VACUUM INTO ?1", [name])?;
            Ok(())
        })?;
        File::open(to)
            .and_then(|file| file.sync_all())
            .map_err(RegistryError::io(ACTION, to))
    }

    fn unmade(path: PathBuf) -> Result<Self, RegistryError> {
        let empty = Connection::open_in_memory().and_then(|connection| {
            connection.execute_batch(&format::schema())?;
            Ok(connection)
        });
        let empty = empty.map_err(|error| Fault::from(error).into_error("open", &path))?;
        Ok(Self {
            path,
            connection: Mutex::new(empty),
            is_unmade: AtomicBool::new(true),
        })
    }

    /// Creates the file for which the disk was too full at the start.
    pub(super) fn make(&self) -> Result<Connection, RegistryError> {
        let state_dir = self.path.parent().unwrap_or(Path::new("/"));
        create(state_dir, &self.path)?;
        let made = Self::open_made(&self.path)?;
        Ok(made.connection.into_inner())
    }

    fn open_made(path: &Path) -> Result<Self, RegistryError> {
        restrict(path)?;
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let failed = |fault: Fault| fault.into_error("open", path);
        // On a file system without shared memory the rollback journal stays: as durable, a little
        // slower.
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            path: path.to_path_buf(),
            connection: Mutex::new(connection),
            is_unmade: AtomicBool::new(false),
        })
    }
}

/// Returns true if there is no registry; an error if the file cannot be one.
fn is_missing(path: &Path) -> Result<bool, RegistryError> {
    let damaged = |why: &str| RegistryError::Damaged {
        path: path.to_path_buf(),
        why: why.to_owned(),
    };
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(damaged("it is no file")),
        Ok(found) if found.len() == 0 => Err(damaged("it is empty")),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The last writes of a lost file, which would end up in a new one.
            let writes = beside(path, "-wal");
            match writes.metadata() {
                Ok(left) if left.len() > 0 => Err(damaged(
                    "it is gone, and the file of its last writes (registry.db-wal) is still there",
                )),
                Ok(_) | Err(_) => Ok(true),
            }
        }
        Err(error) => Err(RegistryError::io("open", path)(error)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Creates an empty registry at `path`, as a whole or not at all.
#[expect(
    clippy::disallowed_methods,
    reason = "these are the registry's own files, in the state directory"
)]
fn create(state_dir: &Path, path: &Path) -> Result<(), RegistryError> {
    const ACTION: &str = "make";
    let refused = |error| RegistryError::io(ACTION, path)(error);
    let new = beside(path, ".new");
    for left_over in [new.clone(), beside(&new, "-journal")] {
        match fs::remove_file(&left_over) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(refused)?;
    let made = (|| {
        let connection = Connection::open_with_flags(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; BEGIN; {} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;",
            format::schema()
        ))?;
        connection.close().map_err(|(_, error)| error)
    })();
    made.map_err(|error| Fault::from(error).into_error(ACTION, path))?;
    File::open(&new)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| File::open(state_dir))
        .and_then(|dir| dir.sync_all())
        .map_err(refused)
}

/// Restricts the file to its owner.
fn restrict(path: &Path) -> Result<(), RegistryError> {
    let refused = |error| RegistryError::io("restrict", path)(error);
    let mode = fs::metadata(path).map_err(refused)?.permissions().mode();
    if mode & 0o777 == 0o600 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(refused)
}

/// Returns the name under which the file at `path` is opened for reading.
pub(super) fn place_to_read(path: &Path) -> PathBuf {
    if beside(path, "-wal").exists() {
        path.to_path_buf()
    } else {
        // No process has it open, and it is whole. Otherwise even a reader would create the files
        // of a write-ahead log.
        immutable(path)
    }
}

/// Returns the URI of the file at `path` as one that no process writes
/// (`https://www.sqlite.org/uri.html`).
fn immutable(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri.push_str("?immutable=1");
    PathBuf::from(uri)
}

/// Connects to the file, checks that it is a whole registry, and migrates an older format.
fn connect(path: &Path, access: OpenFlags) -> Result<Connection, RegistryError> {
    let is_written = access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE);
    let failed = |fault: Fault| fault.into_error("open", path);
    // SQLite only says that it cannot be opened; the operating system has the reason.
    OpenOptions::new()
        .read(true)
        .write(is_written)
        .open(path)
        .map_err(RegistryError::io("open", path))?;
    let place = if is_written {
        path.to_path_buf()
    } else {
        place_to_read(path)
    };
    let access = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(place, access)
        .and_then(|connection| {
            connection.busy_timeout(PATIENCE)?;
            Ok(connection)
        })
        .map_err(|error| failed(error.into()))?;
    let number = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
            .map_err(|error| failed(error.into()))
    };
    let damaged = |why: String| RegistryError::Damaged {
        path: path.to_path_buf(),
        why,
    };
    if number("application_id")? != APPLICATION {
        return Err(damaged("it is another program's database".to_owned()));
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| failed(error.into()))?;
    if found != "ok" {
        return Err(damaged(found));
    }
    match number("user_version")? {
        found @ 1..=VERSION => {
            format::complete(&connection, found, is_written)
                .map_err(|error| failed(error.into()))?;
        }
        found if found > VERSION => {
            return Err(RegistryError::Newer {
                path: path.to_path_buf(),
                found,
                known: VERSION,
            });
        }
        found => {
            return Err(damaged(format!(
                "it is of format {found}, which there never was"
            )));
        }
    }
    Ok(connection)
}
