//! Settings: the validated values that the rest of the daemon uses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::adapter::Adapter;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::policy::Policy;
use crate::core::report::{Breaker, Mode};
use crate::core::role::Role;
use crate::notifications::Receiver;
use crate::sources::DatabaseOptions;

use super::setting::Text;
use super::variables::{Memory, VariablesFile};

/// Annotated default configuration, the text of `config/lapsed.toml`. It is valid.
pub const ANNOTATED_DEFAULT: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/lapsed.toml"));

/// Most roots and, separately, most rules: their ids are 16 bits wide.
pub const IDS_MAX: usize = 65_535;

/// Whole, validated configuration. A reload replaces all of it.
#[derive(Debug)]
pub struct Settings {
    /// Base directory of relative paths in the file. Absolute.
    pub base_dir: PathBuf,
    /// Directory of the daemon's own files. Absolute.
    pub state_dir: PathBuf,
    /// Path of the Unix socket. Absolute, at most 107 bytes long.
    pub socket: PathBuf,
    /// Permission bits of the socket, at most 0o777.
    pub socket_mode: u32,
    /// HTTP over TCP.
    pub http: HttpSettings,
    /// Access over TCP.
    pub access: AccessSettings,
    /// Receivers of notifications.
    pub receivers: Vec<Receiver>,
    /// The surface of an older system.
    pub adapter: Arc<Adapter>,
    /// Group whose members may act, besides root and the daemon's own user. It exists.
    pub group: Option<String>,
    /// Roots, rules, and the properties of sources on which decisions depend.
    pub policy: Policy,
    /// Paths of the roots as they are written, with the values of variables.
    pub written: BTreeMap<RootId, String>,
    /// Settings of each source. One of kind [`SourceKind::Api`] always exists.
    pub sources: BTreeMap<SourceId, SourceSettings>,
    /// Roots of `--watch`: they may be created if their parent exists. Resolved, as in `policy`.
    pub create: Vec<PathBuf>,
    /// Limits beyond which removals wait for a person.
    pub breaker: Breaker,
    /// Settings of the watcher.
    pub watch: Watch,
    /// Settings of the ledger.
    pub ledger: LedgerSettings,
    /// Threads that remove files of one file system, and as many for directories and jobs; at least
    /// 1.
    pub workers: u64,
    /// Settings of the cache.
    pub cache: CacheSettings,
    /// Mode of removals: live, or a dry run.
    pub mode: Mode,
    /// True if a dry run of the daemon is recorded, beside what others remove.
    pub shadow: bool,
    /// True if due files are removed without a request. Otherwise every rule of `policy` waits for
    /// one.
    pub automatic: bool,
    /// Log level. The command line and `LAPSED_LOG` override it.
    pub log_level: LogLevel,
    /// Form of the log outside of the journal.
    pub log_format: LogFormat,
    /// Files of variables.
    pub variables: Vec<VariablesFile>,
    /// Likely mistakes in these files, and issuers of JWTs that are off.
    pub notes: Vec<String>,
    /// Changes of variables that take effect at the next start.
    pub postponed: Vec<String>,
    /// File that was read. Absolute; `None` with `--watch` alone.
    pub file: Option<PathBuf>,
    /// Text of that file, to detect later edits.
    pub text: Option<String>,
}

impl Settings {
    /// Names of the databases, each with its query of all jobs, on one line.
    pub fn queries(&self) -> impl Iterator<Item = (String, String)> {
        self.sources
            .values()
            .filter_map(|source| match &source.kind {
                SourceKind::Api => None,
                SourceKind::Database(database) => {
                    let words = database.queries().select.split_whitespace();
                    Some((source.name.clone(), words.collect::<Vec<_>>().join(" ")))
                }
            })
    }
}

/// Settings of HTTP over TCP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HttpSettings {
    /// Addresses of the listeners, at most 16, none of them twice; port 0 takes a free one. Empty:
    /// only the Unix socket answers.
    pub listen: Vec<SocketAddr>,
    /// TLS of all listeners. It is present unless all of `listen` are loopback addresses, or
    /// `allow_plain` is true.
    pub tls: Option<TlsFiles>,
    /// True if other hosts may connect without TLS.
    pub allow_plain: bool,
}

/// Settings of access over TCP.
#[derive(Clone, Debug, Default)]
pub struct AccessSettings {
    /// Role of requests without credentials, from this host alone.
    pub anonymous: Option<Role>,
    /// True if the metrics take no credentials on loopback addresses.
    pub open_metrics: bool,
    /// True if only declared endpoints are offered.
    pub only_endpoints: bool,
    /// Issuers of JWTs.
    pub jwt: Vec<JwtSettings>,
    /// Number of issuers that are off, because their secret is empty.
    pub jwt_off: usize,
}

/// Issuer of JWTs.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// Key of its signatures.
    pub key: DecodingKey,
    /// Algorithms of that key, at least one, all of its family.
    pub algorithms: Vec<Algorithm>,
    /// Value of `iss`; `None`: any.
    pub issuer: Option<String>,
    /// Values of `aud`; empty: none is accepted.
    pub audience: Vec<String>,
    /// Claim with the role.
    pub role_claim: String,
    /// Roles for values of that claim; none is [`Role::Admin`].
    pub roles: BTreeMap<String, Role>,
    /// Values that other claims must have.
    pub require: BTreeMap<String, String>,
    /// Tolerance for clocks that differ, at most 1 min.
    pub leeway: Duration,
}

/// Files of a TLS server. Absolute paths; they have not been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Certificate and those of its issuers, in PEM.
    pub cert: PathBuf,
    /// Private key, in PEM.
    pub key: PathBuf,
}

/// Log level: messages of this level and of more severe ones are logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogLevel {
    /// Failures.
    Error,
    /// Warnings: a person should look at them.
    Warn,
    /// Events.
    Info,
    /// Reasons of events.
    Debug,
    /// Every step.
    Trace,
}

/// Form of the log outside of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Settings of the watcher, which notices changes in the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Source of change events.
    pub backend: Backend,
    /// Interval at which directories without watches are compared with the index; with
    /// [`Backend::Poll`] all directories. At least 1 s.
    pub reconcile_every: Duration,
}

/// Source of events about changes in the file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Best one of this platform.
    Auto,
    /// inotify(7), one watch for each directory.
    Inotify,
    /// The `notify` crate, one watch for each directory.
    Notify,
    /// None: all directories are compared every `reconcile_every`, and for each sync.
    Poll,
}

/// Settings of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerSettings {
    /// Size in bytes at which a segment is closed and a new one begun; at least 64 KiB.
    pub segment_bytes: u64,
    /// Age at which a segment is closed and a new one begun; at least 1 min.
    pub segment_age: Duration,
    /// Limits on age and size of the lines that are kept.
    pub keep: Keep,
    /// Most directories or jobs whose removals share one write to the disk; at least 1.
    pub batch_units: u64,
}

/// Retention of the ledger; by default all of it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Keep {
    /// Age at which a segment is removed, measured by its newest line; `None`: never.
    pub age: Option<Duration>,
    /// Size in bytes of all segments together, above which the oldest are removed; `None`:
    /// unlimited.
    pub bytes: Option<u64>,
}

/// Settings of a source of jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSettings {
    /// Name, as in the policy.
    pub name: String,
    /// Kind of the source, and the connection to its database.
    pub kind: SourceKind,
}

/// Kind of a source, and the connection to its database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// Programs report its jobs through `/v1/jobs`.
    Api,
    /// Its jobs are in a database.
    Database(DatabaseOptions),
}

impl SourceKind {
    /// Name of the kind in configuration and JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Database(DatabaseOptions::Sqlite(_)) => "sqlite",
            Self::Database(DatabaseOptions::Postgres(_)) => "postgres",
        }
    }
}

/// Ids of sources by name, as [`RootIds`] for roots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceIds {
    ids: BTreeMap<String, SourceId>,
}

impl SourceIds {
    /// Returns the id of the source `name`; a new name gets a new id. `None` if no id is left.
    pub(super) fn assign(&mut self, name: &str) -> Option<SourceId> {
        if let Some(&id) = self.ids.get(name) {
            return Some(id);
        }
        let id = SourceId(u16::try_from(self.ids.len()).ok()?);
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}

/// Settings of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CacheSettings {
    /// Size on disk in bytes above which the cache is replaced by a smaller copy, if possible; at
    /// least 1 MiB.
    pub size_max: u64,
}

/// Settings of the command line. Relative paths here are below `--base-dir`, else
/// `LAPSED_BASE_DIR`, else the current directory. They are never below the file's directory, since
/// a user types them relative to the shell's.
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
    /// `--http ADDR`, in order.
    pub http: Vec<String>,
    /// `--base-dir DIR`; relative to the current directory.
    pub base_dir: Option<PathBuf>,
    /// Paths of roots by their names, from flags of a declared command.
    pub roots: BTreeMap<String, RootPath>,
    /// `--dry-run`.
    pub dry_run: bool,
    /// `--shadow`.
    pub shadow: bool,
    /// `--allow-unsafe-roots`.
    pub allow_unsafe_roots: bool,
}

/// Path of a root that a flag gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RootPath {
    /// The flag, with its dashes.
    pub flag: String,
    /// The path; relative to the current directory.
    pub path: String,
}

impl Overrides {
    /// Arguments that override a setting of the service, by its variable.
    pub(super) fn arguments(&self) -> BTreeMap<&'static str, Text> {
        let path = |variable, argument, path: &Option<PathBuf>| {
            let text = path.as_ref()?.to_string_lossy().into_owned();
            Some((variable, Text::argument(argument, &text)))
        };
        let flag = |variable, argument, is_given: bool| {
            is_given.then(|| (variable, Text::argument(argument, "true")))
        };
        let http = (!self.http.is_empty()).then(|| {
            (
                "LAPSED_HTTP_LISTEN",
                Text::argument("--http", &self.http.join(",")),
            )
        });
        let arguments = [
            http,
            path("LAPSED_BASE_DIR", "--base-dir", &self.base_dir),
            path("LAPSED_STATE_DIR", "--state-dir", &self.state_dir),
            path("LAPSED_SOCKET", "--socket", &self.socket),
            flag("LAPSED_DRY_RUN", "--dry-run", self.dry_run),
            flag("LAPSED_SHADOW", "--shadow", self.shadow),
            flag(
                "LAPSED_ALLOW_UNSAFE_ROOTS",
                "--allow-unsafe-roots",
                self.allow_unsafe_roots,
            ),
        ];
        arguments.into_iter().flatten().collect()
    }
}

/// Ids of roots by path. One instance is kept for the life of the process and passed to every
/// [`load`](super::load()), so that a path keeps its id over reloads. An id is never given to
/// another path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RootIds {
    ids: BTreeMap<PathBuf, RootId>,
    /// Ids of sources, in the same way.
    pub(super) sources: SourceIds,
    /// Variables of files at the last load.
    pub(super) variables: Memory,
}

impl RootIds {
    /// Returns the id of `path` (resolved) if it was ever a root.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<RootId> {
        self.ids.get(path).copied()
    }

    /// Returns the ids of all `paths`; new paths get new ids. If too few are left, returns `None`
    /// and changes nothing.
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
