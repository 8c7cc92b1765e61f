//! Puts a configuration together.
//!
//! **Invariant:** everything that can be wrong was looked at before the first id is given out.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::policy::Policy;
use crate::core::report::{Breaker, Mode};

use super::discovery;
use super::document::{Section, Source};
use super::endpoints::{Bases, Homeless, Places, bases, places};
use super::environment::Environment;
use super::error::{ConfigError, Problem};
use super::guard::Guard;
use super::reader::{Noted, Reader};
use super::schema::{
    ALLOW_UNSAFE_ROOTS, BACKEND, DRY_RUN, ENTRIES, GROUP, RECONCILE_EVERY, SEGMENT_AGE,
    SEGMENT_BYTES, SHARE, SIZE_MAX, SOCKET_MODE,
};
use super::settings::{
    Backend, IDS_MAX, LedgerSettings, Overrides, RootIds, Settings, StoreSettings, Watch,
};
use super::{roots, rules, value};

/// Who can connect may ask: the daemon's user and its group.
const SOCKET_MODE_DEFAULT: u32 = 0o660;
/// More often would be polling.
const RECONCILE_EVERY_MIN: Duration = Duration::from_secs(1);
/// A smaller segment holds fewer lines than a removal of one directory may write.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// An empty database takes half of this.
const SIZE_MAX_MIN: u64 = 1 << 20;
/// No file system holds a greater file, and sums stay far from the ends of 64 bits.
const BYTES_MAX: u64 = 1 << 50;
/// More often would make more files than lines.
const SEGMENT_AGE_MIN: Duration = Duration::from_mins(1);

/// Reads and validates the whole configuration.
///
/// `ids` keeps the ids of roots over reloads; it is unchanged when this fails.
///
/// # Errors
/// Every mistake that one pass finds, in the file, in the variables and on the command line.
pub fn load(
    overrides: &Overrides,
    environment: &Environment,
    ids: &mut RootIds,
) -> Result<Settings, ConfigError> {
    let source = discovery::required(overrides, environment)?;
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
        let places = places(&mut reader, overrides, &top, &bases, Homeless::IsRefused);
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
        Err(Noted) => return Err(reader.into_error()),
    };
    reader.finish()?;

    let create = drafts.created();
    let (roots, given) = roots::finish(drafts.roots, ids).ok_or_else(|| {
        Problem::of_process(format!(
            "there were more than {IDS_MAX} different roots since the daemon started"
        ))
        .hint("restart it")
    })?;
    Ok(Settings {
        base_dir: bases.file.unwrap_or_else(|| PathBuf::from("/")),
        state_dir: places.state_dir,
        socket: places.socket,
        socket_mode: service.socket_mode,
        group: service.group,
        policy: Policy {
            roots,
            rules: rules::finish(drafts.rules, &given),
        },
        create,
        breaker: service.breaker,
        watch: service.watch,
        ledger: service.ledger,
        store: service.store,
        mode: service.mode,
        text: source.as_ref().map(|source| source.text().to_owned()),
        file: source.map(|source| source.path().to_path_buf()),
    })
}

/// Roots and rules before they have ids.
struct Drafts {
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
    let mut roots = roots::from_file(reader, top, bases);
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
    let rules = rules::read(reader, top, &roots);
    Drafts { roots, rules }
}

/// Settings of the service that are no paths.
struct Service {
    socket_mode: u32,
    group: Option<String>,
    breaker: Breaker,
    watch: Watch,
    ledger: LedgerSettings,
    store: StoreSettings,
    mode: Mode,
}

fn service(reader: &mut Reader, overrides: &Overrides, top: &Section) -> Service {
    let breaker = Breaker::default();
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
        breaker: Breaker {
            entries: reader
                .set(top, &ENTRIES, value::count)
                .unwrap_or(breaker.entries),
            share: reader
                .set(top, &SHARE, value::share)
                .unwrap_or(breaker.share),
        },
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
        store: StoreSettings {
            size_max: reader
                .set(top, &SIZE_MAX, value::size(SIZE_MAX_MIN..=BYTES_MAX))
                .unwrap_or(StoreSettings::default().size_max),
        },
        mode: if dry_run { Mode::DryRun } else { Mode::Live },
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
    }
}
