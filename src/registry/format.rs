//! Tables of the file, and migration of older files.
//!
//! **Invariant:** a format must only add to the one before it.

use rusqlite::{Connection, TransactionBehavior};

/// Format that this version writes.
pub const VERSION: i64 = 11;

/// Additions of each format: to the file, or in memory for a process that only reads an older file.
const TABLES: [&str; 11] = [
    "CREATE {temporary} TABLE job (
        source TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (source, id)
    ) WITHOUT ROWID;
    CREATE {temporary} TABLE pin (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB, source TEXT, job TEXT,
        who TEXT NOT NULL, why TEXT NOT NULL, set_at INTEGER NOT NULL, until INTEGER NOT NULL,
        CHECK ((path IS NULL) <> (job IS NULL) AND (source IS NULL) = (job IS NULL))
    );
    CREATE {temporary} TABLE outbox (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL, job TEXT NOT NULL, action TEXT NOT NULL, at INTEGER NOT NULL, summary TEXT NOT NULL,
        confirmed INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0, tried_at INTEGER, error TEXT
    );
    CREATE {temporary} INDEX outbox_by_source ON outbox (source, confirmed, id);
    CREATE {temporary} TABLE source (name TEXT PRIMARY KEY, jobs INTEGER NOT NULL, trip TEXT) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE forgotten (
        source TEXT NOT NULL, job TEXT NOT NULL, ledger_id INTEGER NOT NULL,
        row TEXT NOT NULL, summary TEXT NOT NULL, forgotten_at INTEGER NOT NULL,
        PRIMARY KEY (job, source, ledger_id)
    ) WITHOUT ROWID;
    CREATE {temporary} TABLE total (
        day TEXT NOT NULL, root TEXT NOT NULL, rule TEXT NOT NULL,
        units INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, displaced INTEGER NOT NULL,
        PRIMARY KEY (day, root, rule)
    ) WITHOUT ROWID;
    CREATE {temporary} TABLE counted (
        only INTEGER PRIMARY KEY CHECK (only = 1), segment INTEGER NOT NULL, offset INTEGER NOT NULL
    );
    ",
    "CREATE {temporary} TABLE source_read (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE machine_run (only INTEGER PRIMARY KEY CHECK (only = 1), name TEXT NOT NULL);
    ",
    "CREATE {temporary} TABLE token (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, hash BLOB NOT NULL,
        created_at INTEGER NOT NULL, created_by TEXT NOT NULL, expires_at INTEGER
    ) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE run (
        id INTEGER PRIMARY KEY,
        status TEXT NOT NULL, started INTEGER NOT NULL, finished INTEGER,
        from_segment INTEGER NOT NULL, from_offset INTEGER NOT NULL, to_segment INTEGER, to_offset INTEGER,
        details TEXT NOT NULL
    );
    ",
    "CREATE {temporary} TABLE cleaned (
        day TEXT NOT NULL, root TEXT NOT NULL, rule TEXT NOT NULL, source TEXT NOT NULL, ended TEXT NOT NULL,
        jobs INTEGER NOT NULL,
        PRIMARY KEY (day, root, rule, source, ended)
    ) WITHOUT ROWID;
    CREATE {temporary} TABLE forgotten_total (
        day TEXT NOT NULL, source TEXT NOT NULL, status TEXT NOT NULL, jobs INTEGER NOT NULL,
        PRIMARY KEY (day, source, status)
    ) WITHOUT ROWID;
    INSERT INTO forgotten_total
        SELECT coalesce(substr(json_extract(row, '$.completed_at'), 1, 10), ''), source, json_extract(row, '$.status'), count(*)
        FROM forgotten WHERE json_valid(row) AND json_extract(row, '$.status') IS NOT NULL GROUP BY 1, 2, 3;
    ",
    "CREATE {temporary} TABLE schedule (
        name TEXT PRIMARY KEY, written TEXT NOT NULL, until INTEGER NOT NULL
    ) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE pause (
        root TEXT PRIMARY KEY, path BLOB,
        who TEXT NOT NULL, why TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL
    ) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE delivery (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        receiver TEXT NOT NULL, channel TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL,
        at INTEGER NOT NULL, since INTEGER NOT NULL, body TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, tried_at INTEGER, due INTEGER NOT NULL DEFAULT 0, error TEXT,
        given_up INTEGER NOT NULL DEFAULT 0,
        UNIQUE (receiver, channel, id), UNIQUE (receiver, channel, given_up, number)
    );
    CREATE {temporary} TABLE receiver (
        receiver TEXT NOT NULL, channel TEXT NOT NULL,
        delivered INTEGER NOT NULL, delivered_at INTEGER, given_up INTEGER NOT NULL, left_out INTEGER NOT NULL,
        PRIMARY KEY (receiver, channel)
    ) WITHOUT ROWID;
    CREATE {temporary} TABLE notify_position (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    ",
    "CREATE {temporary} TABLE sample (
        step TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
        PRIMARY KEY (step, at)
    ) WITHOUT ROWID;
    ",
];

/// Statements that create all tables.
pub(super) fn schema() -> String {
    TABLES.concat().replace("{temporary}", "")
}

/// Adds the tables that a file of the format `found` lacks: to the file, or, for a connection that
/// only reads, to the connection alone.
pub(super) fn complete(
    connection: &Connection,
    found: i64,
    is_written: bool,
) -> Result<(), rusqlite::Error> {
    let known = usize::try_from(found).unwrap_or(TABLES.len());
    let lacking = TABLES[known.min(TABLES.len())..].concat();
    if lacking.is_empty() {
        return Ok(());
    }
    if !is_written {
        return connection.execute_batch(&lacking.replace("{temporary}", "TEMPORARY"));
    }
    // Another process may read the file meanwhile, but only the owner of the state directory
    // writes.
    let changes = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    changes.execute_batch(&lacking.replace("{temporary}", ""))?;
    changes.pragma_update(None, "user_version", VERSION)?;
    changes.commit()
}
