//! `[[source]]`.

use std::path::PathBuf;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::queries::{ColumnType, Statement, StatementOfJob, Zone};
use super::super::setting::{Value, Values, Words};
use super::super::value::{Channel, Name, Period, Port};
use crate::core::jobs::Status;
use crate::core::policy::Derived;

/// A source of facts about jobs. Jobs own files by the owner template of a root, or because the
/// job's row names them. A source of kind "api" always exists, to which programs report jobs; if no
/// [[source]] is of that kind, it is called "api".
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Source {
    /// Name of the source, unique; not "none". "api" is reserved for kind = "api".
    #[schemars(extend("x-required" = true), example = &"app")]
    pub name: Value<Name>,
    /// Kind of the source: "sqlite", "postgres", or "api". It may be omitted beside a url.
    #[schemars(example = &"sqlite")]
    pub kind: Value<Kind>,
    /// Path of the SQLite database. It is never created and need not exist yet. While it cannot be
    /// read, everything that depends on its jobs is held.
    #[schemars(extend("x-kinds" = ["sqlite"]), example = &"jobs.db")]
    pub path: Value<PathBuf>,
    /// Address of the database, also in the spelling of SQLAlchemy (postgresql+asyncpg://…;
    /// sqlite:///jobs.db instead of kind and path). Default for kind = "postgres": the variable
    /// DATABASE_URL. Missing parts come from the variables of libpq (PGHOST, PGPORT, PGUSER,
    /// PGPASSWORD, PGDATABASE, PGSSLMODE, PGSSLROOTCERT). Supported: sslmode, sslrootcert, sslcert,
    /// sslkey, several hosts, target_session_attrs. A password is never shown; take it from a
    /// variable: postgresql://lapsed:${APP_DB_PASSWORD:-}@db/app.
    #[schemars(
        extend("x-kinds" = ["sqlite", "postgres"], "x-secret" = true),
        example = &"postgresql://lapsed@db.example.org/app"
    )]
    pub url: Value<String>,
    /// Host of a PostgreSQL server, or the directory of its socket, if the url does not name it.
    /// The same applies to the four keys below. They are taken literally: a password needs no
    /// percent-encoding. With any of them, DATABASE_URL is not read. An empty value counts as
    /// absent.
    #[schemars(extend("x-kinds" = ["postgres"]), example = &"${POSTGRES_HOST:-localhost}")]
    pub host: Value<String>,
    /// Port of the server.
    #[schemars(extend("x-kinds" = ["postgres"]), example = 5432)]
    pub port: Value<Port>,
    /// User at the server.
    #[schemars(extend("x-kinds" = ["postgres"]), example = &"lapsed")]
    pub user: Value<String>,
    /// Password of the user. It is never shown.
    #[schemars(
        extend("x-kinds" = ["postgres"], "x-secret" = true),
        example = &"${POSTGRES_PASSWORD:-}"
    )]
    pub password: Value<String>,
    /// Name of the database.
    #[schemars(extend("x-kinds" = ["postgres"]), example = &"app")]
    pub dbname: Value<String>,
    /// Query of all jobs. Columns with a meaning: id (required), status, kind, created_at,
    /// started_at, completed_at, last_activity, expires_at, cleaned_at (set: the job was cleaned
    /// already), files (claimed files: a path, or a JSON array of paths), error. A timestamp is
    /// text, or Unix time in seconds, milliseconds or microseconds.
    #[schemars(extend("x-kinds" = ["sqlite", "postgres"]), example = &"SELECT id, status FROM jobs")]
    pub select: Value<Statement>,
    /// Query of the jobs that changed at :since or later. The greatest changed_at is the next
    /// :since. Default: all jobs are read again when the database changes.
    #[schemars(
        extend("x-kinds" = ["sqlite", "postgres"]),
        example = &"SELECT id, status, changed_at FROM jobs WHERE changed_at >= :since"
    )]
    pub changed: Value<Statement>,
    /// Status of every job, if `select` has no status column.
    #[schemars(extend("x-kinds" = ["sqlite", "postgres"]), example = &"completed")]
    pub status: Value<Status>,
    /// Meanings of other words in the status column: pending, running, completed, failed, or
    /// cancelled. These five are known in any case; the words here must match exactly. An unknown
    /// word counts as running.
    #[schemars(
        extend("x-kinds" = ["sqlite", "postgres"]),
        example = serde_json::json!({ "done": "completed" })
    )]
    pub statuses: Words<Status>,
    /// Time zones of timestamps that have none: "UTC", "local", or an IANA name; one for all
    /// columns, or one for each. Default: UTC.
    #[schemars(
        extend("type" = ["string", "object"], "x-kinds" = ["sqlite", "postgres"]),
        example = serde_json::json!({ "completed_at": "local" })
    )]
    pub timezone: Words<Zone>,
    /// Types of columns that are added to a table before the first mark, if it lacks them. Until
    /// then they read as NULL.
    #[schemars(
        extend("x-kinds" = ["sqlite"]),
        example = serde_json::json!({ "jobs.data_cleaned_at": "TIMESTAMP" })
    )]
    pub add_columns: Words<ColumnType>,
    /// Statements of rules with record = "mark": one, or a list that runs in one transaction. They
    /// may name :job (the id), :now, :summary, and every column of `select` with its last known
    /// value, such as :status.
    #[schemars(
        extend("x-kinds" = ["sqlite", "postgres"]),
        example = &"UPDATE jobs SET cleaned_at = :now WHERE id = :job"
    )]
    pub mark: Values<StatementOfJob>,
    /// Statements of rules with record = "forget", in the same way.
    #[schemars(
        extend("x-kinds" = ["sqlite", "postgres"]),
        example = &"DELETE FROM jobs WHERE id = :job"
    )]
    pub forget: Values<StatementOfJob>,
    /// Channel on which a trigger notifies changes; `lapsed source sql` prints such a trigger.
    /// Default: lapsed_ and the name of the source, with _ for every other character than a letter
    /// or digit.
    #[schemars(extend("x-kinds" = ["postgres"]), example = &"lapsed_app")]
    pub channel: Value<Channel>,
    /// Interval of queries for changes that no notification reported: there is no trigger, or a
    /// connection pooler drops notifications. At least 1s.
    #[schemars(extend("default" = "10s", "x-kinds" = ["postgres"]))]
    pub poll: Value<Period<1>>,
    /// Time limit of a statement. A server that does not answer in time counts as down. At least
    /// 1s.
    #[schemars(extend("default" = "30s", "x-kinds" = ["postgres"]))]
    pub statement_timeout: Value<Period<1>>,
    /// Fail a run that cannot read the source. If false, the report of the run mentions it. In both
    /// cases, everything that depends on its jobs is held.
    #[schemars(extend("default" = true, "x-kinds" = ["sqlite", "postgres"]), example = false)]
    pub required: Value<bool>,
    /// Count its jobs in `lapsed status`, and list them in `lapsed job ls` without --source. Use
    /// false for a second source that reads the same rows for other roots.
    #[schemars(extend("default" = true, "x-kinds" = ["sqlite", "postgres"]), example = false)]
    pub listed: Value<bool>,
    /// Directory of bare file names that jobs claim. Default: base_dir. A claimed path that is in
    /// no root, or contains "..", is refused: its job keeps its row and its files, and until the
    /// job has ended, nothing of this source is an orphan (`lapsed status` counts such claims). The
    /// same applies while a row has an id that is neither text nor an integer; a row whose id is
    /// NULL or empty keeps the files that it names.
    #[schemars(example = &"uploads")]
    pub files_root: Value<PathBuf>,
    /// Local paths of path prefixes that the application sees, such as in a container. The longest
    /// prefix of whole components applies. Relative targets are below base_dir; a relative prefix
    /// applies to relative claims.
    #[schemars(example = serde_json::json!({ "/data": "data" }))]
    pub path_map: Words<PathBuf>,
    /// Names that belong to a job beside each file that it claims: {stem} (the name without its
    /// last extension) or {name}, exactly once.
    #[schemars(example = &"{stem}_processed.mp3")]
    pub derived: Values<Derived>,
    /// Regular expression of valid ids (crate regex), matched with the whole id. Write $$ for a
    /// dollar; it is not needed. Default: every text that is not empty.
    #[schemars(example = &r"job-\d{8}-\d{6}")]
    pub id_pattern: Value<Regex>,
}

/// Kind of a source, as the file names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Kind {
    Api,
    Sqlite,
    Postgres,
}
