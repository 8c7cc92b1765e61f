//! What fails around the engine for a while: descriptors that run out, another process that has locked a root, a ledger that refuses, records
//! that cannot be written, a source or its paths that become others.

use std::sync::Arc;

use lapsed::core::claim::{Claim, Unit};
use lapsed::core::engine::Input;
use lapsed::core::facts::RootId;
use lapsed::core::hold::Hold;
use lapsed::core::observed::{Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;

use super::rules::{DB, ROOTS, policy};
use super::{Sim, breaker};

/// What fails now.
#[derive(Default)]
pub struct Trouble {
    /// Roots that cannot be opened.
    pub unreachable: [bool; 3],
    /// Roots that were found since the process began.
    found: [bool; 3],
    /// Roots whose quarantine another process has locked.
    pub in_use: [bool; 3],
    /// The ledger takes nothing.
    is_ledger_full: bool,
    /// No row can be written.
    pub are_records_refused: bool,
    /// Roots whose quarantine the engine wants to be put in order.
    pub placed: Vec<RootId>,
}

impl Sim {
    /// Something begins to fail; most often, what fails works again.
    pub fn trouble(&mut self) {
        if self.is_in_trouble() && self.random.u32(..4) > 0 {
            return self.end_trouble();
        }
        let place = self.random.usize(..ROOTS.len());
        let root = ROOTS[place].0;
        match self.random.u32(..16) {
            0..4 => self.source.toggle(&self.truth, &mut self.random),
            4..7 => self.release(),
            7 | 8 => self.toggle_root(root),
            9..12 => self.watchers[place].is_short ^= true,
            12 => self.trouble.in_use[place] ^= true,
            13 => self.trouble.is_ledger_full ^= true,
            14 => self.trouble.are_records_refused ^= true,
            _ => self.remap(),
        }
    }

    fn is_in_trouble(&self) -> bool {
        let Trouble {
            unreachable,
            in_use,
            is_ledger_full,
            are_records_refused,
            ..
        } = &self.trouble;
        let is_short = self.watchers.iter().any(|watcher| watcher.is_short);
        let is_any = unreachable.iter().chain(in_use).any(|is_on| *is_on);
        is_any || is_short || *is_ledger_full || *are_records_refused
    }

    /// Everything works again.
    pub fn end_trouble(&mut self) {
        for (place, (root, _)) in ROOTS.into_iter().enumerate() {
            self.watchers[place].is_short = false;
            if self.trouble.unreachable[place] {
                self.toggle_root(root);
            }
        }
        let found = self.trouble.found;
        let placed = std::mem::take(&mut self.trouble.placed);
        self.trouble = Trouble {
            found,
            placed,
            ..Trouble::default()
        };
    }

    /// Descriptors run out where a root is opened, or are there again.
    fn toggle_root(&mut self, root: RootId) {
        let place = usize::from(root.0);
        self.trouble.unreachable[place] ^= true;
        if self.trouble.unreachable[place] {
            self.tell_unreachable(root);
            return;
        }
        let discovery = if self.trouble.found[place] {
            Discovery::Event
        } else {
            Discovery::Crawl
        };
        self.crawl_root(root, discovery);
    }

    fn tell_unreachable(&mut self, root: RootId) {
        self.watchers[usize::from(root.0)].restart();
        let why = "too many open files".to_owned();
        self.input(Input::Observed(vec![Observed::RootUnreachable {
            root,
            why,
        }]));
    }

    /// Another process begins, or other rules are in force: all roots are read.
    pub fn crawl(&mut self) {
        self.trouble.placed.clear();
        for (place, (root, _)) in ROOTS.into_iter().enumerate() {
            self.trouble.found[place] = false;
            if self.trouble.unreachable[place] {
                self.tell_unreachable(root);
            } else {
                self.crawl_root(root, Discovery::Crawl);
            }
        }
    }

    fn crawl_root(&mut self, root: RootId, discovery: Discovery) {
        let place = usize::from(root.0);
        let world = &self.truth.roots[place];
        let key = world.facts(&RelPath::root()).unwrap().key;
        let began = world.now().boot;
        let mut seen = Vec::new();
        if discovery == Discovery::Crawl {
            seen.push(Observed::RootFound { root, key });
        }
        self.trouble.found[place] = true;
        let watcher = &mut self.watchers[place];
        seen.extend(watcher.list_root(world, discovery, &mut self.random));
        let cost = PassCost::default();
        seen.push(Observed::Reconciled { root, began, cost });
        self.input(Input::Observed(seen));
    }

    /// The paths that containers write are translated from now on, or are not any more.
    fn remap(&mut self) {
        if self.is_careful {
            // What other rules make due is for a person, who would have to be asked all the time.
            return;
        }
        self.truth.is_mapped ^= true;
        let policy = Arc::new(policy(self.truth.is_mapped));
        self.input(Input::Reload(policy, breaker(self.is_careful)));
        self.crawl();
    }

    /// What the reaper runs into before it looks at what a claim is about.
    pub fn run_into(&mut self, claim: &Claim) -> Option<Hold> {
        let mut roots: Vec<RootId> = claim.pieces.iter().map(|piece| piece.root).collect();
        if claim.unit != Unit::Job {
            roots.push(claim.root);
        }
        let is_any = |which: &[bool; 3]| roots.iter().any(|root| which[usize::from(root.0)]);
        let error = "for a while".to_owned();
        if is_any(&self.trouble.unreachable) {
            return Some(Hold::RootUnreachable { error });
        }
        if is_any(&self.trouble.in_use) {
            return Some(Hold::RootInUse { error });
        }
        // Now and then for one removal only.
        let is_refused = self.is_lively && self.random.u32(..50) == 0;
        (self.trouble.is_ledger_full || is_refused).then_some(Hold::LedgerUnavailable { error })
    }

    /// The reaper has tried to put quarantines in order.
    pub fn recover(&mut self) {
        while let Some(root) = self.trouble.placed.pop() {
            let place = usize::from(root.0);
            let error = "for a while".to_owned();
            let hold = if self.trouble.unreachable[place] {
                Some(Hold::RootUnreachable { error })
            } else {
                self.trouble.in_use[place].then_some(Hold::RootInUse { error })
            };
            self.input(Input::Recovered(root, hold));
        }
    }

    /// Nothing is claimed while it could not be looked at, or while not all of it may be known.
    pub fn check_reachable(&self, claim: &Claim) {
        let is_closed = |root: RootId| self.trouble.unreachable[usize::from(root.0)];
        let rule = self.engine.policy();
        let rule = rule.rule(claim.rule);
        for (root, name) in ROOTS {
            let is_its = match claim.unit {
                Unit::File | Unit::Dir => root == claim.root,
                Unit::Job => {
                    let policy = self.engine.policy();
                    rule.applies_to(root) && self.engine.jobs().governs(&policy, DB, root)
                }
            };
            assert!(!is_its || !is_closed(root), "{name}: {claim:?}");
        }
    }
}
