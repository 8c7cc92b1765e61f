//! The index as a list shows it: entries with their rule, job, deadline and hold, as far as a filter lets them through.
//!
//! **Invariant:** pages are unpacked one at a time, and nothing is held locked while an entry is looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Uri;

use super::breaker::root_named;
use super::clean::rule_named;
use super::entry::{Prefix, Values, quote};
use super::problem::Problem;
use super::query::{Query, refuse};
use crate::core::engine::Holds;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{Index, Page, Record};
use crate::core::path::RelPath;
use crate::core::policy::{Class, Globs, Policy};
use crate::core::time::Timestamp;

/// The word for "no rule matches".
const NO_RULE: &str = "none";

/// Which entries are wanted.
#[derive(Debug, Default)]
pub(super) struct Filter {
    root: Option<RootId>,
    job: Option<Vec<u8>>,
    rule: Option<WantedRule>,
    glob: Option<Globs>,
    hold: Option<&'static str>,
    /// With a deadline until then.
    until: Option<Timestamp>,
    /// Last changed until then.
    changed_until: Option<Timestamp>,
    min_size: u64,
}

/// Under which rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WantedRule {
    /// Those that no rule matches.
    None,
    /// Under this one.
    Is(RuleId),
}

impl Filter {
    /// The parameters that it reads.
    pub(super) const NAMES: [&'static str; 8] = [
        "root",
        "job",
        "rule",
        "glob",
        "hold",
        "expiring_within",
        "older_than",
        "min_size",
    ];

    pub(super) fn read(query: &Query, policy: &Policy, now: Timestamp) -> Result<Self, Problem> {
        let root = query.text("root")?.map(|name| root_named(policy, name));
        let rule = query.text("rule")?.map(|name| match name {
            NO_RULE => Ok(WantedRule::None),
            name => rule_named(policy, name)
                .map(WantedRule::Is)
                .map_err(|mut problem| {
                    problem.allowed.push(NO_RULE.to_owned());
                    problem
                }),
        });
        let glob = query.text("glob")?.map(|glob| {
            Globs::compile(&[glob]).map_err(|error| refuse("glob", glob).hint(error.to_string()))
        });
        let hold = query.text("hold")?.map(|code| {
            let known = Hold::CODES.iter().copied().find(|known| *known == code);
            known.ok_or_else(|| refuse("hold", code).allowed(Hold::CODES.iter().copied()))
        });
        Ok(Self {
            root: root.transpose()?,
            job: query.bytes("job").map(<[u8]>::to_vec),
            rule: rule.transpose()?,
            glob: glob.transpose()?,
            hold: hold.transpose()?,
            until: query
                .duration("expiring_within")?
                .map(|ahead| now.after(ahead)),
            changed_until: query.duration("older_than")?.map(|ago| now.before(ago)),
            min_size: query.size("min_size")?.unwrap_or(0),
        })
    }

    /// What can be told without the path.
    fn takes(&self, record: &Record, rule: Option<RuleId>, deadline: Option<Timestamp>) -> bool {
        record.size >= self.min_size
            && self.changed_until.is_none_or(|until| record.mtime <= until)
            && self.rule.is_none_or(|wanted| wanted.takes(rule))
            && self
                .until
                .is_none_or(|until| deadline.is_some_and(|deadline| deadline <= until))
    }
}

impl WantedRule {
    fn takes(self, rule: Option<RuleId>) -> bool {
        match self {
            Self::None => rule.is_none(),
            Self::Is(wanted) => rule == Some(wanted),
        }
    }
}

/// The query of a list, parsed against every name that it may have.
pub(super) fn parse(uri: &Uri, more: &[&str]) -> Result<Query, Problem> {
    let names: Vec<&str> = Filter::NAMES.iter().chain(more).copied().collect();
    Query::parse(uri, &names)
}

/// The index through a filter, at one instant.
pub(super) struct View {
    index: Arc<Index>,
    policy: Arc<Policy>,
    holds: Holds,
    now: Timestamp,
    filter: Filter,
    /// Names as JSON strings.
    roots: BTreeMap<RootId, Vec<u8>>,
    rules: Vec<Vec<u8>>,
}

/// What the entries of one page have in common.
struct PageView {
    root: RootId,
    /// The directory's path with a closing slash; empty for the root's own.
    dir: Vec<u8>,
    prefix: Prefix,
    unit: Option<PageUnit>,
    has_owner: bool,
}

/// The top-level directory that a page lies in, when it lapses as a whole.
struct PageUnit {
    path: RelPath,
    basis: Timestamp,
    deadline: Option<Timestamp>,
}

impl View {
    pub(super) fn new(
        index: Arc<Index>,
        policy: Arc<Policy>,
        holds: Holds,
        now: Timestamp,
        filter: Filter,
    ) -> Self {
        let roots = policy.roots.iter();
        let roots = roots.map(|(&id, root)| (id, quote(&root.name))).collect();
        let rules = policy.rules.iter().map(|rule| quote(&rule.name)).collect();
        Self {
            index,
            policy,
            holds,
            now,
            filter,
            roots,
            rules,
        }
    }

    /// Every page at this instant.
    pub(super) fn pages(&self) -> Vec<Arc<Page>> {
        let pages = self.index.snapshot().into_iter();
        pages.map(|(_, page)| page).collect()
    }

    /// Shows the entries of `page` that the filter lets through, until `each` says no.
    pub(super) fn show(
        &self,
        page: &Page,
        mut each: impl FnMut(&Prefix, &[u8], &Values<'_>) -> bool,
    ) {
        let Some(about) = self.look(page) else {
            return;
        };
        let Some(root) = self.roots.get(&about.root) else {
            return;
        };
        let mut path = about.dir.clone();
        for (name, record) in page.entries() {
            let rule = match record.class {
                Class::Unruled => None,
                Class::Kept(rule) | Class::File(rule) | Class::Dir(rule) => Some(rule),
            };
            let unit = match record.class {
                Class::Dir(_) => about.unit.as_ref(),
                Class::Unruled | Class::Kept(_) | Class::File(_) => None,
            };
            let deadline = unit.map_or_else(|| record.deadline(), |unit| unit.deadline);
            if !self.filter.takes(&record, rule, deadline) {
                continue;
            }
            path.truncate(about.dir.len());
            path.extend_from_slice(name);
            let job = about
                .has_owner
                .then(|| self.policy.owner(about.root, &path))
                .flatten();
            let hold = deadline
                .filter(|&deadline| deadline <= self.now)
                .and_then(|_| self.hold(&about, unit, &path, &record));
            let hold = hold.as_ref().map(Hold::code);
            if !self.takes_late(&path, job, hold) {
                continue;
            }
            let values = Values {
                root,
                size: record.size,
                mtime: record.mtime,
                job,
                rule: rule
                    .and_then(|rule| self.rules.get(usize::from(rule.0)))
                    .map(Vec::as_slice),
                deadline,
                hold,
            };
            if !each(&about.prefix, name, &values) {
                return;
            }
        }
    }

    /// What a page's entries have in common; `None` when nobody wants them.
    fn look(&self, page: &Page) -> Option<PageView> {
        let (root, dir) = self.index.dir_path(page.dir())?;
        if self.filter.root.is_some_and(|wanted| wanted != root) {
            return None;
        }
        let known = self.policy.roots.get(&root)?;
        let has_units = self.policy.has_dir_rules(root);
        let top = dir.top().filter(|_| has_units);
        let unit = top.and_then(|top| {
            let state = self.index.unit(self.index.dir_id(root, top)?)?;
            Some(PageUnit {
                path: RelPath::root().join(top),
                basis: state.basis,
                deadline: state.deadline,
            })
        });
        let prefix = Prefix::new(&dir.below(&known.path));
        let mut dir = dir.as_bytes().to_vec();
        if !dir.is_empty() {
            dir.push(b'/');
        }
        Some(PageView {
            root,
            dir,
            prefix,
            unit,
            has_owner: known.owner.is_some(),
        })
    }

    fn hold(
        &self,
        about: &PageView,
        unit: Option<&PageUnit>,
        path: &[u8],
        record: &Record,
    ) -> Option<Hold> {
        if let Some(unit) = unit {
            let holds = &self.holds;
            return holds.of(about.root, &unit.path, unit.deadline, unit.basis);
        }
        let path = RelPath::parse(path)?;
        self.holds
            .of(about.root, &path, record.deadline(), record.basis)
    }

    /// What can be told only with the path.
    fn takes_late(&self, path: &[u8], job: Option<&[u8]>, hold: Option<&str>) -> bool {
        let filter = &self.filter;
        filter.job.as_ref().is_none_or(|wanted| job == Some(wanted))
            && filter.hold.is_none_or(|wanted| hold == Some(wanted))
            && filter.glob.as_ref().is_none_or(|glob| glob.matches(path))
    }
}
