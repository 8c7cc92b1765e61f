//! Assembly of a configuration.
//!
//! **Invariant:** all checks must pass before the first id is assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, Schedule};
use crate::core::report::{Breaker, Mode};

use super::discovery;
use super::document::{Section, Source};
use super::endpoints::{Bases, NoHomePolicy, Places, bases, places};
use super::environment::Environment;
use super::error::{ConfigError, Problem};
use super::guard::Guard;
use super::reader::{Reader, Reported};
use super::schema::{
    ALLOW_UNSAFE_ROOTS, AUTOMATIC, BACKEND, BATCH_UNITS, CLEAN_AT_START, DRY_RUN, ENTRIES, GROUP,
    LEDGER_KEEP, LOG_LEVEL, ORPHAN_BYTES, ORPHAN_ENTRIES, ORPHAN_SHARE, RECONCILE_EVERY,
    SEGMENT_AGE, SEGMENT_BYTES, SHARE, SIZE_MAX, SOCKET_MODE,
};
use super::settings::{
    Backend, CacheSettings, IDS_MAX, LedgerSettings, LogLevel, Overrides, RootIds, Settings,
    SourceKind, SourceSettings, Watch,
};
use super::sources::{self, Sources};
use super::{roots, rules, value};

/// The daemon's user and group may connect; a client that can connect may query.
const SOCKET_MODE_DEFAULT: u32 = 0o660;
/// A shorter interval would amount to polling.
const RECONCILE_EVERY_MIN: Duration = Duration::from_secs(1);
/// A smaller segment might hold fewer lines than the removal of one directory writes.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// An empty database takes half of this.
const SIZE_MAX_MIN: u64 = 1 << 20;
/// 1 PiB: more than any sensible size, and sums stay far below the limit of 64 bits.
const BYTES_MAX: u64 = 1 << 50;
/// A shorter age would create more files than lines.
const SEGMENT_AGE_MIN: Duration = Duration::from_mins(1);

/// Reads and validates the whole configuration.
///
/// `ids` keeps the ids of roots and sources over reloads. If loading fails, it is unchanged.
///
/// # Errors
/// Returns every mistake that one pass finds in the file, in the variables and on the command line.
pub fn load(
    overrides: &Overrides,
    environment: &Environment,
    ids: &mut RootIds,
) -> Result<Settings, ConfigError> {
    let source = discovery::required(overrides, environment)?;
    load_source(source, overrides, environment, ids)
}

/// Loads a file that is not written yet: `text`, as if it were at `path`, which is absolute.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    environment: &Environment,
) -> Result<Settings, ConfigError> {
    let source = Source::new(path.to_path_buf(), text.to_owned());
    load_source(
        Some(source),
        overrides,
        environment,
        &mut RootIds::default(),
    )
}

fn load_source(
    source: Option<Source>,
    overrides: &Overrides,
    environment: &Environment,
    ids: &mut RootIds,
) -> Result<Settings, ConfigError> {
    let tree = source.as_ref().map(Source::parse).transpose()?;
    let top = match (&source, &tree) {
        (Some(source), Some(tree)) => Section::top(source, tree),
        (None, _) | (_, None) => Section::absent(""),
    };
    let mut reader = Reader::new(environment);
    reader.refuse_unknown_settings(&top);
    let bases = bases(&mut reader, overrides, &top, source.as_ref());
    let service = service(&mut reader, overrides, &top);
    let found = bases.and_then(|bases| {
        let places = places(&mut reader, overrides, &top, &bases, NoHomePolicy::Refuse);
        let drafts = drafts(
            &mut reader,
            overrides,
            &top,
            &bases,
            places.as_ref().ok(),
            ids,
        );
        Ok((bases, places?, drafts))
    });
    reader.refuse_misspelled_variables();
    let (bases, places, drafts) = match found {
        Ok(found) => found,
        Err(Reported) => return Err(reader.into_error()),
    };
    reader.finish()?;

    let create = drafts.created();
    let too_many = |what: &str| {
        Problem::of_process(format!(
            "there were more than {IDS_MAX} different {what} since the daemon started"
        ))
        .hint("restart it")
    };
    let ways = drafts.roots.iter().filter_map(|root| root.ways(&bases));
    let ways = ways.collect();
    let base_dir = bases.file.unwrap_or_else(|| PathBuf::from("/"));
    // A copy: if there are too many roots, it is discarded and `ids` stays unchanged.
    let mut source_ids = ids.sources.clone();
    let sources = drafts.sources.finish(&base_dir, ways, &mut source_ids);
    let sources = sources.ok_or_else(|| too_many("sources"))?;
    let (roots, given) =
        roots::finish(drafts.roots, &sources.given, ids).ok_or_else(|| too_many("roots"))?;
    ids.sources = source_ids;
    Ok(Settings {
        base_dir,
        state_dir: places.state_dir,
        socket: places.socket,
        socket_mode: service.socket_mode,
        group: service.group,
        policy: {
            let mut rules = rules::finish(drafts.rules, &given, &sources.given);
            if !service.automatic {
                for rule in &mut rules {
                    rule.schedule = Schedule::Manual;
                }
            }
            let mut policy = Policy {
                sources: sources.policy,
                roots,
                rules,
                databases: BTreeSet::new(),
                cleans_at_start: service.cleans_at_start,
            };
            policy.databases = databases(&policy, &sources.settings);
            policy
        },
        create,
        sources: sources.settings,
        breaker: service.breaker,
        watch: service.watch,
        ledger: service.ledger,
        cache: service.cache,
        mode: service.mode,
        automatic: service.automatic,
        log_level: service.log_level,
        text: source.as_ref().map(|source| source.text().to_owned()),
        file: source.map(|source| source.path().to_path_buf()),
    })
}

/// SQLite databases in roots, with the files that SQLite keeps beside them: no rule ever applies to
/// these.
fn databases(
    policy: &Policy,
    sources: &BTreeMap<SourceId, SourceSettings>,
) -> BTreeSet<(RootId, RelPath)> {
    let mut found = BTreeSet::new();
    for source in sources.values() {
        let SourceKind::Sqlite(sqlite) = &source.kind else {
            continue;
        };
        let real = sqlite.path.canonicalize().ok();
        for path in [Some(sqlite.path.clone()), real].into_iter().flatten() {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let mut path = path.clone().into_os_string();
                path.push(suffix);
                found.extend(policy.locate(Path::new(&path)));
            }
        }
    }
    found
}

/// Sources, roots and rules before they have ids.
struct Drafts {
    sources: Sources,
    roots: Vec<roots::Draft>,
    rules: Vec<rules::Draft>,
}

impl Drafts {
    fn created(&self) -> Vec<PathBuf> {
        let typed = self.roots.iter().filter(|root| root.ttl.is_some());
        typed
            .filter_map(|root| root.path())
            .map(PathBuf::from)
            .collect()
    }
}

fn drafts(
    reader: &mut Reader,
    overrides: &Overrides,
    top: &Section,
    bases: &Bases,
    places: Option<&Places>,
    ids: &RootIds,
) -> Drafts {
    let sources = sources::read(reader, top, bases);
    let mut roots = roots::from_file(reader, top, bases, &sources);
    for argument in &overrides.watch {
        roots.extend(roots::from_argument(reader, argument, bases));
    }
    if !top.has("root") && overrides.watch.is_empty() {
        reader.note(Problem {
            place: top.place(),
            message: "there is no root: nothing would be watched".into(),
            hint: Some("write [[root]] with path = \"…\", or give --watch PATH=TTL".into()),
        });
    }
    if roots.len() > IDS_MAX {
        reader.note(Problem::of_process(format!(
            "{} roots, where at most {IDS_MAX} may be",
            roots.len()
        )));
    }
    roots::name_all(reader, &mut roots);
    let unsafe_roots = overrides.allow_unsafe_roots
        || reader
            .set(top, &ALLOW_UNSAFE_ROOTS, value::flag)
            .unwrap_or(false);
    let guard = places
        .filter(|_| !unsafe_roots)
        .map(|places| Guard::new(reader.environment, &places.state_dir, &places.socket));
    roots::check_paths(reader, &roots, guard.as_ref(), ids);
    let rules = rules::read(reader, top, &roots, &sources);
    Drafts {
        sources,
        roots,
        rules,
    }
}

/// Settings of the service other than paths.
struct Service {
    socket_mode: u32,
    group: Option<String>,
    breaker: Breaker,
    watch: Watch,
    ledger: LedgerSettings,
    cache: CacheSettings,
    mode: Mode,
    automatic: bool,
    cleans_at_start: bool,
    log_level: Option<LogLevel>,
}

fn service(reader: &mut Reader, overrides: &Overrides, top: &Section) -> Service {
    let watch = Watch::default();
    let dry_run = overrides.dry_run || reader.set(top, &DRY_RUN, value::flag).unwrap_or(false);
    let backends = value::choice(&[
        ("auto", Backend::Auto),
        ("inotify", Backend::Inotify),
        ("notify", Backend::Notify),
        ("poll", Backend::Poll),
    ]);
    Service {
        socket_mode: reader
            .set(top, &SOCKET_MODE, value::permissions)
            .unwrap_or(SOCKET_MODE_DEFAULT),
        group: reader.set(top, &GROUP, value::group),
        breaker: breaker(reader, top),
        watch: Watch {
            backend: reader.set(top, &BACKEND, backends).unwrap_or(watch.backend),
            reconcile_every: reader
                .set(
                    top,
                    &RECONCILE_EVERY,
                    value::duration_from(RECONCILE_EVERY_MIN),
                )
                .unwrap_or(watch.reconcile_every),
        },
        ledger: ledger(reader, top),
        cache: CacheSettings {
            size_max: reader
                .set(top, &SIZE_MAX, value::size(SIZE_MAX_MIN..=BYTES_MAX))
                .unwrap_or(CacheSettings::default().size_max),
        },
        mode: if dry_run { Mode::DryRun } else { Mode::Live },
        automatic: reader.set(top, &AUTOMATIC, value::flag).unwrap_or(true),
        cleans_at_start: reader
            .set(top, &CLEAN_AT_START, value::flag)
            .unwrap_or(false),
        log_level: reader.set(top, &LOG_LEVEL, value::log_level),
    }
}

fn breaker(reader: &mut Reader, top: &Section) -> Breaker {
    let usual = Breaker::default();
    let mut count = |key, usual| reader.set(top, key, value::count).unwrap_or(usual);
    let entries = count(&ENTRIES, usual.entries);
    let orphan_entries = count(&ORPHAN_ENTRIES, usual.orphan_entries);
    let mut share = |key, usual| reader.set(top, key, value::share).unwrap_or(usual);
    Breaker {
        entries,
        share: share(&SHARE, usual.share),
        orphan_entries,
        orphan_share: share(&ORPHAN_SHARE, usual.orphan_share),
        orphan_bytes: reader
            .set(top, &ORPHAN_BYTES, value::size_or_none(0..=BYTES_MAX))
            .unwrap_or(usual.orphan_bytes),
    }
}

fn ledger(reader: &mut Reader, top: &Section) -> LedgerSettings {
    let usual = LedgerSettings::default();
    let segment_bytes = reader
        .set(
            top,
            &SEGMENT_BYTES,
            value::size(SEGMENT_BYTES_MIN..=BYTES_MAX),
        )
        .unwrap_or(usual.segment_bytes);
    LedgerSettings {
        segment_bytes,
        segment_age: reader
            .set(top, &SEGMENT_AGE, value::duration_from(SEGMENT_AGE_MIN))
            .unwrap_or(usual.segment_age),
        keep: reader
            .set(top, &LEDGER_KEEP, value::keep)
            .unwrap_or(usual.keep),
        batch_units: reader
            .set(top, &BATCH_UNITS, value::count_from(1))
            .unwrap_or(usual.batch_units),
    }
}
