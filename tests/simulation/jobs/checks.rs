//! What has to be true of jobs: at every claim, at every step, and when everything has come to rest.

use std::collections::BTreeSet;

use lapsed::core::claim::{Claim, Unit};
use lapsed::core::effect::Event;
use lapsed::core::engine::Input;
use lapsed::core::facts::RootId;
use lapsed::core::hold::Hold;
use lapsed::core::jobs::{JobRow, Status};
use lapsed::core::path::RelPath;
use lapsed::core::policy::{JobFilter, Record};
use lapsed::core::report::SourcePhase;

use super::Sim;
use super::rules::{COMPLETED_MS, DB, OTHER, ROOTS, SESSION_MS};
use super::truth::REFUSED;

/// Ticks until everything is at rest: some for each file, row and retry, and far fewer than no end.
const REST_TICKS_MAX: usize = 2_000;

/// What was claimed while a job owned it, and waits for the source because of that, is tried again after this time at most.
const RETRY_MS: i64 = 1_000;

/// Why a claim is held whose job's row is not as it is known.
pub const CHANGED: &str = "it has changed";

impl Sim {
    pub fn check_claim(&self, claim: &Claim) {
        let policy = self.engine.policy();
        let status = self.engine.status(self.truth.now());
        let source = &status.sources[0];
        let is_orphan = policy.rule(claim.rule).jobs == JobFilter::Nobody;
        if is_orphan || !claim.owners.is_empty() {
            assert_eq!(source.phase, SourcePhase::Ready, "{claim:?}");
        }
        if is_orphan {
            assert_eq!(source.trip, None, "{claim:?}");
            assert!(!self.heard_stale, "{claim:?}");
        }
    }

    pub fn check_event(&mut self, event: &Event) {
        match event {
            Event::Held { root, hold, .. } => {
                let is_down = matches!(hold, Hold::SourceDown { why, .. } if why != CHANGED);
                assert!(
                    !is_down || *root != OTHER || self.may_wait_elsewhere(),
                    "{event:?}"
                );
            }
            Event::OrphansTripped { .. } => self.trips += 1,
            _ => {}
        }
    }

    pub fn check_always(&self) {
        let now = self.truth.now();
        let status = self.engine.status(now);
        assert_eq!(status.in_flight, self.claims.len() as u64);
        // Nothing in the root without a source waits for the source, unless something else keeps it from being tried.
        let is_stalled = status.held.iter().any(|held| held.hold.is_of_root());
        if !is_stalled && !self.may_wait_elsewhere() {
            for held in &status.held {
                // One row that has changed is not a source that is down: it may have claimed what is held.
                let is_down = matches!(&held.hold, Hold::SourceDown { why, .. } if why != CHANGED);
                let root = held.example.as_ref().map(|(root, _)| *root);
                assert!(!is_down || root != Some(OTHER), "{held:?}");
            }
        }
    }

    /// Whether something in the root without a source may wait for the source: while jobs have claims there, and what was
    /// held or claimed then until its next try.
    fn may_wait_elsewhere(&self) -> bool {
        let now = self.truth.now().wall;
        self.engine.jobs().claims_in(DB, OTHER)
            || self
                .owned_elsewhere_at
                .is_some_and(|at| now <= at.plus_ms(RETRY_MS))
    }

    /// Before the engine is told how many rows there are: whether so many were lost that a person has to be asked.
    pub fn mind_loss(&mut self, before: &BTreeSet<String>) -> bool {
        let before: BTreeSet<String> = before.difference(&self.forgotten).cloned().collect();
        let now = &self.source.confirmed;
        let lost: BTreeSet<String> = before.difference(now).cloned().collect();
        let less = before.len().saturating_sub(now.len());
        let is_much = (less > 4 && less > before.len() / 2) || (now.is_empty() && less > 0);
        if is_much {
            // What was taken out by itself before is truly nobody's.
            let gone = &self.truth.backup;
            let lost = lost.into_iter().filter(|id| gone.contains_key(id));
            self.suddenly_lost.extend(lost);
        }
        self.forgotten.clear();
        is_much
    }

    /// All that a job owned has gone with it, as far as it was there when the engine heard of the job: before its record is written.
    pub fn check_nothing_left(&self, claim: &Claim, row: &JobRow) {
        let policy = self.engine.policy();
        let heard_at = self.heard.get(&row.id).map(|(_, at)| *at);
        for (root, name) in ROOTS {
            for (path, node) in self.truth.world(root).files() {
                let (by_template, by_claim) = self.truth.owners(root, path);
                // Another row that let go of it may not have been heard of.
                let known = self.engine.jobs().owner(&policy, root, path.as_bytes());
                let is_only_its = by_template.union(&by_claim).all(|id| *id == row.id)
                    && known.jobs().iter().all(|job| job.key.id == row.id);
                let newest = node.ctime.max(node.btime).max(node.mtime);
                let was_there = heard_at.is_some_and(|at| newest < at);
                let goes_with_it =
                    self.truth
                        .may_go_at(root, path, &|_| true)
                        .is_some_and(|(at, units)| {
                            at <= self.truth.now().wall && units == BTreeSet::from([Unit::Job])
                        });
                assert!(
                    !(is_only_its && was_there && goes_with_it),
                    "{name}/{path} is left of {row:?}, heard of at {heard_at:?}: {node:?}, {claim:?}"
                );
            }
        }
    }

    /// A record was written: what it was judged by is long over.
    pub fn check_record(&self, row: &JobRow, record: Record) {
        let now = self.truth.now().wall;
        assert!(row.status.is_over() && row.moments.cleaned_at.is_none());
        let over = match record {
            Record::Keep => None,
            Record::Mark => row.moments.completed_at.map(|at| at.plus_ms(COMPLETED_MS)),
            Record::Forget => row.moments.last_activity.map(|at| at.plus_ms(SESSION_MS)),
        };
        assert!(over.is_some_and(|over| over <= now), "{row:?}");
    }

    /// Lets everything come to rest: then all that may go has gone, all else is there, and nothing ticks.
    pub fn settle(&mut self) {
        self.is_lively = false;
        self.truth.restore();
        self.end_trouble();
        for row in self.truth.rows.values_mut() {
            row.files.retain(|file| !file.starts_with(REFUSED));
        }
        for id in std::mem::take(&mut self.truth.pins).into_keys() {
            self.engine.unpin(id, self.truth.now());
        }
        if self.source.is_down {
            self.source.toggle(&self.truth, &mut self.random);
        }
        self.drain();
        self.release();
        // Past all deadlines, and all retries.
        for _ in 0..3 {
            self.rest();
            self.truth.pass(10_000_000);
        }
        self.rest();
        self.check_rest();
    }

    /// All that is on its way arrives.
    fn drain(&mut self) {
        for _ in 0..100 {
            self.source.read(&self.truth, &mut self.random);
            while !self.source.is_quiet() {
                self.deliver();
            }
            while !self.watchers.iter().all(crate::watcher::Watcher::is_quiet) {
                self.look();
            }
            let mut rounds = 0;
            while !self.claims.is_empty() {
                self.reap_some();
                rounds += 1;
                assert!(
                    rounds < REST_TICKS_MAX,
                    "it claims without an end: {:?}",
                    self.last
                );
            }
            for _ in 0..self.writings.len() {
                self.write_record();
            }
            self.tick();
            if self.claims.is_empty() && self.writings.is_empty() {
                break;
            }
        }
        self.release();
    }

    /// Follows the engine's alarm until it has none.
    fn rest(&mut self) {
        for _ in 0..REST_TICKS_MAX {
            self.drain();
            let Some(at) = self.engine.wake_at() else {
                return;
            };
            let ms = at.ms_since(self.truth.now().wall);
            self.truth.pass(u64::try_from(ms).unwrap_or(0));
            self.input(Input::Tick);
        }
        let held = self.engine.status(self.truth.now()).held;
        let at = self.engine.wake_at();
        panic!(
            "it never sleeps, and wants to wake at {at:?}: {held:?}, {:?}",
            self.last
        );
    }

    fn check_rest(&self) {
        let now = self.truth.now();
        for (root, name) in ROOTS {
            for (path, node) in self.truth.world(root).files() {
                // What several jobs let go as different units goes as none of them: late for ever is safe.
                if let Some((at, units)) = self.truth.may_go_at(root, path, &|_| true)
                    && units.len() < 2
                    && (!units.contains(&Unit::Dir) || self.owns_whole_dir(root, path))
                {
                    let (by_template, by_claim) = self.truth.owners(root, path);
                    let rows = by_template.union(&by_claim).map(|id| &self.truth.rows[*id]);
                    let rows: Vec<_> = rows.collect();
                    let why = self.engine.explain(root, path, now);
                    let policy = self.engine.policy();
                    let owner = self.engine.jobs().owner(&policy, root, path.as_bytes());
                    panic!(
                        "{name}/{path} should have lapsed at {at}: {node:?}, {rows:#?}, {why:?}, {owner:?}"
                    );
                }
            }
        }
        for row in self.truth.rows.values() {
            check_row_at_rest(row);
        }
    }

    /// Whether those who own `path` own the whole top-level directory: a part of one does not lapse as a directory.
    fn owns_whole_dir(&self, root: RootId, path: &RelPath) -> bool {
        let top = RelPath::parse(path.top().unwrap()).unwrap();
        let any = top.join(b"\x01");
        let all = |path| {
            let (by_template, by_claim) = self.truth.owners(root, path);
            by_template
                .union(&by_claim)
                .copied()
                .collect::<BTreeSet<_>>()
        };
        all(&any) == all(path)
    }
}

fn check_row_at_rest(row: &JobRow) {
    if row.unreadable.is_some() || row.moments.cleaned_at.is_some() {
        return;
    }
    let is_done = match (row.kind.as_deref(), row.status) {
        (_, Status::Pending | Status::Running) => true,
        (Some("session"), _) => row.moments.last_activity.is_none(),
        (Some("batch"), Status::Completed) => row.moments.completed_at.is_none(),
        _ => true,
    };
    assert!(is_done, "its record should have been written: {row:?}");
}
