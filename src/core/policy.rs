//! Which rule decides about a file or a top-level directory, and when it lets it go.
//!
//! **Invariant:** pure. The same facts give the same verdict, in the engine's index and in the reaper's last look.
//! **Invariant:** no rule, no knowledge, no timestamp: no removal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::claim::Unit;
use super::facts::{Facts, RootId, RuleId};
use super::hold::Hold;
use super::path::RelPath;
use super::template::Template;
use super::time::Timestamp;

/// The validated roots and rules of one configuration. Replaced as a whole on reload.
#[derive(Debug, Default)]
pub struct Policy {
    /// The watched trees.
    pub roots: BTreeMap<RootId, Root>,
    /// The rules, in the order in which they are tried. A [`RuleId`] is an index into this list.
    pub rules: Vec<Rule>,
}

/// A directory tree that is watched.
#[derive(Debug)]
pub struct Root {
    /// Its name: unique, never empty.
    pub name: String,
    /// Its absolute path, free of symbolic links when the configuration was read.
    pub path: PathBuf,
    /// How a path tells the job that owns it.
    pub owner: Option<Template>,
    /// Whether directories that a removal emptied go too.
    pub prune_empty_dirs: bool,
    /// Other roots that lie beneath this one: theirs are not ours.
    pub nested: Vec<(RelPath, RootId)>,
}

/// Which entries, how long, since when.
#[derive(Debug)]
pub struct Rule {
    /// Its name: unique, never empty.
    pub name: String,
    /// The roots that it applies to; `None`: all.
    pub roots: Option<Vec<RootId>>,
    /// What it matches; `None`: everything. Paths from the root for files, names for top-level directories.
    pub glob: Option<Globs>,
    /// What it leaves to later rules, with everything below.
    pub exclude: Option<Globs>,
    /// What it keeps for ever, with everything below.
    pub keep: Option<Globs>,
    /// The timestamp that decides.
    pub since: Since,
    /// Time to live from that timestamp, in milliseconds, not negative; `None`: for ever.
    pub expire_ms: Option<i64>,
    /// What lapses as a whole.
    pub unit: Unit,
    /// What an open file means.
    pub skip_open: SkipOpen,
    /// When a due entry goes.
    pub schedule: Schedule,
}

/// The timestamp that a rule counts from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// The latest of mtime, ctime, btime and arrival; for a directory, of all in its tree.
    Newest,
    /// Last change of the content; a directory's own.
    Mtime,
    /// Last change of content, name or attributes; a directory's own.
    Ctime,
    /// Birth; a directory's own.
    Btime,
}

/// What a rule does about files that somebody has open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SkipOpen {
    /// Open files are held, and those of which it cannot be known.
    Always,
    /// Open files are held where it can be known; the others go.
    IfKnown,
    /// Open files go.
    Never,
}

/// When a due entry goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// At its deadline.
    AtDeadline,
    /// Only when asked, through `clean`.
    Manual,
}

/// A set of glob patterns in gitignore's habit: `*` and `?` do not cross `/`, `**` does.
#[derive(Debug, Clone)]
pub struct Globs {
    patterns: Vec<Glob>,
    set: GlobSet,
}

/// Which rule a path falls under, and as what. First match wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// No rule matches: kept for ever.
    Unruled,
    /// The rule's `keep` names it: kept for ever.
    Kept(RuleId),
    /// It lapses by itself.
    File(RuleId),
    /// It lapses with the top-level directory that it lies in.
    Dir(RuleId),
}

/// What the policy says about one thing. Whether `at` has passed is for the caller, who has the clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It stays for ever.
    Keep,
    /// The rule lets it go at `at`, counted from `basis`.
    Lapse {
        /// The deadline.
        at: Timestamp,
        /// The timestamp that decided.
        basis: Timestamp,
        /// The rule.
        rule: RuleId,
    },
    /// The rule would let it go, but what it needs to know is missing.
    Hold {
        /// The rule.
        rule: RuleId,
        /// What is missing.
        why: Hold,
    },
}

impl Policy {
    /// Finds the first rule that matches the file at `path` in `root`.
    #[must_use]
    pub fn classify(&self, root: RootId, path: &[u8]) -> Class {
        let top = path
            .iter()
            .position(|&b| b == b'/')
            .map(|slash| &path[..slash]);
        for (id, rule) in self.rules_of(root) {
            let kept = || {
                rule.keep
                    .as_ref()
                    .is_some_and(|keep| keep.matches_within(path))
            };
            match rule.unit {
                Unit::File if rule.takes(path) => {
                    return if kept() {
                        Class::Kept(id)
                    } else {
                        Class::File(id)
                    };
                }
                Unit::Dir if top.is_some_and(|name| rule.takes(name)) => {
                    return if kept() {
                        Class::Kept(id)
                    } else {
                        Class::Dir(id)
                    };
                }
                Unit::File | Unit::Dir => {}
            }
        }
        Class::Unruled
    }

    /// Finds the first rule by which the top-level directory `name` of `root` lapses as a whole.
    #[must_use]
    pub fn dir_rule(&self, root: RootId, name: &[u8]) -> Option<RuleId> {
        self.rules_of(root)
            .find(|(_, rule)| {
                let kept = || {
                    rule.keep
                        .as_ref()
                        .is_some_and(|keep| keep.matches_within(name))
                };
                rule.unit == Unit::Dir && rule.takes(name) && !kept()
            })
            .map(|(id, _)| id)
    }

    /// Whether any rule lets top-level directories of `root` lapse as a whole.
    #[must_use]
    pub fn has_dir_rules(&self, root: RootId) -> bool {
        self.rules_of(root).any(|(_, rule)| rule.unit == Unit::Dir)
    }

    /// Decides about a file that lapses by itself. `known` is a floor under its newest timestamp (its arrival).
    #[must_use]
    pub fn file(&self, root: RootId, path: &[u8], facts: &Facts, known: Timestamp) -> Verdict {
        match self.classify(root, path) {
            Class::Unruled | Class::Kept(_) | Class::Dir(_) => Verdict::Keep,
            Class::File(id) => self.verdict(id, self.rule(id).since.of(facts, known)),
        }
    }

    /// Decides about the top-level directory `name`. `newest` is the latest timestamp in its tree, arrivals and
    /// directories included; `facts` is a look at the directory itself.
    #[must_use]
    pub fn dir(&self, root: RootId, name: &[u8], facts: &Facts, newest: Timestamp) -> Verdict {
        match self.dir_rule(root, name) {
            None => Verdict::Keep,
            Some(id) => self.verdict(id, self.rule(id).since.of(facts, newest)),
        }
    }

    /// The verdict of rule `id` when `basis` is the timestamp that it asks for.
    #[must_use]
    pub fn verdict(&self, id: RuleId, basis: Option<Timestamp>) -> Verdict {
        match (self.rule(id).expire_ms, basis) {
            (None, _) => Verdict::Keep,
            (Some(_), None) => Verdict::Hold {
                rule: id,
                why: Hold::NoTimestamp,
            },
            (Some(expire_ms), Some(basis)) => Verdict::Lapse {
                at: basis.plus_ms(expire_ms),
                basis,
                rule: id,
            },
        }
    }

    /// Everything that decides what lapses when, as text: two policies with the same text make the same of the same facts.
    #[must_use]
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for root in self.roots.values() {
            let nested: Vec<_> = root.nested.iter().map(|(path, _)| path).collect();
            let _ = writeln!(text, "root {} {nested:?}", root.path.display());
        }
        let globs = |globs: &Option<Globs>| -> Option<Vec<String>> {
            let patterns = globs.as_ref()?.patterns();
            Some(patterns.map(str::to_owned).collect())
        };
        for rule in &self.rules {
            let roots = rule.roots.as_ref().map(|roots| {
                let paths = roots.iter().filter_map(|id| self.roots.get(id));
                paths.map(|root| root.path.clone()).collect::<Vec<_>>()
            });
            let (glob, exclude, keep) =
                (globs(&rule.glob), globs(&rule.exclude), globs(&rule.keep));
            let Rule {
                since,
                expire_ms,
                unit,
                schedule,
                ..
            } = rule;
            let _ = writeln!(
                text,
                "rule {roots:?} {glob:?} {exclude:?} {keep:?} {since:?} {expire_ms:?} {unit:?} {schedule:?}"
            );
        }
        text
    }

    /// The rule behind `id`.
    ///
    /// # Panics
    /// When `id` comes from another policy with more rules.
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

    /// The job that the template of `root` captures from `path`, which lies in it.
    #[must_use]
    pub fn owner<'p>(&self, root: RootId, path: &'p [u8]) -> Option<&'p [u8]> {
        self.roots.get(&root)?.owner.as_ref()?.captures(path)?.job()
    }

    /// Finds the innermost root that `path` (absolute, normalized) lies in, and the path beneath it.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Option<(RootId, RelPath)> {
        use std::os::unix::ffi::OsStrExt;
        self.roots
            .iter()
            .filter_map(|(&id, root)| Some((id, root, path.strip_prefix(&root.path).ok()?)))
            .max_by_key(|(_, root, _)| root.path.as_os_str().len())
            .and_then(|(id, _, rest)| Some((id, RelPath::parse(rest.as_os_str().as_bytes())?)))
    }

    fn rules_of(&self, root: RootId) -> impl Iterator<Item = (RuleId, &Rule)> {
        (0u16..)
            .map(RuleId)
            .zip(&self.rules)
            .filter(move |(_, rule)| rule.applies_to(root))
    }
}

impl Rule {
    /// Whether the rule is meant for `root`.
    #[must_use]
    pub fn applies_to(&self, root: RootId) -> bool {
        self.roots
            .as_ref()
            .is_none_or(|roots| roots.contains(&root))
    }

    fn takes(&self, path: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|glob| glob.matches(path))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude.matches_within(path))
    }
}

impl Since {
    /// The timestamp that decides; `None` where the file system does not keep it. `known` is a floor under the newest.
    #[must_use]
    pub fn of(self, facts: &Facts, known: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Newest => Some(facts.newest().max(known)),
            Self::Mtime => Some(facts.mtime.ceil()),
            Self::Ctime => Some(facts.ctime.ceil()),
            Self::Btime => facts.btime.map(super::time::FileTime::ceil),
        }
    }

    /// The word in configuration, JSON and the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Mtime => "mtime",
            Self::Ctime => "ctime",
            Self::Btime => "btime",
        }
    }
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// The first pattern that cannot be compiled, with the reason.
    pub fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<Self, globset::Error> {
        let patterns = patterns
            .iter()
            .map(|pattern| {
                GlobBuilder::new(pattern.as_ref())
                    .literal_separator(true)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(pattern.clone());
        }
        Ok(Self {
            set: set.build()?,
            patterns,
        })
    }

    /// Whether a pattern matches `path` as a whole.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match_candidate(&Candidate::from_bytes(path))
    }

    /// Whether a pattern matches `path` or a directory that it lies in.
    #[must_use]
    pub fn matches_within(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|&(_, &b)| b == b'/')
            .map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| self.matches(&path[..end]))
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Glob::glob)
    }
}
