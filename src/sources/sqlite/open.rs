//! Connections, and which file a path leads to.
//!
//! **Invariant:** no connection is opened with the right to create a database.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::file_fault;
use super::missing_columns;
use crate::sources::error::Fault;
use crate::sources::options::SqliteOptions;

/// Most queries of a source that stay prepared.
const STATEMENTS_MAX: usize = 16;

/// A file, whatever its name: another one in its place is another database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
}

impl Identity {
    /// Of what `path` leads to.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be reached.
    pub(super) fn of(path: &Path) -> Result<Self, Fault> {
        let meta = std::fs::metadata(path).map_err(|error| file_fault(&error))?;
        Ok(Self {
            dev: meta.dev(),
            ino: meta.ino(),
        })
    }
}

/// Metadata of the files of a database: while it stays the same, opening fails as it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FileStamp(Vec<Option<[i64; 7]>>);

impl FileStamp {
    /// At the database at `path`.
    pub(super) fn at(path: &Path) -> Self {
        let look = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let meta = std::fs::metadata(PathBuf::from(name)).ok()?;
            Some([
                meta.dev().cast_signed(),
                meta.ino().cast_signed(),
                meta.size().cast_signed(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ctime(),
                meta.ctime_nsec(),
            ])
        };
        Self(["", "-wal", "-journal"].map(look).to_vec())
    }
}

/// A connection that only reads, and waits up to `patience` for others. Columns that are to be
/// added read as NULL.
///
/// # Errors
/// When the file is not there, or is no database.
pub(super) fn to_read(
    options: &SqliteOptions,
    patience: Duration,
) -> Result<(Connection, Identity), Fault> {
    let path = &options.path;
    let identity = Identity::of(path)?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY, patience)?;
    missing_columns::shadow_with_views(&connection, &options.add_columns)?;
    connection.pragma_update(None, "query_only", true)?;
    // Opening reads nothing: whether it is a database shows now.
    data_version(&connection)?;
    // Another file may have taken the place just before it was opened.
    if Identity::of(path)? != identity {
        return Err(Fault::Busy);
    }
    Ok((connection, identity))
}

/// A connection that writes, and waits up to `patience` for others.
///
/// # Errors
/// When the file is not there, or cannot be opened.
pub(super) fn to_write(path: &Path, patience: Duration) -> Result<Connection, Fault> {
    Identity::of(path)?;
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, patience)
}

fn open(path: &Path, access: OpenFlags, patience: Duration) -> Result<Connection, Fault> {
    // An absolute path is never taken for a URI, which this build of SQLite would else know.
    let path = std::path::absolute(path).map_err(|error| file_fault(&error))?;
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(patience)?;
    // Checkpoints are the application's business: ours could make it wait, or take the log away
    // under its copy.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// A number that stays the same for this connection until another one has written to the database.
pub(super) fn data_version(connection: &Connection) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached("PRAGMA data_version")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
