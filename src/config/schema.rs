//! All keys: one table for the file, the variables and the messages.
//!
//! **Invariant:** a key that is not listed here is unknown, and always refused.

/// Key of the file and, for settings of the service, the variable that overrides it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    /// Table of the key; empty for the top level.
    pub section: &'static str,
    /// Name of the key.
    pub name: &'static str,
    /// Variable that overrides the key.
    pub variable: Option<&'static str>,
    /// Accepted TOML types.
    pub accept: Accept,
    /// Example of a value, in TOML.
    pub example: &'static str,
}

/// Accepted TOML types of a key. A string is always accepted, since it may name variables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Accept {
    /// A string.
    Text,
    /// A string, or a list of strings.
    Texts,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// A table of strings.
    Words,
    /// A string, or a table of strings.
    TextOrWords,
}

impl Accept {
    /// Description for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Texts => "a string or a list of strings",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Words => "a table of strings",
            Self::TextOrWords => "a string or a table of strings",
        }
    }
}

const fn service(
    section: &'static str,
    name: &'static str,
    variable: &'static str,
    accept: Accept,
    example: &'static str,
) -> Key {
    Key {
        section,
        name,
        variable: Some(variable),
        accept,
        example,
    }
}

const fn key(
    section: &'static str,
    name: &'static str,
    accept: Accept,
    example: &'static str,
) -> Key {
    Key {
        section,
        name,
        variable: None,
        accept,
        example,
    }
}

use Accept::{Flag, Number, Text, TextOrWords, Texts, Words};

/// Variable that names the file.
pub(super) const CONFIG_VARIABLE: &str = "LAPSED_CONFIG";

pub(super) const BASE_DIR: Key = service("", "base_dir", "LAPSED_BASE_DIR", Text, "\"/srv/app\"");
pub(super) const STATE_DIR: Key = service(
    "",
    "state_dir",
    "LAPSED_STATE_DIR",
    Text,
    "\"/var/lib/lapsed\"",
);
pub(super) const SOCKET: Key = service(
    "",
    "socket",
    "LAPSED_SOCKET",
    Text,
    "\"/run/lapsed/lapsed.sock\"",
);
pub(super) const SOCKET_MODE: Key =
    service("", "socket_mode", "LAPSED_SOCKET_MODE", Text, "\"0660\"");
pub(super) const GROUP: Key = service("", "group", "LAPSED_GROUP", Text, "\"staff\"");
pub(super) const DRY_RUN: Key = service("", "dry_run", "LAPSED_DRY_RUN", Flag, "true");
pub(super) const LOG_LEVEL: Key = service("", "log_level", "LAPSED_LOG_LEVEL", Text, "\"info\"");
pub(super) const AUTOMATIC: Key = service("", "automatic", "LAPSED_AUTOMATIC", Flag, "false");
pub(super) const CLEAN_AT_START: Key =
    service("", "clean_at_start", "LAPSED_CLEAN_AT_START", Flag, "true");
pub(super) const ALLOW_UNSAFE_ROOTS: Key = service(
    "",
    "allow_unsafe_roots",
    "LAPSED_ALLOW_UNSAFE_ROOTS",
    Flag,
    "true",
);
pub(super) const BACKEND: Key =
    service("watch", "backend", "LAPSED_WATCH_BACKEND", Text, "\"auto\"");
pub(super) const RECONCILE_EVERY: Key = service(
    "watch",
    "reconcile_every",
    "LAPSED_WATCH_RECONCILE_EVERY",
    Text,
    "\"60s\"",
);
pub(super) const ENTRIES: Key = service(
    "breaker",
    "entries",
    "LAPSED_BREAKER_ENTRIES",
    Number,
    "1000",
);
pub(super) const SHARE: Key = service("breaker", "share", "LAPSED_BREAKER_SHARE", Number, "0.5");
pub(super) const ORPHAN_ENTRIES: Key = service(
    "breaker",
    "orphan_entries",
    "LAPSED_BREAKER_ORPHAN_ENTRIES",
    Number,
    "10000",
);
pub(super) const ORPHAN_BYTES: Key = service(
    "breaker",
    "orphan_bytes",
    "LAPSED_BREAKER_ORPHAN_BYTES",
    Number,
    "\"100GiB\"",
);
pub(super) const ORPHAN_SHARE: Key = service(
    "breaker",
    "orphan_share",
    "LAPSED_BREAKER_ORPHAN_SHARE",
    Number,
    "0.5",
);
pub(super) const SEGMENT_BYTES: Key = service(
    "ledger",
    "segment_bytes",
    "LAPSED_LEDGER_SEGMENT_BYTES",
    Number,
    "\"16MiB\"",
);
pub(super) const SEGMENT_AGE: Key = service(
    "ledger",
    "segment_age",
    "LAPSED_LEDGER_SEGMENT_AGE",
    Text,
    "\"30d\"",
);
pub(super) const LEDGER_KEEP: Key = service(
    "ledger",
    "keep",
    "LAPSED_LEDGER_KEEP",
    Text,
    "\"400d, 1GiB\"",
);
pub(super) const BATCH_UNITS: Key = service(
    "ledger",
    "batch_units",
    "LAPSED_LEDGER_BATCH_UNITS",
    Number,
    "64",
);

pub(super) const SIZE_MAX: Key = service(
    "store",
    "size_max",
    "LAPSED_STORE_SIZE_MAX",
    Number,
    "\"512MiB\"",
);

/// Settings of the service: scalars, each with its variable.
pub(super) const SERVICE: &[Key] = &[
    BASE_DIR,
    STATE_DIR,
    SOCKET,
    SOCKET_MODE,
    GROUP,
    DRY_RUN,
    LOG_LEVEL,
    AUTOMATIC,
    CLEAN_AT_START,
    ALLOW_UNSAFE_ROOTS,
    BACKEND,
    RECONCILE_EVERY,
    ENTRIES,
    SHARE,
    ORPHAN_ENTRIES,
    ORPHAN_BYTES,
    ORPHAN_SHARE,
    SEGMENT_BYTES,
    SEGMENT_AGE,
    LEDGER_KEEP,
    BATCH_UNITS,
    SIZE_MAX,
];

pub(super) const ROOT_NAME: Key = key(ROOT, "name", Text, "\"results\"");
pub(super) const ROOT_PATH: Key = key(ROOT, "path", Text, "\"/srv/results\"");
pub(super) const OWNER: Key = key(ROOT, "owner", Texts, "\"{job}/**\"");
pub(super) const ROOT_SOURCE: Key = key(ROOT, "source", Text, "\"eemt\"");
pub(super) const ORPHANS: Key = key(ROOT, "orphans", Text, "\"{uuid}/**\"");
pub(super) const PRUNE_EMPTY_DIRS: Key = key(ROOT, "prune_empty_dirs", Flag, "true");
pub(super) const ONLY: Key = key(ROOT, "only", Texts, "[\"out_*\"]");
pub(super) const OPTIONAL: Key = key(ROOT, "optional", Flag, "true");
pub(super) const ALLOW_UNSAFE: Key = key(ROOT, "allow_unsafe", Flag, "true");
/// Keys of a `[[root]]`.
pub(super) const ROOT_KEYS: &[Key] = &[
    ROOT_NAME,
    ROOT_PATH,
    OWNER,
    ROOT_SOURCE,
    ORPHANS,
    PRUNE_EMPTY_DIRS,
    ONLY,
    OPTIONAL,
    ALLOW_UNSAFE,
];

pub(super) const RULE_NAME: Key = key(RULE, "name", Text, "\"old results\"");
pub(super) const RULE_ROOT: Key = key(RULE, "root", Texts, "[\"results\", \"uploads\"]");
pub(super) const GLOB: Key = key(RULE, "glob", Texts, "\"**/*.tmp\"");
pub(super) const EXCLUDE: Key = key(RULE, "exclude", Texts, "[\"**/*.log\"]");
pub(super) const KEEP: Key = key(RULE, "keep", Texts, "[\"**/*.log\"]");
pub(super) const JOB: Key = key(RULE, "job", Texts, "[\"completed\", \"failed\"]");
pub(super) const RULE_KIND: Key = key(RULE, "kind", Texts, "\"thumbnails\"");
pub(super) const RULE_SOURCE: Key = key(RULE, "source", Texts, "\"eemt\"");
pub(super) const SINCE: Key = key(RULE, "since", Text, "\"newest\"");
pub(super) const EXPIRE: Key = key(RULE, "expire", Text, "\"7d\"");
pub(super) const UNIT: Key = key(RULE, "unit", Text, "\"file\"");
pub(super) const RECORD: Key = key(RULE, "record", Text, "\"mark\"");
pub(super) const THEN: Key = key(RULE, "then", Text, "\"delete\"");
pub(super) const SKIP_OPEN: Key = key(RULE, "skip_open", Flag, "true, or \"if-known\"");
pub(super) const SCHEDULE: Key = key(RULE, "schedule", Text, "\"0 3 * * *\"");
/// Keys of a `[[rule]]`.
pub(super) const RULE_KEYS: &[Key] = &[
    RULE_NAME,
    RULE_ROOT,
    GLOB,
    EXCLUDE,
    KEEP,
    JOB,
    RULE_KIND,
    RULE_SOURCE,
    SINCE,
    EXPIRE,
    UNIT,
    RECORD,
    THEN,
    SKIP_OPEN,
    SCHEDULE,
];

pub(super) const SOURCE_NAME: Key = key(SOURCE, "name", Text, "\"eemt\"");
pub(super) const SOURCE_KIND: Key = key(SOURCE, "kind", Text, "\"sqlite\"");
pub(super) const SOURCE_PATH: Key = key(SOURCE, "path", Text, "\"jobs.db\"");
pub(super) const SOURCE_URL: Key = key(
    SOURCE,
    "url",
    Text,
    "\"postgresql://lapsed@db.example.org/app\"",
);
pub(super) const CHANNEL: Key = key(SOURCE, "channel", Text, "\"lapsed_eemt\"");
pub(super) const POLL: Key = key(SOURCE, "poll", Text, "\"10s\"");
pub(super) const STATEMENT_TIMEOUT: Key = key(SOURCE, "statement_timeout", Text, "\"30s\"");
pub(super) const SELECT: Key = key(SOURCE, "select", Text, "\"SELECT id, status FROM jobs\"");
pub(super) const CHANGED: Key = key(
    SOURCE,
    "changed",
    Text,
    "\"SELECT id, status, changed_at FROM jobs WHERE changed_at >= :since\"",
);
pub(super) const STATUS: Key = key(SOURCE, "status", Text, "\"completed\"");
pub(super) const STATUSES: Key = key(SOURCE, "statuses", Words, "{ done = \"completed\" }");
pub(super) const TIMEZONE: Key = key(
    SOURCE,
    "timezone",
    TextOrWords,
    "{ completed_at = \"local\" }",
);
pub(super) const ADD_COLUMNS: Key = key(
    SOURCE,
    "add_columns",
    Words,
    "{ \"jobs.data_cleaned_at\" = \"TIMESTAMP\" }",
);
pub(super) const MARK: Key = key(
    SOURCE,
    "mark",
    Texts,
    "\"UPDATE jobs SET cleaned_at = :now WHERE id = :job\"",
);
pub(super) const FORGET: Key = key(
    SOURCE,
    "forget",
    Texts,
    "\"DELETE FROM jobs WHERE id = :job\"",
);
pub(super) const REQUIRED: Key = key(SOURCE, "required", Flag, "false");
pub(super) const LISTED: Key = key(SOURCE, "listed", Flag, "false");
pub(super) const FILES_ROOT: Key = key(SOURCE, "files_root", Text, "\"uploads\"");
pub(super) const PATH_MAP: Key = key(SOURCE, "path_map", Words, "{ \"/data\" = \"data\" }");
pub(super) const DERIVED: Key = key(SOURCE, "derived", Texts, "\"{stem}_processed.mp3\"");
pub(super) const ID_PATTERN: Key = key(SOURCE, "id_pattern", Text, "'job-\\d{8}-\\d{6}'");
/// Keys of a `[[source]]`.
pub(super) const SOURCE_KEYS: &[Key] = &[
    SOURCE_NAME,
    SOURCE_KIND,
    SOURCE_PATH,
    SOURCE_URL,
    SELECT,
    CHANGED,
    STATUS,
    STATUSES,
    TIMEZONE,
    ADD_COLUMNS,
    MARK,
    FORGET,
    CHANNEL,
    POLL,
    STATEMENT_TIMEOUT,
    REQUIRED,
    LISTED,
    FILES_ROOT,
    PATH_MAP,
    DERIVED,
    ID_PATTERN,
];
/// Keys of a `[[source]]` that concern a database.
pub(super) const DATABASE_KEYS: &[Key] = &[
    SOURCE_PATH,
    SOURCE_URL,
    SELECT,
    CHANGED,
    STATUS,
    STATUSES,
    TIMEZONE,
    ADD_COLUMNS,
    MARK,
    FORGET,
    CHANNEL,
    POLL,
    STATEMENT_TIMEOUT,
    REQUIRED,
    LISTED,
];

/// Keys of a `[[source]]` that concern a database file.
pub(super) const FILE_KEYS: &[Key] = &[SOURCE_PATH, ADD_COLUMNS];
/// Keys of a `[[source]]` that concern a database server.
pub(super) const SERVER_KEYS: &[Key] = &[CHANNEL, POLL, STATEMENT_TIMEOUT];

/// Table of a root.
pub(super) const ROOT: &str = "root";
/// Table of a rule.
pub(super) const RULE: &str = "rule";
/// Table of a source.
pub(super) const SOURCE: &str = "source";
/// Table of service settings.
pub(super) const WATCH: &str = "watch";
/// See [`WATCH`].
pub(super) const BREAKER: &str = "breaker";
/// See [`WATCH`].
pub(super) const LEDGER: &str = "ledger";
/// See [`WATCH`].
pub(super) const STORE: &str = "store";
/// Tables of the top level.
pub(super) const TABLES: &[&str] = &[WATCH, BREAKER, LEDGER, STORE, SOURCE, ROOT, RULE];

/// Names that are allowed in table `section`; the top level is the empty one.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let keys = SERVICE.iter().chain(SOURCE_KEYS).chain(ROOT_KEYS);
    let keys = keys
        .chain(RULE_KEYS)
        .filter(|key| key.section == section)
        .map(|key| key.name);
    let tables: &[&str] = if section.is_empty() { TABLES } else { &[] };
    keys.chain(tables.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_after_its_key() {
        for key in SERVICE {
            let section = match key.section {
                "" => String::new(),
                section => format!("{section}_"),
            };
            let wanted = format!("LAPSED_{section}{}", key.name).to_uppercase();
            assert_eq!(key.variable, Some(&*wanted));
        }
    }
}
