//! Forecasts: everything that lapses until an instant.
//!
//! Pages that have no deadline until then are skipped by their spans. Sums over an instant take
//! those whose entries all lapse until then from their heads; the other pages are unpacked, ~20 ns
//! an entry.
//!
//! **Invariant:** exact, as of one instant during the call.

use std::collections::BTreeMap;

use super::reader::Index;
use super::unit::Unit;
use crate::core::facts::{RootId, RuleId};
use crate::core::time::Timestamp;

/// Sums of everything that lapses by one rule in one root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Forecast {
    /// The root.
    pub root: RootId,
    /// By which rule.
    pub rule: RuleId,
    /// Files that lapse by themselves or with their directory.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
    /// Top-level directories that lapse as a whole.
    pub units: u64,
}

impl Forecast {
    /// Of files, without units.
    pub(in crate::core) fn of_files(root: RootId, rule: RuleId, files: u64, bytes: u64) -> Self {
        Self {
            root,
            rule,
            files,
            bytes,
            units: 0,
        }
    }
}

impl Index {
    /// Calls `each` with every deadline until `until` (included) and what lapses at it, in `root`
    /// or in all roots, in no useful order: entries by their own deadlines, and units with all that
    /// lapses with them.
    pub fn each_deadline(
        &self,
        root: Option<RootId>,
        until: Timestamp,
        each: impl FnMut(Timestamp, Forecast),
    ) {
        self.each_part(root, until, false, each);
    }

    /// As [`Index::each_deadline`]; where `is_summed`, pages that lapse as a whole until then are
    /// one part at `until`.
    fn each_part(
        &self,
        root: Option<RootId>,
        until: Timestamp,
        is_summed: bool,
        mut each: impl FnMut(Timestamp, Forecast),
    ) {
        let mut units = Vec::new();
        let catalog = self.catalog.read();
        let root_of = |dir| {
            let of = catalog.dirs.known(dir).root;
            root.is_none_or(|root| root == of).then_some(of)
        };
        let pages = self.pages.all().into_iter();
        let pages: Vec<_> = pages
            .filter(|(_, page)| page.min_deadline().is_some_and(|at| at <= until))
            .filter_map(|(_, page)| Some((root_of(page.dir())?, page)))
            .collect();
        for (&dir, unit) in &catalog.units {
            if let Some(at) = unit.deadline().filter(|&at| at <= until)
                && let Some(root) = root_of(dir)
            {
                let (files, bytes) = (unit.usage.files(), unit.usage.bytes());
                let part = Forecast::of_files(root, unit.rule.rule, files, bytes);
                units.push((at, Forecast { units: 1, ..part }));
            }
        }
        drop(catalog);
        for (at, part) in units {
            each(at, part);
        }
        for (root, page) in pages {
            if let Some(rule) = page.all_due(until).filter(|_| is_summed) {
                let files = page.len() as u64;
                each(until, Forecast::of_files(root, rule, files, page.bytes()));
                continue;
            }
            for (_, record) in page.due(until) {
                if let Some((rule, at)) = record.own() {
                    each(at, Forecast::of_files(root, rule, 1, record.size));
                }
            }
        }
    }

    /// Returns what lapses until `until` (included) in `root`, or in all roots, by root and rule.
    #[must_use]
    pub fn forecast(&self, root: Option<RootId>, until: Timestamp) -> Vec<Forecast> {
        let mut sums: BTreeMap<(RootId, RuleId), Forecast> = BTreeMap::new();
        self.each_part(root, until, true, |_, part| {
            let sum = sums.entry((part.root, part.rule));
            let sum = sum.or_insert(Forecast::of_files(part.root, part.rule, 0, 0));
            sum.files += part.files;
            sum.bytes = sum.bytes.saturating_add(part.bytes);
            sum.units += part.units;
        });
        sums.into_values().collect()
    }

    /// Returns true if anything has a deadline.
    #[must_use]
    pub fn has_deadlines(&self) -> bool {
        let catalog = self.catalog.read();
        let mut pages = self.pages.all().into_iter();
        pages.any(|(_, page)| page.min_deadline().is_some())
            || catalog
                .units
                .values()
                .any(|unit| Unit::deadline(unit).is_some())
    }
}
