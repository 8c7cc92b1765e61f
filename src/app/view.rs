//! The index as a list shows it: entries with their rule, job, deadline and hold, as far as a
//! filter lets them through.
//!
//! **Invariant:** pages are unpacked one at a time, and nothing is held locked while an entry is
//! looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::belonging::is_orphan;
use super::breaker::root_named;
use super::calendar::{Calendar, Departures};
use super::daemon::Daemon;
use super::entry::{Prefix, Values, quote};
use super::retention::rule_named;
use crate::app::error::AppError;
use crate::core::engine::Holds;
use crate::core::facts::{RootId, RuleId};
use crate::core::hold::Hold;
use crate::core::index::{Index, Page, Record};
use crate::core::jobs::{Jobs, Owner, SourceId, Status};
use crate::core::path::RelPath;
use crate::core::pins::Pins;
use crate::core::policy::{Class, Globs, Policy};
use crate::core::time::Timestamp;
use crate::types::{Bytes, FilesQuery, Size, Span};

/// The word for "no rule matches".
const NO_RULE: &str = "none";

/// Filter of entries.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    root: Option<RootId>,
    job: Option<Vec<u8>>,
    rule: Option<WantedRule>,
    glob: Option<Globs>,
    hold: Option<&'static str>,
    status: Option<Status>,
    /// Only what is nobody's where somebody should own it.
    is_orphan: bool,
    is_pinned: bool,
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
    /// Resolves the names in `query`.
    pub(crate) fn new(
        query: &FilesQuery,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Self, AppError> {
        let root = query.root.as_ref().map(|name| root_named(policy, name));
        let rule = query.rule.as_ref().map(|name| match &**name {
            NO_RULE => Ok(WantedRule::None),
            name => rule_named(policy, name)
                .map(WantedRule::Is)
                .map_err(|mut error| {
                    error.allowed.push(NO_RULE.to_owned());
                    error
                }),
        });
        let glob = query.glob.as_ref().map(|glob| {
            Globs::compile(&[glob])
                .map_err(|error| AppError::invalid_parameter("glob", glob).hint(error.to_string()))
        });
        let hold = query.hold.as_ref().map(|code| {
            let known = Hold::CODES.iter().copied().find(|known| known == code);
            known.ok_or_else(|| {
                AppError::invalid_parameter("hold", code).allowed(Hold::CODES.iter().copied())
            })
        });
        Ok(Self {
            root: root.transpose()?,
            job: query.job.clone().map(|Bytes(id)| id),
            rule: rule.transpose()?,
            glob: glob.transpose()?,
            hold: hold.transpose()?,
            status: query.status,
            is_orphan: query.orphan,
            is_pinned: query.pinned,
            until: query.expiring_within.map(|Span(ahead)| now.after(ahead)),
            changed_until: query.older_than.map(|Span(ago)| now.before(ago)),
            min_size: query.min_size.map_or(0, |Size(bytes)| bytes),
        })
    }

    /// Returns true if the entry passes as far as its path is not needed.
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

/// The index through a filter, at one instant.
pub(crate) struct View {
    index: Arc<Index>,
    jobs: Arc<Jobs>,
    pins: Option<Arc<Pins>>,
    policy: Arc<Policy>,
    holds: Holds,
    now: Timestamp,
    calendar: Calendar,
    filter: Filter,
    /// Names as JSON strings.
    roots: BTreeMap<RootId, Vec<u8>>,
    rules: Vec<Vec<u8>>,
    sources: BTreeMap<SourceId, Vec<u8>>,
}

/// Properties that all entries of a page share.
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
    rule: RuleId,
}

impl View {
    pub(crate) fn new(daemon: &Daemon, holds: Holds, now: Timestamp, filter: Filter) -> Self {
        let policy = daemon.policy();
        let roots = policy.roots.iter();
        let roots = roots.map(|(&id, root)| (id, quote(&root.name))).collect();
        let rules = policy.rules.iter().map(|rule| quote(&rule.name)).collect();
        let sources = policy.sources.iter();
        let sources = sources.map(|(&id, source)| (id, quote(&source.name)));
        let parts = &daemon.parts;
        Self {
            index: Arc::clone(&parts.index),
            jobs: Arc::clone(&parts.jobs),
            pins: (!parts.pins.is_empty()).then(|| Arc::clone(&parts.pins)),
            holds,
            now,
            calendar: Calendar::new(parts.started),
            filter,
            roots,
            rules,
            sources: sources.collect(),
            policy,
        }
    }

    /// Returns the id of the job whose entries are wanted.
    pub(crate) fn job(&self) -> Option<&[u8]> {
        self.filter.job.as_deref()
    }

    /// Returns true if an entry of `page` belongs to the job `job`, whatever else the filter says.
    pub(crate) fn has_job(&self, page: &Page, job: &[u8]) -> bool {
        let Some(about) = self.look_at(page) else {
            return false;
        };
        let mut path = about.dir.clone();
        page.entries().any(|(name, _)| {
            path.truncate(about.dir.len());
            path.extend_from_slice(name);
            let owner = self.jobs.owner(&self.policy, about.root, &path);
            is_of_job(job, &self.belongs(&about, &path, &owner), &owner)
        })
    }

    /// Every page at this instant.
    pub(crate) fn pages(&self) -> Vec<Arc<Page>> {
        let pages = self.index.snapshot().into_iter();
        pages.map(|(_, page)| page).collect()
    }

    /// Shows the entries of `page` that the filter lets through, until `each` says no.
    pub(crate) fn show(
        &self,
        page: &Page,
        mut each: impl FnMut(&Prefix, &[u8], &Values<'_>) -> bool,
    ) {
        let Some(about) = self.look_at(page) else {
            return;
        };
        if self.filter.root.is_some_and(|wanted| wanted != about.root) {
            return;
        }
        let Some(root) = self.roots.get(&about.root) else {
            return;
        };
        let mut departures = Departures::new(&self.calendar, &self.policy, self.now);
        let mut path = about.dir.clone();
        for (name, record) in page.entries() {
            let rule = match record.class {
                Class::Unruled => None,
                Class::Kept(rule) | Class::File(rule) | Class::Dir(rule) | Class::Job(rule) => {
                    Some(rule)
                }
            };
            let unit = match record.class {
                Class::Dir(_) => about.unit.as_ref(),
                Class::Unruled | Class::Kept(_) | Class::File(_) | Class::Job(_) => None,
            };
            path.truncate(about.dir.len());
            path.extend_from_slice(name);
            let deadline = match (unit, record.class) {
                (Some(unit), _) => unit.deadline,
                (None, Class::Job(rule)) => {
                    self.jobs
                        .deadline(&self.policy, about.root, &path, rule, record.basis)
                }
                (None, _) => record.deadline(),
            };
            if !self.filter.takes(&record, rule, deadline) {
                continue;
            }
            let owner = self.jobs.owner(&self.policy, about.root, &path);
            let belongs = self.belongs(&about, &path, &owner);
            let hold = deadline
                .filter(|&deadline| deadline <= self.now)
                .and_then(|at| self.hold(&about, unit, &path, &record, at));
            let hold = hold.as_ref().map(Hold::code);
            let pin = self.pin(about.root, &path, &owner);
            let is_meant = self.takes_late(&path, hold)
                && self.takes_owner(&belongs, &owner)
                && (!self.filter.is_pinned || pin.is_some())
                && (!self.filter.is_orphan
                    || is_orphan(&self.policy, about.root, &path, record.class, &owner));
            if !is_meant {
                continue;
            }
            let departure = rule.zip(deadline);
            let departure = departure.map(|(rule, deadline)| departures.of(rule, deadline));
            let values = Values {
                root,
                size: record.size,
                mtime: record.mtime,
                job: belongs.job,
                source: belongs.source,
                status: belongs.status,
                rule: rule
                    .and_then(|rule| self.rules.get(usize::from(rule.0)))
                    .map(Vec::as_slice),
                deadline,
                lapses_at: departure.and_then(|(at, _)| at),
                reason: departure.map(|(_, reason)| reason),
                hold,
                pin,
            };
            if !each(&about.prefix, name, &values) {
                return;
            }
        }
    }

    /// Returns what the entries of a page have in common; `None` when its root is gone.
    fn look_at(&self, page: &Page) -> Option<PageView> {
        let (root, dir) = self.index.dir_path(page.dir())?;
        let known = self.policy.roots.get(&root)?;
        let has_units = self.policy.has_dir_rules(root);
        let top = dir.top().filter(|_| has_units);
        let unit = top.and_then(|top| {
            let state = self.index.unit(self.index.dir_id(root, top)?)?;
            Some(PageUnit {
                path: RelPath::root().join(top),
                basis: state.basis,
                deadline: state.deadline,
                rule: state.rule,
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
        deadline: Timestamp,
    ) -> Option<Hold> {
        if let Some(unit) = unit {
            let holds = &self.holds;
            return holds.of(about.root, &unit.path, unit.deadline, unit.basis, unit.rule);
        }
        let path = RelPath::parse(path)?;
        let (Class::File(rule) | Class::Job(rule)) = record.class else {
            return None;
        };
        self.holds
            .of(about.root, &path, Some(deadline), record.basis, rule)
    }

    /// The job that an entry is shown with: the one that decides, or that the root's template
    /// captures.
    fn belongs<'v>(&'v self, about: &PageView, path: &'v [u8], owner: &'v Owner) -> Belongs<'v> {
        let source = |id: &SourceId| self.sources.get(id).map(Vec::as_slice);
        match owner {
            Owner::Nobody => Belongs {
                job: about
                    .has_owner
                    .then(|| self.policy.owner(about.root, path))
                    .flatten(),
                ..Belongs::default()
            },
            Owner::Unknown {
                source: id,
                captured,
            } => Belongs {
                job: captured.as_deref().map(str::as_bytes),
                source: source(id),
                status: None,
            },
            Owner::Jobs(jobs) => {
                let decides = match &jobs[..] {
                    [one] => Some(one),
                    several => {
                        let (_, decides) = self.policy.decide(about.root, path, owner);
                        decides.or(several.first())
                    }
                };
                decides.map_or_else(Belongs::default, |job| Belongs {
                    job: Some(job.key.id.as_bytes()),
                    source: source(&job.key.source),
                    status: Some(job.status),
                })
            }
        }
    }

    fn pin(&self, root: RootId, path: &[u8], owner: &Owner) -> Option<u64> {
        let pins = self.pins.as_ref()?;
        let path = RelPath::parse(path)?;
        let pin = pins.find(&self.policy, root, &path, owner, self.now)?;
        Some(pin.id)
    }

    /// Returns true if the entry passes by its path.
    fn takes_late(&self, path: &[u8], hold: Option<&str>) -> bool {
        let filter = &self.filter;
        filter.hold.is_none_or(|wanted| hold == Some(wanted))
            && filter.glob.as_ref().is_none_or(|glob| glob.matches(path))
    }

    /// Returns true if the entry passes by its owners: any of several.
    fn takes_owner(&self, belongs: &Belongs<'_>, owner: &Owner) -> bool {
        let filter = &self.filter;
        let has_job = |wanted: &Vec<u8>| is_of_job(wanted, belongs, owner);
        let has_status = |wanted| owner.jobs().iter().any(|job| job.status == wanted);
        filter.job.as_ref().is_none_or(has_job) && filter.status.is_none_or(has_status)
    }
}

/// Returns true if an entry is shown with the job `wanted`, or if that is one of its owners.
fn is_of_job(wanted: &[u8], belongs: &Belongs<'_>, owner: &Owner) -> bool {
    let mut jobs = owner.jobs().iter();
    belongs.job == Some(wanted) || jobs.any(|job| job.key.id.as_bytes() == wanted)
}

/// The job that an entry is shown with.
#[derive(Clone, Copy, Default)]
struct Belongs<'v> {
    job: Option<&'v [u8]>,
    /// The source's name, as a JSON string.
    source: Option<&'v [u8]>,
    status: Option<Status>,
}
