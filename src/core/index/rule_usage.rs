//! Files and bytes by root and rule.
//!
//! Pages whose entries are under one rule are counted from their heads; the others are unpacked,
//! ~20 ns an entry.
//!
//! **Invariant:** no lock that the writer takes is held while pages are counted.

use std::collections::BTreeMap;

use super::reader::Index;
use super::usage::Usage;
use crate::core::facts::{RootId, RuleId};
use crate::core::policy::Class;

/// Files of one root that are under one rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleUsage {
    /// The root.
    pub root: RootId,
    /// The rule; `None`: no rule matches them, and they are kept.
    pub rule: Option<RuleId>,
    /// Files.
    pub files: u64,
    /// Their bytes, at most [`u64::MAX`].
    pub bytes: u64,
}

impl Index {
    /// Returns the files of all roots by rule, in order of roots and rules. Changes during the call
    /// may be counted or not.
    #[must_use]
    pub fn usage_by_rule(&self) -> Vec<RuleUsage> {
        let mut pages = Vec::new();
        let all = self.pages.all();
        let catalog = self.catalog.read();
        for (_, page) in all {
            if let Some(dir) = catalog.dirs.get(page.dir()) {
                pages.push((dir.root, page));
            }
        }
        drop(catalog);
        let mut sums: BTreeMap<(RootId, Option<RuleId>), Usage> = BTreeMap::new();
        for (root, page) in pages {
            let mut rules = page.classes().map(Class::rule);
            let first = rules.next().flatten();
            if rules.all(|rule| rule == first) {
                let sum = sums.entry((root, first)).or_default();
                sum.add_many(page.len() as u64, page.bytes());
                continue;
            }
            for (_, record) in page.entries() {
                let sum = sums.entry((root, record.class.rule())).or_default();
                sum.add(record.size);
            }
        }
        let sums = sums.into_iter();
        sums.map(|((root, rule), usage)| RuleUsage {
            root,
            rule,
            files: usage.files(),
            bytes: usage.bytes(),
        })
        .collect()
    }
}
