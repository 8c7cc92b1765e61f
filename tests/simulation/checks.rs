//! What has to be true: after every step, at every removal, and when everything has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use lapsed::core::claim::{Claim, Unit};
use lapsed::core::engine::Input;
use lapsed::core::facts::Kind;
use lapsed::core::path::RelPath;
use lapsed::core::time::Timestamp;

use crate::machine::Machine;
use crate::rules::{MIN_AGE_MS, OLD_KEPT, OLD_TTL_MS, ROOT, UNIT_TTL_MS, ttl_of};

/// What the clock guard lets pass as the clock's ordinary correction, on the longest life of a file here.
pub const CLOCK_TOLERANCE_MS: i64 = 2_500;

/// Steps after which the engine has done all that it wants to do at an instant.
const STEPS_MAX: usize = 20;

impl Machine {
    /// Never early: by the file's own change, measured by the clock that nobody can set.
    pub fn check_not_early(&self, path: &RelPath, claim: &Claim) {
        let node = &self.world.nodes[path];
        let life_ms = match (claim.unit, node.kind) {
            (Unit::Dir, Kind::Dir) => UNIT_TTL_MS,
            _ => ttl_of(path)
                .unwrap_or_else(|| panic!("{path} is kept for ever, and was removed by {claim:?}")),
        };
        let ttl_ms = claim.limit.map_or(life_ms, |_| MIN_AGE_MS);
        // A modification time can be set to anything: only the wall clock can tell.
        if life_ms == OLD_TTL_MS {
            assert!(
                !self.newest_old().contains(path),
                "{path} is among the newest, and is removed: {claim:?}"
            );
            let now = self.world.now().wall;
            assert!(
                node.mtime.plus_ms(ttl_ms) <= now,
                "{path} is removed early: {node:?} at {now}"
            );
            return;
        }
        let lived_ms = i64::try_from((self.world.boot - node.changed).as_millis()).unwrap();
        assert!(
            lived_ms + CLOCK_TOLERANCE_MS >= ttl_ms,
            "{path} is removed after {lived_ms} ms instead of {ttl_ms}: {node:?}, {claim:?}"
        );
    }

    /// The files that stay because they are the newest of their kind.
    fn newest_old(&self) -> Vec<RelPath> {
        let old = self.world.files();
        let old = old.filter(|(path, _)| ttl_of(path) == Some(OLD_TTL_MS));
        let mut old: Vec<_> = old.map(|(path, node)| (node.mtime, path)).collect();
        old.sort();
        let newest = old.into_iter().rev().take(OLD_KEPT);
        newest.map(|(_, path)| path.clone()).collect()
    }

    pub fn check_always(&mut self) {
        assert!(
            self.claims.len() <= 4096,
            "more claims under way than the engine promises"
        );
        // A pass over everything takes a few steps.
        for _ in 0..STEPS_MAX {
            if self.overslept().is_none() {
                return;
            }
            self.input(Input::Tick);
        }
        let (now, at) = (self.world.now().wall, self.overslept());
        assert!(at.is_none(), "asleep past {at:?}, it is {now}");
    }

    /// The instant at which the engine wanted to be woken, if that is past and nothing is under way.
    fn overslept(&self) -> Option<Timestamp> {
        let now = self.world.now();
        let at = self.engine.wake_at().filter(|&at| at <= now.wall)?;
        (self.engine.status(now).in_flight == 0).then_some(at)
    }

    pub fn check_index(&self) {
        let index = self.engine.index();
        let mut known = BTreeMap::new();
        for page in index.pages() {
            let page = index.page(page).unwrap();
            let (_, dir) = index.dir_path(page.dir()).unwrap();
            for (name, record) in page.entries() {
                assert_eq!(
                    known.insert(dir.join(name), record.size),
                    None,
                    "an entry twice"
                );
            }
        }
        let truth: BTreeMap<RelPath, u64> = self
            .world
            .files()
            .map(|(path, node)| (path.clone(), node.size))
            .collect();
        assert_eq!(known, truth, "the index is not the tree");
        let totals = index.totals(ROOT);
        assert_eq!(
            (totals.files, totals.bytes),
            (truth.len() as u64, truth.values().sum())
        );
    }

    /// Whatever is due by the truth is held for a reason that can be named, or waits for its own time.
    pub fn check_nothing_forgotten(&mut self) {
        // Past every time to live, every retry and every jump of the clock.
        for _ in 0..400 {
            self.world.boot += Duration::from_secs(30);
            self.input(Input::Tick);
            while !self.claims.is_empty() || !self.watcher.is_quiet() {
                self.look();
                self.reap_some();
            }
        }
        let now = self.world.now();
        let newest = self.newest_old();
        for (path, node) in self.world.files() {
            let explained = self.engine.explain(ROOT, path, now);
            let within_open_unit = self
                .world
                .nodes
                .iter()
                .any(|(other, node)| node.open && other.top() == path.top());
            assert!(
                ttl_of(path).is_none() || node.open || within_open_unit || newest.contains(path),
                "{path} should have lapsed at {now:?}: {node:?}, {explained:?}"
            );
        }
    }
}
