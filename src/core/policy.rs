//! Policy: the rule that decides about a file or a top-level directory, and the deadline under it.
//!
//! **Invariant:** pure. The same facts give the same verdict, in the engine's index and in the
//! reaper's last look.
//! **Invariant:** no rule, no knowledge, no timestamp: no removal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod alert;
mod decide;
mod globs;
mod keep_last;
mod limit;
mod rule;
mod schedules;
mod source;

pub use alert::{Alert, AlertKind, Measure};
pub use decide::{Class, Verdict};
pub use globs::{Globs, classes_in};
pub use keep_last::{Grouping, KeepLast};
pub use limit::{Amount, Limit, Order, Per};
pub use rule::{Disposal, JobFilter, Record, Rule, Schedule, Since, SkipOpen};
pub use schedules::{NamedSchedule, ScheduleAction};
pub use source::{Derived, Source};

use super::facts::{RootId, RuleId};
use super::jobs::SourceId;
use super::path::{RelPath, is_in_quarantine};
use super::template::Template;

/// The validated roots and rules of one configuration. Replaced as a whole on reload.
#[derive(Debug, Default)]
pub struct Policy {
    /// The watched trees.
    pub roots: BTreeMap<RootId, Root>,
    /// The rules, in the order in which they are tried. A [`RuleId`] is an index into this list.
    pub rules: Vec<Rule>,
    /// Rules that are switched off: as if they were absent, but told.
    pub disabled_rules: Vec<Rule>,
    /// Schedules beside those of rules.
    pub schedules: Vec<NamedSchedule>,
    /// The sources of jobs.
    pub sources: BTreeMap<SourceId, Source>,
    /// Databases of sources that are in roots: no rule is for them.
    pub databases: BTreeSet<(RootId, RelPath)>,
    /// A daemon removes once at its start everything that is due, whatever the schedules of its
    /// rules.
    pub cleans_at_start: bool,
}

/// A directory tree that is watched.
#[derive(Debug)]
pub struct Root {
    /// Its name: unique, never empty.
    pub name: String,
    /// Its absolute path, free of symbolic links when the configuration was read.
    pub path: PathBuf,
    /// Template by which a path names the job that owns it.
    pub owner: Option<Template>,
    /// Source of the jobs that own its files; `None`: none.
    pub source: Option<SourceId>,
    /// Names that may become orphans when no job owns them; `None`: none.
    pub orphans: Option<Template>,
    /// It counts as empty when nothing stands at its path; if not set, it is held as missing.
    pub optional: bool,
    /// Directories that a removal emptied are removed, too.
    pub prune_empty_dirs: bool,
    /// Other roots that are beneath this one: theirs are not ours.
    pub nested: Vec<(RelPath, RootId)>,
    /// Limits on all of it.
    pub limit: Option<Limit>,
    /// Thresholds that people want to hear of.
    pub alert: Alert,
    /// Patterns for the names at its top that are of it; `None`: all.
    pub only: Option<Globs>,
}

impl Root {
    /// Returns true if `path` belongs to this root: `only` does not leave it out, and it is in no
    /// quarantine.
    #[must_use]
    pub fn has(&self, path: &[u8]) -> bool {
        let end = path.iter().position(|&byte| byte == b'/');
        let top = &path[..end.unwrap_or(path.len())];
        self.only.as_ref().is_none_or(|only| only.matches(top)) && !is_in_quarantine(path)
    }
}

impl Policy {
    /// Everything that decides what lapses when, as text: two policies with the same text make the
    /// same of the same facts.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for root in self.roots.values() {
            let nested: Vec<_> = root.nested.iter().map(|(path, _)| path).collect();
            let source = root.source.and_then(|id| self.sources.get(&id));
            let template = |of: &Option<Template>| of.as_ref().map(|of| of.as_str().to_owned());
            let (owner, orphans) = (template(&root.owner), template(&root.orphans));
            let source = source.map(|source| &source.name);
            let all = (
                &root.path,
                nested,
                owner,
                source,
                orphans,
                &root.only,
                &root.limit,
            );
            let _ = writeln!(text, "root {all:?}");
        }
        for of in self.sources.values() {
            let paths = (&of.files_root, &of.base_dir, &of.path_map, &of.links);
            let all = (&of.name, &of.id_pattern, paths, &of.derived);
            let _ = writeln!(text, "source {all:?}");
        }
        for rule in &self.rules {
            let roots = rule.roots.as_ref().map(|roots| {
                let paths = roots.iter().filter_map(|id| self.roots.get(id));
                paths.map(|root| root.path.clone()).collect::<Vec<_>>()
            });
            let sources = rule.sources.as_ref().map(|ids| {
                let known = ids.iter().filter_map(|id| self.sources.get(id));
                known.map(|source| &source.name).collect::<Vec<_>>()
            });
            let paths = (roots, &rule.glob, &rule.exclude, &rule.keep);
            let times = (rule.since, rule.expire_ms, rule.unit, &rule.schedule);
            let owners = (&rule.jobs, &rule.kinds, sources, rule.record, &rule.limit);
            let _ = writeln!(text, "rule {paths:?} {times:?} {owners:?}");
            if let Some(keep) = &rule.keep_last {
                let _ = writeln!(text, "keeps {keep:?}");
            }
        }
        for of in self.enabled_schedules() {
            let all = (&of.name, &of.times, of.on_start, &of.action);
            let _ = writeln!(text, "schedule {all:?}");
        }
        if self.cleans_at_start {
            text.push_str("cleans at start\n");
        }
        text
    }

    /// Returns true if any rule keeps the newest of its groups.
    #[must_use]
    pub fn has_keep_last(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep_last.is_some())
    }

    /// Returns true if what is due under the rule behind `id` may go, now or later, without
    /// anybody's asking: then the breaker minds it.
    #[must_use]
    pub fn lapses_by_itself(&self, id: RuleId) -> bool {
        match self.rule(id).schedule {
            Schedule::AtDeadline | Schedule::At(_) => true,
            Schedule::Manual if self.cleans_at_start => true,
            Schedule::Manual | Schedule::Named => self.schedules_of(id).next().is_some(),
        }
    }

    /// The rule behind `id`.
    ///
    /// # Panics
    /// Panics when `id` comes from another policy with more rules.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[usize::from(id.0)]
    }

    /// The root that is named `name`.
    #[must_use]
    pub fn root_named(&self, name: &str) -> Option<RootId> {
        self.roots
            .iter()
            .find(|(_, root)| root.name == name)
            .map(|(&id, _)| id)
    }

    /// The rule that is named `name`.
    #[must_use]
    pub fn rule_named(&self, name: &str) -> Option<RuleId> {
        let place = self.rules.iter().position(|rule| rule.name == name)?;
        u16::try_from(place).ok().map(RuleId)
    }

    /// The job that the template of `root` captures from `path`, which is in it.
    #[must_use]
    pub fn owner<'p>(&self, root: RootId, path: &'p [u8]) -> Option<&'p [u8]> {
        self.roots.get(&root)?.owner.as_ref()?.captures(path)?.job()
    }

    /// Finds the innermost root that `path` (absolute, normalized) is in and belongs to, and the
    /// path beneath it.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Option<(RootId, RelPath)> {
        use std::os::unix::ffi::OsStrExt;
        self.roots
            .iter()
            .filter_map(|(&id, root)| Some((id, root, path.strip_prefix(&root.path).ok()?)))
            .max_by_key(|(_, root, _)| root.path.as_os_str().len())
            .map(|(id, root, rest)| (id, root, rest.as_os_str().as_bytes()))
            .filter(|(_, root, rest)| rest.is_empty() || root.has(rest))
            .and_then(|(id, _, rest)| Some((id, RelPath::parse(rest)?)))
    }

    fn rules_of(&self, root: RootId) -> impl Iterator<Item = (RuleId, &Rule)> {
        self.each_rule()
            .filter(move |(_, rule)| rule.applies_to(root))
    }

    /// Every rule with its number, in the order in which they are tried.
    pub fn each_rule(&self) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0u16..).map(RuleId).zip(&self.rules)
    }

    /// Returns true if `root` counts as empty when nothing stands at its path.
    #[must_use]
    pub fn is_optional(&self, root: RootId) -> bool {
        self.roots.get(&root).is_some_and(|root| root.optional)
    }

    /// Returns true if `source` is told of its jobs by programs.
    #[must_use]
    pub fn has_pushed_jobs(&self, source: SourceId) -> bool {
        self.sources.get(&source).is_some_and(|of| of.is_told)
    }
}
