//! The process of the daemon: inputs and effects of its engine, records that it writes, and its restarts.

use std::sync::Arc;

use lapsed::core::claim::Outcome;
use lapsed::core::effect::Effect;
use lapsed::core::engine::Input;
use lapsed::core::facts::{Kind, RootId};
use lapsed::core::path::RelPath;
use lapsed::core::policy::Record;

use super::rules::{DB, OTHER};
use super::{DEEDS_UNSEEN_MAX, RESTART_EVERY, Sim, UNSEEN_MS_MAX, engine};
use crate::watcher::Watcher;

impl Sim {
    /// Carries out what is to become of a record: late, perhaps twice, and only while the row is as it was judged.
    pub(super) fn write_record(&mut self) {
        if self.writings.is_empty() || self.source.is_down || self.trouble.are_records_refused {
            return;
        }
        let place = self.random.usize(..self.writings.len());
        if !self.writings[place].is_ready {
            return;
        }
        let again = self.is_lively && self.random.u32(..4) == 0;
        let (row, record) = {
            let writing = &self.writings[place];
            (writing.row.clone(), writing.record)
        };
        if !again {
            self.writings.swap_remove(place);
        }
        let now = self.truth.now().wall;
        let Some(known) = self.truth.rows.get_mut(&row.id) else {
            return;
        };
        if !known.decides_as(&row) {
            return;
        }
        self.written += 1;
        match record {
            Record::Keep => unreachable!("nothing is to be written"),
            Record::Mark => known.moments.cleaned_at = Some(now),
            Record::Forget => {
                self.truth.rows.remove(&row.id);
                self.forgotten.insert(row.id.clone());
                self.input(Input::Forgotten(DB));
            }
        }
        self.check_record(&row, record);
    }

    pub(super) fn release(&mut self) {
        self.engine.release(
            None,
            &lapsed::core::principal::Principal::Uid(0),
            self.truth.now(),
        );
        self.suddenly_lost.clear();
        self.rewritten.clear();
        self.rewritten_gone.clear();
        self.input(Input::Tick);
    }

    /// Another process begins, knows what was remembered of the source, and crawls.
    pub(super) fn restart_now_and_then(&mut self) {
        if self.random.u32(..RESTART_EVERY) > 0 {
            return;
        }
        self.restarts += 1;
        // A breaker that has not tripped counts from the start of its process.
        self.rewritten_gone.clear();
        // While no process runs, jobs come and end: they are due when the next one hears of them.
        for _ in 0..self.random.usize(..DEEDS_UNSEEN_MAX) {
            self.work();
            self.disturb();
        }
        self.truth.pass(self.random.u64(..UNSEEN_MS_MAX));
        self.claims.clear();
        // What was removed is in the ledger: what is to become of the records is known from there.
        if self.random.u32(..4) == 0 {
            // Somebody took a part of the ledger away: of these it is not known that they were removed.
            self.writings.retain(|writing| writing.is_ready);
        }
        for writing in &mut self.writings {
            writing.is_ready = true;
        }
        let confirmed = std::mem::take(&mut self.source.confirmed);
        self.source.restart();
        self.source.confirmed = confirmed;
        self.heard_stale = false;
        let pins = Arc::clone(self.engine.pins());
        self.heard.clear();
        self.engine = engine(&self.truth, self.memory.clone(), pins, self.is_careful);
        self.is_awaited = false;
        self.watchers.iter_mut().for_each(Watcher::restart);
        if self.random.u32(..4) == 0 {
            self.watchers
                .iter_mut()
                .for_each(|watcher| watcher.is_short = true);
        }
        self.crawl();
        self.source.read(&self.truth, &mut self.random);
        if self.random.bool() {
            self.order_due();
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        if self.engine.jobs().claims_in(DB, OTHER) {
            self.owned_elsewhere_at = Some(self.truth.now().wall);
        }
        let effects = self.engine.step(self.truth.now(), input);
        self.heed(effects);
        self.recover();
    }

    pub(super) fn heed(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Preview(_) => panic!("nobody asks for a dry run"),
                Effect::Claim(claims) => {
                    for claim in claims {
                        self.check_claim(&claim);
                        self.check_reachable(&claim);
                        self.claims.push(claim);
                    }
                }
                Effect::Purge(_) => panic!("nothing is in the trash"),
                Effect::Relist(root, path) => self.relist(root, path),
                Effect::Barrier => {
                    self.is_awaited = true;
                    self.watchers.iter_mut().for_each(Watcher::begin_barrier);
                }
                Effect::Source(source, memory) => drop(self.memory.insert(source, memory)),
                Effect::Recorded(removal) => {
                    let meant = self.writings.iter_mut().find(|one| one.removal == removal);
                    if let Some(writing) = meant {
                        writing.is_ready = true;
                    }
                }
                Effect::Tell(event) => self.check_event(&event),
                Effect::Placed(root, Some(_)) => self.trouble.placed.push(root),
                Effect::Changed { .. }
                | Effect::Remember(..)
                | Effect::AskSpace(_)
                | Effect::Ruled
                | Effect::PauseEnded(_)
                | Effect::Placed(_, None)
                | Effect::Shadow(_)
                | Effect::Synced(_) => {}
            }
        }
    }

    /// Asks for a listing of the nearest directory, as watchers do for what is none.
    pub(super) fn relist(&mut self, root: RootId, path: RelPath) {
        let world = self.truth.world(root);
        let mut dir = path;
        while world
            .facts(&dir)
            .is_none_or(|facts| facts.kind != Kind::Dir)
            && let Some((parent, _)) = dir.split()
        {
            dir = parent;
        }
        self.watchers[usize::from(root.0)].relist(dir);
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Removed(_) => {}
            Outcome::Held(_) => self.held += 1,
            Outcome::Changed { .. }
            | Outcome::NewerContent { .. }
            | Outcome::Kept
            | Outcome::Gone => {
                self.changed += 1;
            }
        }
    }
}
