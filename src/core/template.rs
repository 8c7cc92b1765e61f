//! Owner templates, `{job}/**` or `{job}_{name}`: how a path tells the job that it belongs to, and
//! the way back.
//!
//! A template is matched against a whole path beneath a root. Its segments are separated by `/`; a
//! segment consists of plain text, `*` (any bytes within the component, or none) and placeholders:
//!
//! | placeholder | stands for |
//! | --- | --- |
//! | `{job}`, `{name}` | one byte or more within the component |
//! | `{stem}` | the same, before the component's last dot; a leading dot is none |
//! | `{uuid}` | 36 characters, 8-4-4-4-12 hexadecimal digits of either case |
//! | `{digits}` | one ASCII digit or more |
//!
//! A dot right after `{stem}` is the last one of the component.
//!
//! `**` fills a segment: as the last one it stands for one component or more, elsewhere for any
//! number of them, or none.
//!
//! Where more than one reading is possible, each `*`, `**` and placeholder takes as little as lets
//! the rest match, the leftmost first: `{job}_{name}` reads `a_b_c` as job `a`. A placeholder that
//! is used twice stands for the same bytes both times.
//!
//! **Invariant:** a captured job is a key, never a path: it has no `/`, and only
//! [`crate::core::path::is_component`] jobs have a directory.
//! **Invariant:** a hostile name costs polynomial time: what was tried once and failed is not tried
//! again, and templates whose repeated placeholders would multiply the readings are refused.

mod parse;
mod search;

use std::fmt;

use super::path::is_component;
use search::search;

pub use parse::{Fault, TemplateError};

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: Box<str>,
    ops: Box<[Op]>,
    /// The alternative, for paths that this one does not match.
    next: Option<Box<Template>>,
}

/// Kinds of placeholders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    /// `{job}`: the id of a job.
    Job,
    /// `{name}`: any name or part of one.
    Name,
    /// `{stem}`: a name without its extension.
    Stem,
    /// `{uuid}`: a UUID in its canonical form.
    Uuid,
    /// `{digits}`: ASCII digits.
    Digits,
}

/// One step along a path. A template is a list of them; `/` is text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    /// Exactly these bytes.
    Text(Box<[u8]>),
    /// A placeholder's first use. When it is used again, `until` is the last step that does so,
    /// else this step.
    Capture { class: Class, until: usize },
    /// The bytes that the class captured before.
    Again(Class),
    /// `*`.
    Star,
    /// `**` before other segments, with the slash after it.
    Dirs,
    /// `**` as the last segment.
    Rest,
}

impl Op {
    /// Returns true if it is the first use of `{job}`.
    fn is_job(&self) -> bool {
        matches!(
            self,
            Self::Capture {
                class: Class::Job,
                ..
            }
        )
    }
}

/// Parts of a path that a template captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Captures<'p> {
    found: [Option<&'p [u8]>; Class::ALL.len()],
}

impl Template {
    /// Parses `source`.
    ///
    /// # Errors
    /// The first mistake, with its place; what is allowed stands in the second line.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let ops = parse::parse(source)?;
        Ok(Self {
            source: source.into(),
            ops,
            next: None,
        })
    }

    /// A template that says of a path what the first of these says that says anything; `None`:
    /// there are none.
    #[must_use]
    pub fn any_of(templates: Vec<Self>) -> Option<Self> {
        let all = templates.into_iter().rev();
        all.reduce(|next, template| Self {
            source: format!("{}\", \"{}", template.source, next.source).into(),
            next: Some(Box::new(next)),
            ..template
        })
    }

    /// This template, and the alternatives to it, in their order.
    pub fn alternatives(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |template| template.next.as_deref())
    }

    /// Matches the whole of `path`, the bytes of a [`super::path::RelPath`]. `None` when the
    /// template says nothing about it, and when it is no such path: empty, or with an empty
    /// component.
    #[must_use]
    pub fn captures<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        self.alternatives()
            .find_map(|template| template.captures_alone(path))
    }

    fn captures_alone<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let sound = !path.is_empty()
            && path.first() != Some(&b'/')
            && path.last() != Some(&b'/')
            && !path.windows(2).any(|pair| pair == b"//");
        if !sound {
            return None;
        }
        search(&self.ops, path, None).map(|found| Captures { found })
    }

    /// As [`Template::captures`], for the directory `path`: what it says about it, or about
    /// anything that could be in it.
    #[must_use]
    pub fn captures_within<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        let found = self.captures(path);
        let within = |template: &Self| template.within_alone(path);
        found.or_else(|| self.alternatives().find_map(within))
    }

    fn within_alone<'p>(&self, path: &'p [u8]) -> Option<Captures<'p>> {
        // No file is called so; whatever is captured of it would be of no use.
        let inside = [path, b"/\x01"].concat();
        let found = self.captures_alone(&inside)?;
        let within = |part: &[u8]| {
            let start = part.as_ptr().addr() - inside.as_ptr().addr();
            path.get(start..start + part.len())
        };
        let mut whole = Captures {
            found: [None; Class::ALL.len()],
        };
        for (slot, part) in whole.found.iter_mut().zip(found.found) {
            *slot = match part {
                None => None,
                Some(part) => Some(within(part)?),
            };
        }
        Some(whole)
    }

    /// The jobs that `path`, a file's or a directory's, can be read to belong to: what
    /// [`Template::captures`] says, then longer ones; then those of the alternatives.
    pub fn jobs<'p>(&'p self, path: &'p [u8]) -> impl Iterator<Item = &'p [u8]> {
        self.jobs_up_to(path, usize::MAX)
    }

    /// As [`Template::jobs`], with the `most` shortest of each alternative.
    pub(in crate::core) fn jobs_up_to<'p>(
        &'p self,
        path: &'p [u8],
        most: usize,
    ) -> impl Iterator<Item = &'p [u8]> {
        let readings = move |template: &'p Self| {
            let found = template.captures_alone(path);
            let found = found.or_else(|| template.within_alone(path))?;
            Some(template.job_readings(path, found.job()?).take(most))
        };
        self.alternatives().filter_map(readings).flatten()
    }

    /// Number of shorter jobs that a path of `job` can be read to belong to as well, at most.
    pub(in crate::core) fn shorter_readings(&self, job: &[u8]) -> usize {
        let shorter = |template: &Self| {
            let ends = 1..job.len();
            match template.text_after_job() {
                // What follows the shorter one may reach beyond the end of this one.
                Some(after) => ends
                    .filter(|&end| job[end..].starts_with(after) || after.starts_with(&job[end..]))
                    .count(),
                None => ends.len(),
            }
        };
        self.alternatives().map(shorter).max().unwrap_or(0)
    }

    /// The jobs that `path` can be read to belong to, `first` (what the template captures) before
    /// longer ones.
    fn job_readings<'p>(
        &'p self,
        path: &'p [u8],
        first: &'p [u8],
    ) -> impl Iterator<Item = &'p [u8]> {
        // It was captured of a copy otherwise: then there is one reading, that of a whole
        // component.
        let start = first.as_ptr().addr().wrapping_sub(path.as_ptr().addr());
        let rest = path.get(start..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let longer = (first.len() + 1..=end).map(move |len| &rest[..len]);
        let after = self.text_after_job();
        let may = move |job: &&[u8]| after.is_none_or(|after| rest[job.len()..].starts_with(after));
        let fits = move |job: &&'p [u8]| search(&self.ops, path, Some(*job)).is_some();
        std::iter::once(first).chain(longer.filter(may).filter(fits))
    }

    /// The text that stands right after a job, if any does.
    fn text_after_job(&self) -> Option<&[u8]> {
        let job = self.ops.iter().position(Op::is_job)?;
        match self.ops.get(job + 1)? {
            Op::Text(text) => Some(text),
            Op::Capture { .. } | Op::Again(_) | Op::Star | Op::Dirs | Op::Rest => None,
        }
    }

    /// Returns true if everything of a job is in one directory, [`Template::job_dir`].
    #[must_use]
    pub fn has_job_dir(&self) -> bool {
        self.next.is_none() && self.job_dir(b"job").is_some()
    }

    /// Returns the directory that everything of `job` is in, if there is one: when the job's id
    /// is the whole name of a directory, and only plain text stands before it.
    #[must_use]
    pub fn job_dir(&self, job: &[u8]) -> Option<Vec<u8>> {
        if !is_component(job) {
            return None;
        }
        let (before, rest) = match &*self.ops {
            [Op::Text(before), rest @ ..] => (&**before, rest),
            rest => (&b""[..], rest),
        };
        let is_whole = before.is_empty() || before.ends_with(b"/");
        match rest {
            [first, Op::Text(after), ..]
                if first.is_job() && is_whole && after.starts_with(b"/") =>
            {
                Some([before, job].concat())
            }
            _ => None,
        }
    }

    /// The text that was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl<'p> Captures<'p> {
    /// The job that the path belongs to; `None` when the template has no `{job}`.
    #[must_use]
    pub fn job(&self) -> Option<&'p [u8]> {
        self.get(Class::Job)
    }

    /// Returns the bytes that the placeholder of `class` stands for; `None` when the template has
    /// none.
    #[must_use]
    pub fn get(&self, class: Class) -> Option<&'p [u8]> {
        self.found[class as usize]
    }
}

impl Class {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Self; 5] = [Self::Job, Self::Name, Self::Stem, Self::Uuid, Self::Digits];

    /// The word between the braces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// A glob for what [`Class::Uuid`] stands for.
    #[must_use]
    pub(super) fn uuid_glob() -> String {
        let places = (0..search::UUID_LEN).map(search::is_uuid_dash);
        places
            .map(|is_dash| if is_dash { "-" } else { "[0-9a-fA-F]" })
            .collect()
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.as_str())
    }
}

#[cfg(test)]
mod tests;
