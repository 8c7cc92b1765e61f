//! What the rest of the daemon is told: settings as values, with defaults.
//!
//! **Invariant:** a default here is the default that the annotated file states; a test compares them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::facts::RootId;
use crate::core::jobs::{SourceId, Status};
use crate::core::policy::Policy;
use crate::core::report::{Breaker, Mode};

/// The annotated default configuration, as `config/lapsed.toml` has it: valid as it stands.
pub const ANNOTATED_DEFAULT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/lapsed.toml"));

/// How many roots (and, apart from them, rules) there may be: their ids are 16 bits wide.
pub const IDS_MAX: usize = 65_535;

/// A whole, validated configuration. Replaced as a whole on reload.
#[derive(Debug)]
pub struct Settings {
    /// What relative paths of the file are below. Absolute.
    pub base_dir: PathBuf,
    /// Where the daemon keeps its own files. Absolute.
    pub state_dir: PathBuf,
    /// The Unix socket. Absolute, at most 107 bytes long.
    pub socket: PathBuf,
    /// The socket's permission bits, at most 0o777.
    pub socket_mode: u32,
    /// The group whose members may act, besides root and the daemon's own user; it exists.
    pub group: Option<String>,
    /// Roots, rules, and what deciding needs to know of sources.
    pub policy: Policy,
    /// How each source is asked. One of kind [`SourceKind::Api`] is always there.
    pub sources: BTreeMap<SourceId, SourceSettings>,
    /// Roots of `--watch`: they may be created where their parent exists. Resolved, as in `policy`.
    pub create: Vec<PathBuf>,
    /// When a person is asked first.
    pub breaker: Breaker,
    /// How changes are noticed.
    pub watch: Watch,
    /// How the ledger is kept.
    pub ledger: LedgerSettings,
    /// How the cache is kept.
    pub cache: CacheSettings,
    /// Whether anything is removed at all.
    pub mode: Mode,
    /// Whether anything goes without being asked for: otherwise every rule of `policy` waits to be asked.
    pub automatic: bool,
    /// How much the daemon logs unless it is told otherwise; `None`: what it usually does.
    pub log_level: Option<LogLevel>,
    /// The file that was read. Absolute; `None` with `--watch` alone.
    pub file: Option<PathBuf>,
    /// What was read in it, so that a later edit can be told from none.
    pub text: Option<String>,
}

/// How much a daemon logs: this, and what is worse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What a person should look at.
    Warn,
    /// What happens.
    Info,
    /// How it comes about.
    Debug,
    /// Every step.
    Trace,
}

/// How changes of the file system are noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Who tells about changes.
    pub backend: Backend,
    /// How often directories without watches are compared with the index, with [`Backend::Poll`] all of them; at least 1 s.
    pub reconcile_every: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            reconcile_every: Duration::from_mins(1),
        }
    }
}

/// Who tells about changes of the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// The best that this platform has.
    Auto,
    /// inotify(7), one watch for each directory.
    Inotify,
    /// The `notify` crate, one watch for each directory.
    Notify,
    /// Nobody: everything is compared every `reconcile_every`, and for each sync.
    Poll,
}

/// How the ledger is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerSettings {
    /// A segment that has grown to this many bytes is closed and a new one begun; at least 64 KiB.
    pub segment_bytes: u64,
    /// A segment that has been written to for this long is closed and a new one begun; at least a minute.
    pub segment_age: Duration,
    /// How long its lines are kept, and how many bytes of them.
    pub keep: Keep,
    /// At most so many directories or jobs that go share one writing to the disk; at least 1.
    pub batch_units: u64,
}

impl Default for LedgerSettings {
    /// A line is about 300 bytes: 16 MiB are some 50,000 removals.
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            segment_age: Duration::from_hours(30 * 24),
            keep: Keep::default(),
            batch_units: 64,
        }
    }
}

/// What of the ledger is kept; by default all of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Segments go whose lines are all older than this; `None`: never.
    pub age: Option<Duration>,
    /// The oldest segments go while all together have more bytes; `None`: never.
    pub bytes: Option<u64>,
}

/// How a source of jobs is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSettings {
    /// Its name, as in the policy.
    pub name: String,
    /// Where its jobs are.
    pub kind: SourceKind,
}

/// Where the jobs of a source are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// Programs tell of them, through `/v1/jobs`.
    Api,
    /// In an `SQLite` database.
    Sqlite(SqliteSettings),
    /// In a PostgreSQL database.
    Postgres(Box<PostgresSettings>),
}

impl SourceKind {
    /// The word in configuration and JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// Jobs in a PostgreSQL database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresSettings {
    /// Hosts, user, password (which it does not show), database.
    pub server: tokio_postgres::Config,
    /// How connections are encrypted. Paths are absolute.
    pub tls: TlsSettings,
    /// The channel that triggers notify. 1 to 63 bytes.
    pub channel: String,
    /// How often is asked for changes that nobody notifies of. At least a second.
    pub poll: Duration,
    /// How long a statement may take. At least a second.
    pub statement_timeout: Duration,
    /// What is asked of it.
    pub queries: Queries,
}

/// How connections are encrypted, as libpq's `sslmode` and its companions say it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// Whether, and whose certificate is taken.
    pub mode: TlsMode,
    /// Whom to trust.
    pub roots: TlsRoots,
    /// Our own certificate and its key, in PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// libpq's `sslmode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// If the server can; whoever it is.
    #[default]
    Prefer,
    /// Always; whoever it is, unless roots are given.
    Require,
    /// Always, with a certificate that a root vouches for.
    VerifyCa,
    /// Always, with a certificate for this host that a root vouches for.
    VerifyFull,
}

/// Whose certificates are trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum TlsRoots {
    /// Nobody said so: those of the system where one is needed.
    #[default]
    Unsaid,
    /// Those of the system.
    System,
    /// Those in this file, in PEM.
    File(PathBuf),
}

/// Jobs in an `SQLite` database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SqliteSettings {
    /// Its file. Absolute. Never created.
    pub path: PathBuf,
    /// What is asked of it.
    pub queries: Queries,
    /// The types of columns that tables are given with the first record that is written, by table and column.
    pub add_columns: BTreeMap<(String, String), String>,
}

/// What is asked of a database, and how its answers are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Queries {
    /// All jobs. Columns with these names mean something: `id` (required), `status`, `kind`, `created_at`, `completed_at`,
    /// `last_activity`, `expires_at`, `cleaned_at`, `files`, `error`; others are attributes.
    pub select: String,
    /// The jobs that changed at `:since` or later; with a column `changed_at`, whose greatest value is the next `:since`.
    pub changed: Option<String>,
    /// Statements that note that a job was cleaned: one transaction. They may name `:job`, `:now`, `:summary`, and every column of
    /// `select`, as it was last seen (`:status`, …).
    pub mark: Vec<String>,
    /// Statements that remove a job's record, likewise.
    pub forget: Vec<String>,
    /// The status of every job, where `select` has no such column.
    pub constant_status: Option<Status>,
    /// What the words of its status column mean. The five words themselves mean what they say, unless they are here.
    pub statuses: BTreeMap<String, Status>,
    /// The time zone of naive timestamps, by column: an IANA name, `UTC`, or `local`. Others: UTC.
    pub timezones: BTreeMap<String, String>,
}

/// Which id a source's name has, as [`RootIds`] has for roots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceIds {
    ids: BTreeMap<String, SourceId>,
}

impl SourceIds {
    /// The id of the source that is named `name`, a new one for a new name; `None`: there are no more.
    pub(super) fn assign(&mut self, name: &str) -> Option<SourceId> {
        if let Some(&id) = self.ids.get(name) {
            return Some(id);
        }
        let id = SourceId(u16::try_from(self.ids.len()).ok()?);
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}

/// How the cache is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSettings {
    /// Past this many bytes on disk it is replaced by a smaller copy, if there can be one; at least 1 MiB.
    pub size_max: u64,
}

impl Default for CacheSettings {
    /// A million files take some 50 MB.
    fn default() -> Self {
        Self {
            size_max: 512 << 20,
        }
    }
}

/// What the command line says. Relative paths here are below `--base-dir`, else `LAPSED_BASE_DIR`, else the current
/// directory: never below the file's directory, since a person types them where the shell stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// `--config FILE`; relative to the current directory.
    pub config: Option<PathBuf>,
    /// `--watch PATH=TTL`, in order.
    pub watch: Vec<String>,
    /// `--state-dir DIR`.
    pub state_dir: Option<PathBuf>,
    /// `--socket PATH`.
    pub socket: Option<PathBuf>,
    /// `--base-dir DIR`; relative to the current directory.
    pub base_dir: Option<PathBuf>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--allow-unsafe-roots`.
    pub allow_unsafe_roots: bool,
}

/// Which id a root's path has. One of these lives as long as the process and goes into every [`load`](super::load()), so
/// that a path keeps its id over reloads; an id is never given to another path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RootIds {
    ids: BTreeMap<PathBuf, RootId>,
    /// Likewise for sources.
    pub(super) sources: SourceIds,
}

impl RootIds {
    /// The id of `path` (resolved), if it was ever a root.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<RootId> {
        self.ids.get(path).copied()
    }

    /// The ids of all `paths`, new ones for new paths; `None`, and nothing changed, when there are not enough left.
    pub(super) fn assign(&mut self, paths: &[PathBuf]) -> Option<Vec<RootId>> {
        let fresh = paths
            .iter()
            .filter(|path| !self.ids.contains_key(*path))
            .count();
        if self.ids.len() + fresh > IDS_MAX {
            return None;
        }
        Some(paths.iter().map(|path| self.assign_one(path)).collect())
    }

    fn assign_one(&mut self, path: &Path) -> RootId {
        let next = u16::try_from(self.ids.len())
            .map(RootId)
            .expect("invariant: at most IDS_MAX ids are given out");
        *self.ids.entry(path.to_path_buf()).or_insert(next)
    }
}
