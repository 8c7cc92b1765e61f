//! Assembly of a configuration.
//!
//! **Invariant:** all checks must pass before the first id is assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adapter::Sample;
use crate::core::facts::RootId;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::policy::{self, Policy, Root, Rule, Schedule};
use crate::core::report::{Breaker, Mode};
use crate::sources::DatabaseOptions;

use super::discovery;
use super::document::Source;
use super::endpoints::{Bases, NoHomePolicy, Places, bases, places, read_variables};
use super::environment::Environment;
use super::error::{ConfigError, Problem};
use super::guard::Guard;
use super::reader::{Reader, Reported};
use super::schema::{self, Top};
use super::setting::Table;
use super::settings::{
    CacheSettings, IDS_MAX, LedgerSettings, Overrides, RootIds, Settings, SourceKind,
    SourceSettings, Watch,
};
use super::sources::{self, Sources};
use super::variable_files;
use super::{adapter, http, jwt, notify, roots, rules, schedules};

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

/// Settings of a daemon's own files, without a file and without a root: for questions about the
/// records in `state_dir`.
///
/// # Errors
/// Returns the mistakes in the variables.
pub fn load_for_records(
    state_dir: PathBuf,
    socket: PathBuf,
    environment: &Environment,
) -> Result<Settings, ConfigError> {
    let overrides = Overrides {
        state_dir: Some(state_dir),
        socket: Some(socket),
        ..Overrides::default()
    };
    load_source(None, &overrides, environment, &mut RootIds::default())
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

/// Returns the problem of a process that has met too many roots or sources.
fn too_many(what: &str) -> Problem {
    let why = format!("there were more than {IDS_MAX} different {what} since the daemon started");
    Problem::of_process(why).hint("restart it")
}

fn load_source(
    source: Option<Source>,
    overrides: &Overrides,
    environment: &Environment,
    ids: &mut RootIds,
) -> Result<Settings, ConfigError> {
    let tree = source.as_ref().map(Source::parse).transpose()?;
    let mut reader = Reader::new(environment, source.as_ref(), overrides);
    read_variables(&mut reader, tree.as_ref(), source.as_ref(), &ids.variables);
    let top = reader.read(tree.as_ref(), None);
    let found = bases(&mut reader, &top, source.as_ref()).and_then(|bases| {
        let places = places(&mut reader, &top, &bases, NoHomePolicy::Refuse);
        let http = http::read(&mut reader, &top.http, &bases);
        let drafts = drafts(
            &mut reader,
            overrides,
            &top,
            &bases,
            places.as_ref().ok(),
            ids,
        );
        let sample = sample(&top, &drafts, &bases);
        let adapter = adapter::read(&mut reader, &top, &sample);
        Ok((bases, places?, http, drafts, adapter))
    });
    reader.refuse_misspelled_variables();
    variable_files::check_lost_names(&mut reader, &ids.variables);
    let (bases, places, http, drafts, adapter) = match found {
        Ok(found) => found,
        Err(Reported) => return Err(reader.into_error()),
    };
    let used = std::mem::take(&mut reader.referred);
    let (files, mut notes) = (reader.variables.files(&used), reader.variables.notes(&used));
    notes.extend(jwt::note(http.1.jwt_off));
    notes.extend(drafts.notify.notes.iter().cloned());
    let postponed = drafts.roots.iter().filter_map(roots::Draft::postponed);
    let postponed = postponed.collect();
    let paths = drafts.roots.iter().filter_map(roots::Draft::template);
    let memory = reader.variables.memory(&used, paths.collect());
    reader.finish()?;

    let create = drafts.created();
    let ways = drafts.roots.iter().filter_map(|root| root.ways(&bases));
    let ways = ways.collect();
    let written: Vec<String> = drafts
        .roots
        .iter()
        .filter_map(roots::Draft::written)
        .collect();
    let base_dir = bases.file.unwrap_or_else(|| PathBuf::from("/"));
    // A copy: if there are too many roots, it is discarded and `ids` stays unchanged.
    let mut source_ids = ids.sources.clone();
    let sources = drafts.sources.finish(&base_dir, ways, &mut source_ids);
    let sources = sources.ok_or_else(|| too_many("sources"))?;
    let (roots, given) =
        roots::finish(drafts.roots, &sources.given, ids).ok_or_else(|| too_many("roots"))?;
    let undo = top.undo.valid().disposal();
    let rules = rules::finish(drafts.rules, &given, &sources.given, undo);
    ids.sources = source_ids;
    ids.variables = memory;
    Ok(Settings {
        variables: files,
        notes,
        postponed,
        written: given.iter().copied().zip(written).collect(),
        base_dir,
        state_dir: places.state_dir,
        socket: places.socket,
        socket_mode: top.socket_mode.valid().0,
        http: http.0,
        access: http.1,
        receivers: drafts.notify.receivers,
        adapter: Arc::new(adapter),
        group: top.group.get().map(|group| group.0.clone()),
        policy: policy(
            &top,
            (rules, drafts.schedules),
            roots,
            sources.policy,
            &sources.settings,
        ),
        create,
        sources: sources.settings,
        breaker: breaker(&top.breaker),
        watch: Watch {
            backend: *top.watch.backend.valid(),
            reconcile_every: top.watch.reconcile_every.valid().0,
        },
        ledger: ledger(&top.ledger),
        workers: top.reap.workers.valid().0,
        cache: CacheSettings {
            size_max: top.store.size_max.valid().0,
        },
        shadow: *top.shadow.valid(),
        mode: if *top.dry_run.valid() || *top.shadow.valid() {
            Mode::DryRun
        } else {
            Mode::Live
        },
        automatic: *top.automatic.valid(),
        log_level: *top.log_level.valid(),
        log_format: *top.log_format.valid(),
        text: source.as_ref().map(|source| source.text().to_owned()),
        file: source.map(|source| source.path().to_path_buf()),
    })
}

fn policy(
    top: &Top,
    (mut rules, schedules): (rules::Finished, Vec<schedules::Draft>),
    roots: BTreeMap<RootId, Root>,
    sources: BTreeMap<SourceId, policy::Source>,
    settings: &BTreeMap<SourceId, SourceSettings>,
) -> Policy {
    if !top.automatic.valid() {
        let by_itself = |rule: &&mut Rule| rule.schedule != Schedule::Named;
        for rule in rules.enabled.iter_mut().filter(by_itself) {
            rule.schedule = Schedule::Manual;
        }
    }
    let mut policy = Policy {
        sources,
        roots,
        rules: rules.enabled,
        disabled_rules: rules.disabled,
        schedules: Vec::new(),
        databases: BTreeSet::new(),
        cleans_at_start: *top.clean_at_start.valid(),
    };
    policy.databases = databases(&policy, settings);
    policy.schedules = schedules::finish(schedules, &policy, *top.automatic.valid());
    policy
}

fn breaker(breaker: &schema::Breaker) -> Breaker {
    Breaker {
        entries: *breaker.entries.valid(),
        share: breaker.share.valid().0,
        orphan_entries: *breaker.orphan_entries.valid(),
        orphan_bytes: breaker.orphan_bytes.valid().0,
        orphan_share: breaker.orphan_share.valid().0,
    }
}

fn ledger(ledger: &schema::Ledger) -> LedgerSettings {
    LedgerSettings {
        segment_bytes: ledger.segment_bytes.valid().0,
        segment_age: ledger.segment_age.valid().0,
        keep: *ledger.keep.valid(),
        batch_units: ledger.batch_units.valid().0,
    }
}

/// SQLite databases in roots, with the files that SQLite keeps beside them: no rule ever applies to
/// these.
fn databases(
    policy: &Policy,
    sources: &BTreeMap<SourceId, SourceSettings>,
) -> BTreeSet<(RootId, RelPath)> {
    let mut found = BTreeSet::new();
    for source in sources.values() {
        let SourceKind::Database(DatabaseOptions::Sqlite(sqlite)) = &source.kind else {
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
struct Drafts<'a> {
    sources: Sources,
    roots: Vec<roots::Draft<'a>>,
    rules: Vec<rules::Draft>,
    schedules: Vec<schedules::Draft>,
    notify: notify::Found,
}

impl Drafts<'_> {
    fn created(&self) -> Vec<PathBuf> {
        let typed = self.roots.iter().filter(|root| root.ttl.is_some());
        typed
            .filter_map(|root| root.path())
            .map(PathBuf::from)
            .collect()
    }
}

/// Invented results with the names of this configuration.
fn sample(top: &Table<Top>, drafts: &Drafts, bases: &Bases) -> Sample {
    let base_dir = bases.file.as_deref().unwrap_or(Path::new("/"));
    let base_dir = base_dir.to_string_lossy();
    let path = |root: &roots::Draft| (root.name.clone(), format!("{base_dir}/{}", root.name));
    let roots: Vec<_> = drafts.roots.iter().map(path).collect();
    let rules = top.rule.iter().zip(1..).map(|(rule, number)| {
        let name = rule.name.get().map(|name| name.0.clone());
        name.unwrap_or_else(|| format!("rule {number}"))
    });
    let rules: Vec<_> = rules.collect();
    Sample::new(
        &base_dir,
        rules.iter().map(String::as_str),
        roots.iter().map(|(name, path)| (&**name, &**path)),
        top.schedule
            .iter()
            .filter_map(|schedule| Some(&*schedule.name.get()?.0)),
    )
}

fn drafts<'a>(
    reader: &mut Reader,
    overrides: &Overrides,
    top: &'a Table<Top>,
    bases: &Bases,
    places: Option<&Places>,
    ids: &RootIds,
) -> Drafts<'a> {
    let sources = sources::read(reader, &top.source, bases);
    let of_file = top.root.iter();
    let mut roots: Vec<_> = of_file
        .map(|root| {
            let place = (bases, &overrides.roots);
            roots::from_table(reader, root, place, &sources, &ids.variables)
        })
        .collect();
    for argument in &overrides.watch {
        roots.extend(roots::from_argument(reader, argument, bases));
    }
    let is_rootless = !top.given.contains_key("root") && overrides.watch.is_empty();
    if is_rootless && reader.source.is_some() {
        let problem = top.problem("no root: nothing would be watched");
        reader.note(problem.hint("write [[root]] with path = \"…\", or give --watch PATH=TTL"));
    }
    if roots.len() > IDS_MAX {
        reader.note(Problem::of_process(format!(
            "{} roots, but the limit is {IDS_MAX}",
            roots.len()
        )));
    }
    roots::name_all(reader, &mut roots);
    let may_be_unsafe = top.allow_unsafe_roots.get().is_some_and(|&allowed| allowed);
    let guard = places
        .filter(|_| !may_be_unsafe)
        .map(|places| Guard::new(reader.environment, &places.state_dir, &places.socket));
    roots::check_paths(reader, &roots, guard.as_ref(), ids);
    let problems = reader.count();
    let rules = rules::read(reader, &top.rule, &roots, &sources);
    let known = schedules::Known {
        rules: rules.iter().map(rules::Draft::name).collect(),
        is_complete: reader.count() == problems,
    };
    let schedules = schedules::read(reader, &top.schedule, &known);
    let names: Vec<&str> = roots.iter().map(|root| &*root.name).collect();
    let notify = notify::read(reader, &top.notify, &names, &known);
    Drafts {
        sources,
        roots,
        rules,
        schedules,
        notify,
    }
}
