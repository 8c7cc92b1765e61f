//! Families of metrics of a daemon's state.
//!
//! **Invariant:** the values of labels are names of the configuration, or words of our own enums:
//! what files and jobs are called makes no series.

mod limits;
mod receivers;
mod roots;

use strum::VariantNames as _;

use super::exposition::Exposition;
use crate::core::hold::Hold;
use crate::types::{CacheState, HealthState, Mode, Moment, Pause, Source, SourceState, Status};

/// Renders `status`.
pub(super) fn render(status: &Status) -> String {
    let mut all = Exposition::default();
    process(&mut all, status);
    roots::add(&mut all, status);
    limits::add(&mut all, &status.limits);
    removals(&mut all, status);
    sources(&mut all, status);
    receivers::add(&mut all, &status.receivers);
    watching(&mut all, status);
    storage(&mut all, status);
    all.into_text()
}

#[expect(clippy::cast_precision_loss, reason = "the format has floats only")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn seconds_of(ms: u64) -> f64 {
    seconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Seconds since 1970.
fn instant(text: &str) -> Option<f64> {
    let Moment(at) = Moment::parse_rfc3339(text)?;
    Some(seconds(at.unix_ms()))
}

fn process(all: &mut Exposition, status: &Status) {
    all.family("lapsed_build_info", "1, with the version of the daemon.")
        .sample(&[("version", &status.version)], 1);
    all.family("lapsed_health", "1 for the health of the daemon.")
        .states(&[], HealthState::VARIANTS, status.health.as_str());
    all.family("lapsed_mode", "1 for the mode of removals.")
        .states(&[], Mode::VARIANTS, status.mode.as_str());
    all.family(
        "process_start_time_seconds",
        "Instant of the start, in seconds since 1970.",
    )
    .only(instant(&status.started));
    all.family("process_resident_memory_bytes", "Resident memory.")
        .only(status.resident_bytes);
    all.family(
        "process_cpu_seconds_total",
        "Processor time that the daemon has used.",
    )
    .only(Some(seconds_of(status.cpu_ms)));
    let configuration = &status.configuration;
    all.family(
        "lapsed_config_last_reload_successful",
        "0 if the last reload of the configuration failed: an older one is in force.",
    )
    .only(Some(u8::from(configuration.failed.is_none())));
    all.family(
        "lapsed_config_last_reload_success_timestamp_seconds",
        "Instant at which the configuration in force was read, in seconds since 1970.",
    )
    .only(instant(&configuration.since));
    let queues = &status.queues;
    all.family("lapsed_engine_inputs", "Inputs that wait for the engine.")
        .only(Some(queues.inputs));
    all.family(
        "lapsed_engine_inputs_limit",
        "Inputs that may wait for the engine.",
    )
    .only(Some(queues.inputs_max));
    all.family("lapsed_reaper_claims", "Claims that the reaper has.")
        .only(Some(queues.claims));
}

fn removals(all: &mut Exposition, status: &Status) {
    let late = &status.lateness;
    let buckets = late.buckets.iter();
    all.histogram(
        "lapsed_lateness_seconds",
        "Time from the deadline, or the end of a hold, to the removal; buckets are exact to 2 %.",
        buckets.map(|bucket| (seconds(bucket.until_ms), bucket.count)),
        (late.count, seconds(late.sum_ms)),
    );
    all.family(
        "lapsed_next_deadline_timestamp_seconds",
        "The next deadline, in seconds since 1970; absent if there is none.",
    )
    .only(
        status
            .next
            .as_ref()
            .and_then(|next| instant(&next.deadline)),
    );
    let mut family = all.family(
        "lapsed_held",
        "Things that are due and kept, by the code of the hold.",
    );
    for &code in Hold::VARIANTS {
        let found = status.holds.iter().find(|held| held.code == code);
        family.sample(&[("code", code)], found.map_or(0, |held| held.count));
    }
    all.family("lapsed_pins", "Pins that hold.")
        .only(Some(status.pins));
    let mut family = all.family(
        "lapsed_pause_end_timestamp_seconds",
        "Instant at which the pause of the root ends, in seconds since 1970; \
         absent if the root is not paused.",
    );
    for root in &status.roots {
        let is_its = |pause: &&Pause| pause.root.as_ref().is_none_or(|name| *name == root.name);
        let ends = status.pauses.iter().filter(is_its);
        if let Some(end) = ends
            .filter_map(|pause| instant(&pause.until))
            .reduce(f64::max)
        {
            family.sample(&[("root", &root.name)], end);
        }
    }
    let mut family = all.family("lapsed_jobs", "Jobs of all sources, by status.");
    for (status, count) in &status.jobs {
        family.sample(&[("status", status)], count);
    }
}

fn sources(all: &mut Exposition, status: &Status) {
    let sources = &status.sources;
    let mut family = all.family("lapsed_source_state", "1 for the state of the source.");
    for source in sources {
        let labels = [("source", source.name.as_str())];
        family.states(&labels, SourceState::VARIANTS, source.state.as_str());
    }
    let mut family = all.family(
        "lapsed_source_breaker_tripped",
        "1 if the source lost too many jobs: orphans of its roots wait for a person.",
    );
    for source in sources {
        let mut trips = status.breaker.orphans.iter();
        let is_tripped = trips.any(|trip| trip.source.as_ref() == Some(&source.name));
        family.sample(&[("source", &source.name)], u8::from(is_tripped));
    }
    let mut of_sources = |name, help, value: fn(&Source) -> Option<f64>| {
        let mut family = all.family(name, help);
        for source in sources {
            if let Some(value) = value(source) {
                family.sample(&[("source", &source.name)], value);
            }
        }
    };
    of_sources("lapsed_source_jobs", "Jobs of the source.", |source| {
        Some(number(source.jobs))
    });
    of_sources(
        "lapsed_source_last_read_timestamp_seconds",
        "Instant at which jobs of the database were last read, in seconds since 1970.",
        |source| instant(source.read_at.as_deref()?),
    );
    of_sources(
        "lapsed_source_refused_claims",
        "Claims of jobs that are refused: what they may mean is held.",
        |source| {
            let refused = source.refused_claims.as_ref();
            Some(number(refused.map_or(0, |refused| refused.claims)))
        },
    );
    of_sources(
        "lapsed_outbox_records",
        "Records that wait to be written back to the source.",
        |source| Some(number(source.waiting_records)),
    );
    of_sources(
        "lapsed_outbox_refused_records",
        "Records that the source refused to take.",
        |source| Some(number(source.refused_records)),
    );
    of_sources(
        "lapsed_outbox_oldest_timestamp_seconds",
        "Instant since which the oldest record waits, in seconds since 1970; absent if none does.",
        |source| instant(source.waiting_since.as_deref()?),
    );
}

#[expect(clippy::cast_precision_loss, reason = "the format has floats only")]
fn number(count: u64) -> f64 {
    count as f64
}

fn watching(all: &mut Exposition, status: &Status) {
    let watches = &status.watches;
    all.family(
        "lapsed_watcher_alive",
        "0 if changes are not noticed any more: restart the daemon.",
    )
    .only(Some(u8::from(watches.alive)));
    let figures = [
        (
            "lapsed_watches",
            "Directories that are watched.",
            watches.count,
        ),
        (
            "lapsed_watches_missing",
            "Directories without a watch: they are listed on a timer.",
            watches.missing,
        ),
        (
            "lapsed_watch_overflows_total",
            "Times that the kernel's queue of events overflowed.",
            watches.overflows,
        ),
        (
            "lapsed_watch_events_total",
            "Events of changes.",
            watches.events,
        ),
        (
            "lapsed_watch_queue_bytes",
            "Bytes of events that wait to be looked at.",
            watches.waiting_bytes,
        ),
        (
            "lapsed_watch_queue_listings",
            "Directories that wait to be listed.",
            watches.waiting_listings,
        ),
        (
            "lapsed_watch_queue_looks",
            "Directories with names that wait to be looked at.",
            watches.waiting_looks,
        ),
    ];
    for (name, help, value) in figures {
        all.family(name, help).only(Some(value));
    }
    all.family(
        "lapsed_watches_limit",
        "Watches that the system allows the daemon's user; absent if it has no limit.",
    )
    .only(watches.limit);
}

fn storage(all: &mut Exposition, status: &Status) {
    let (cache, ledger) = (&status.cache, &status.ledger);
    let figures = [
        (
            "lapsed_cache_ok",
            "0 if the cache cannot be written: nothing is removed.",
            u64::from(cache.state == CacheState::Ok),
        ),
        ("lapsed_cache_bytes", "Size of the cache.", cache.size_bytes),
        (
            "lapsed_cache_pending",
            "Pages and directories that wait to be written to the cache.",
            cache.pending,
        ),
        (
            "lapsed_cache_saves_total",
            "Writes of the cache.",
            cache.saves,
        ),
        (
            "lapsed_cache_compactions_total",
            "Replacements of the cache by a smaller copy.",
            cache.compactions,
        ),
        (
            "lapsed_ledger_ok",
            "0 if the last write to the ledger failed: nothing is removed until one succeeds.",
            u64::from(ledger.why.is_none()),
        ),
        (
            "lapsed_ledger_bytes",
            "Size of the ledger.",
            ledger.size_bytes,
        ),
        (
            "lapsed_ledger_segments",
            "Segments of the ledger.",
            ledger.segments,
        ),
        (
            "lapsed_ledger_errors_total",
            "Writes to the ledger that failed.",
            ledger.errors,
        ),
    ];
    for (name, help, value) in figures {
        all.family(name, help).only(Some(value));
    }
    all.family(
        "lapsed_cache_saved_timestamp_seconds",
        "Instant up to which all changes are in the cache, in seconds since 1970.",
    )
    .only(cache.saved_at.as_deref().and_then(instant));
}
