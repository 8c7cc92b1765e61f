//! The process: it saves, is killed, and another one goes on from what was saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::engine::{Engine, Input, Setup};
use lapsed::core::observed::{Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;
use lapsed::core::pauses::Pauses;
use lapsed::core::policy::Policy;
use lapsed::core::report::{Breaker, Mode};

use super::{Barrier, Machine};
use crate::rules::ROOT;

impl Machine {
    /// The cache writes, or cannot for a while.
    pub(super) fn save(&mut self) {
        match self.random.u32(..12) {
            0 => self.input(Input::Unsaved(Some("no space".to_owned()))),
            1..3 => self.input(Input::Unsaved(None)),
            3..8 => self.disk.save(&self.engine, usize::MAX),
            _ => {
                if self.watcher.is_quiet() && !self.watcher.doubted && !self.unread {
                    let known = self.world.now().wall;
                    self.disk.vouch(&self.engine, known);
                }
            }
        }
    }

    /// The process is killed, perhaps while it writes; life goes on; another process starts on what there is.
    pub(super) fn crash_now_and_then(&mut self) {
        if self.random.u32(..10) > 0 {
            return;
        }
        self.restarts += 1;
        if self.random.bool() {
            let most = self.random.usize(..30);
            self.disk.save(&self.engine, most);
        }
        // What the reaper had in its hands went back to its place.
        self.claims.clear();
        self.claimed.clear();
        self.places.clear();
        // Two jumps that cancel one another while nobody looks cannot be known of; nor can one
        // before anything was saved.
        let mut jumps = self.random.u32(..20) == 0 && self.disk.has_clock();
        for _ in 0..self.random.usize(..6) {
            self.disturb();
            self.world.boot += Duration::from_millis(self.random.u64(..4000));
            if std::mem::take(&mut jumps) {
                self.world.offset_ms += self.random.i64(-100_000..100_000);
            }
        }
        self.watcher.restart();
        let now = self.world.now();
        // The clock is written within a moment of the start.
        let (memory, guard) = self.disk.load(now);
        self.disk.keep_clock(&guard);
        let settled = memory.roots.get(&ROOT).is_some_and(|root| root.settled);
        let setup = Setup {
            memory: Some(memory),
            ..setup(self.engine.policy(), guard, Arc::clone(&self.pauses))
        };
        self.barrier = Barrier::None;
        self.engine = Engine::new(setup, now);
        let key = self.world.facts(&RelPath::root()).unwrap().key;
        self.observe(vec![Observed::RootFound { root: ROOT, key }]);
        if !settled {
            self.reconcile(Discovery::Crawl);
            return;
        }
        // Removals go on before it has been looked over.
        for _ in 0..self.random.usize(..5) {
            self.reap_some();
        }
        let began = self.world.now().boot;
        let index = Arc::clone(self.engine.index());
        let mut seen = self.watcher.compare(&self.world, &index);
        let cost = PassCost::default();
        seen.push(Observed::Reconciled {
            root: ROOT,
            began,
            cost,
        });
        self.unread = true;
        self.observe(seen);
    }
}

pub(super) fn setup(policy: Arc<Policy>, guard: ClockGuard, pauses: Arc<Pauses>) -> Setup {
    Setup {
        policy,
        breaker: Breaker {
            entries: 1_000_000,
            share: 1.0,
            ..Breaker::default()
        },
        mode: Mode::Live,
        guard,
        memory: None,
        jobs: Arc::default(),
        pins: Arc::default(),
        pauses,
        trash: Arc::default(),
        sources: BTreeMap::new(),
        recording: BTreeSet::new(),
    }
}
