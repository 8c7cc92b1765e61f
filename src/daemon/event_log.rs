//! Log lines of what the engine reports.
//!
//! **Invariant:** a step logs a bounded number of removals: the ledger has all of them.

use crate::core::claim::Claim;
use crate::core::effect::Event;
use crate::core::engine::Engine;
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::jobs::SourceId;
use crate::core::path::RelPath;
use crate::core::pauses::Pause;
use crate::core::policy::Policy;
use crate::core::time::Now;

/// So many removals of one step are logged one by one; the others are counted. The ledger has them
/// all.
const LOGGED_MAX: u64 = 10;

/// The removals of one step, as far as the log is concerned.
#[derive(Default)]
pub(super) struct RemovalLogLimiter {
    lapsed: u64,
    /// Of those that were not logged one by one.
    files: u64,
    bytes: u64,
}

impl RemovalLogLimiter {
    /// Returns true if `event` is logged by itself; it is counted otherwise.
    pub(super) fn has_room(&mut self, event: &Event) -> bool {
        let Event::Lapsed { files, bytes, .. } = event else {
            return true;
        };
        self.lapsed += 1;
        let room = self.lapsed <= LOGGED_MAX;
        if !room {
            self.files += files;
            self.bytes = self.bytes.saturating_add(*bytes);
        }
        room
    }

    /// Logs what was only counted.
    pub(super) fn rest(&self) {
        let more = self.lapsed.saturating_sub(LOGGED_MAX);
        if more > 0 {
            let (files, bytes) = (self.files, self.bytes);
            tracing::info!(
                files,
                bytes,
                "lapsed: {more} more at once; `lapsed history` has every one"
            );
        }
    }
}

/// The path of `path` in `root`, for people; empty when the root is not known any more.
fn shown(policy: &Policy, root: RootId, path: &RelPath) -> String {
    let known = policy.roots.get(&root);
    let path = known.map(|known| path.below(&known.path));
    path.unwrap_or_default().display().to_string()
}

fn source_name(policy: &Policy, source: SourceId) -> &str {
    let known = policy.sources.get(&source);
    known.map_or("?", |source| &source.name)
}

/// Tells a person, or the journal, what was removed.
fn log_lapsed(event: &Event, policy: &Policy) {
    let Event::Lapsed {
        root,
        path,
        rule,
        late_ms,
        files,
        bytes,
        job,
        trashed,
        ..
    } = event
    else {
        return;
    };
    let lapsed = match trashed {
        Some(until) => format!("lapsed, in the trash until {until}"),
        None => "lapsed".to_owned(),
    };
    let path = shown(policy, *root, path);
    // The rules may have changed since it was claimed.
    let rule = policy.rules.get(usize::from(rule.0));
    let rule = rule.map_or("?", |rule| &rule.name);
    match job {
        Some(job) if *files == 0 => tracing::info!(
            job = job.id,
            source = source_name(policy, job.source),
            rule,
            late_ms,
            "lapsed, without files: job {:?} by rule {rule:?}",
            job.id
        ),
        Some(job) => tracing::info!(
            path,
            job = job.id,
            rule,
            files,
            bytes,
            late_ms,
            "{lapsed}: {path:?} of job {:?} by rule {rule:?}",
            job.id
        ),
        None => tracing::info!(
            path,
            rule,
            files,
            bytes,
            late_ms,
            "{lapsed}: {path:?} by rule {rule:?}"
        ),
    }
}

fn paused(pause: &Pause) -> String {
    let root = pause.root_name();
    root.map_or_else(|| "all roots".to_owned(), |root| format!("root {root:?}"))
}

/// Tells a person, or the journal, what happened.
pub(super) fn log(event: &Event, engine: &Engine, now: Now) {
    let policy = engine.policy();
    let name_of = |root: &RootId| {
        policy
            .roots
            .get(root)
            .map_or("?", |root| root.name.as_str())
            .to_owned()
    };
    let source_of = |source: &SourceId| source_name(&policy, *source).to_owned();
    match event {
        Event::Lapsed { .. } => log_lapsed(event, &policy),
        Event::Held { root, path, hold } => {
            let path = shown(&policy, *root, path);
            if *hold == Hold::DryRun {
                tracing::info!(path, "would lapse: {path:?}");
            } else {
                tracing::warn!(path, hold = hold.code(), "held: {path:?}: {hold}");
            }
        }
        Event::Root { root, what, .. } => {
            let name = name_of(root);
            tracing::info!(root = name, "root {name:?}: {what}");
            if let Some((at, Some(place))) = engine.next_lapse(now) {
                let in_ms = u64::try_from(at.ms_since(now.wall)).unwrap_or(0);
                let left = humantime::format_duration(std::time::Duration::from_millis(in_ms));
                let path = shown(&policy, place.0, &place.1);
                tracing::info!(path, at = %at, left = %left, "next to lapse: {path:?}");
            }
        }
        Event::Tripped { root, trip } => tracing::warn!(
            root = %name_of(root), due = trip.due, of = trip.of, what = trip.what.as_str(),
            "the breaker tripped for root {:?}: too much became due at once; look with `lapsed plan`, then `lapsed breaker release`",
            name_of(root)
        ),
        Event::Released { root, by } => {
            let name = name_of(root);
            tracing::info!(
                root = name,
                %by,
                "the breaker of root {name:?} was released"
            );
        }
        Event::Paused(pause) => {
            let what = paused(pause);
            let (who, until, why) = (&pause.who, pause.until, &pause.why);
            tracing::warn!(who, %until, "removals of {what} are paused until {until}: {why}");
        }
        Event::Resumed { pause, by } => {
            let (what, since) = (paused(pause), pause.since);
            let by = by.as_ref().map(ToString::to_string);
            let who = by.as_deref().unwrap_or("its end");
            tracing::info!(by, %since, "removals of {what} go on: the pause was ended by {who}");
        }
        Event::Source { source, what, .. } => {
            let name = source_of(source);
            tracing::info!(source = name, "source {name:?}: {what}");
        }
        Event::OrphansTripped { source, root, why } => tracing::warn!(
            source = source.as_ref().map(source_of),
            root = root.as_ref().map(name_of),
            "the breaker tripped for orphans: {why}; look with `lapsed plan`, then `lapsed breaker release`"
        ),
        Event::ClaimRefused {
            source,
            job,
            file,
            why,
        } => tracing::warn!(
            source = source_of(source),
            job,
            file,
            "job {job:?}: a claim is refused: {why}"
        ),
        Event::Saving => tracing::info!("what changes can be saved again; removals go on"),
        Event::ClockJumped { by_ms } => tracing::warn!(by_ms, "the wall clock was set"),
        // Whoever began a run, or looked at a threshold, logs it.
        Event::Observed { .. } | Event::Run { .. } | Event::Space { .. } => {}
    }
}

/// Says what is due and by what, before it is looked at once more: what then happens to it is told
/// in any case.
pub(super) fn tell_of_claims(policy: &Policy, claims: &[Claim]) {
    for claim in claims {
        let rule = policy.rule(claim.rule);
        let root = policy.roots.get(&claim.root);
        tracing::debug!(
            path = root.map(|root| claim.path.below(&root.path).display().to_string()),
            job = claim.owners.first().map(|owner| owner.id.as_str()).filter(|id| !id.is_empty()),
            rule = rule.name,
            since = rule.since.as_str(),
            decided_by = %claim.known,
            "due"
        );
    }
}
