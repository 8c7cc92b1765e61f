//! `keep_last` and `per` of a rule.
//!
//! **Invariant:** what a rule keeps by count it also keeps while it is young: `expire` is required
//! all the same.

use crate::core::claim::Unit;
use crate::core::policy::{Grouping, JobFilter, KeepLast};
use crate::core::template::Template;

use super::error::Refusal;
use super::reader::{Reader, Reported};
use super::schema::Rule;
use super::setting::Setting;

/// Value of `per` for what is in one directory.
const DIR: &str = "dir";

/// Number of newest things that a rule keeps of each group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeepCount(usize);

impl Setting for KeepCount {
    const TYPES: &'static [&'static str] = u64::TYPES;

    fn parse(text: &str) -> Result<Self, Refusal> {
        let most = KeepLast::COUNT_MAX;
        match usize::try_from(u64::parse(text)?) {
            Ok(0) => Err(Refusal::new("keeps nothing").hint("leave it out, or give at least 1")),
            Ok(count) if count <= most => Ok(Self(count)),
            Ok(_) | Err(_) => Err(Refusal::new(format!("is more than {most}"))),
        }
    }
}

impl Setting for Grouping {
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim() == DIR {
            return Ok(Self::Dir);
        }
        let template = <Template as Setting>::parse(text)?;
        if !template.as_str().contains('{') {
            let hint = "allowed: \"dir\", or a template such as \"{name}-20*.tar.gz\"";
            return Err(Refusal::new("has no placeholder to tell groups by").hint(hint));
        }
        Ok(Self::Template(template))
    }
}

/// Reads the keys; reports combinations that make no sense.
pub(super) fn read(
    reader: &mut Reader,
    rule: &Rule,
    unit: Unit,
    jobs: &JobFilter,
) -> Result<Option<KeepLast>, Reported> {
    let problems = reader.count();
    if !rule.keep_last.is_present() {
        if let Some(text) = rule.per.text() {
            let refusal = Refusal::new("groups nothing without keep_last");
            reader.note(text.refuse(refusal.hint("add keep_last = 3, or leave it out")));
            return Err(Reported);
        }
        return Ok(None);
    }
    let text = rule.keep_last.text();
    let is_endless = rule.expire.get().is_some_and(|expire| expire.0.is_none());
    let wrong = match (unit, jobs) {
        _ if is_endless => Some((
            "expire = \"never\"",
            "give an age from which the others lapse",
        )),
        (Unit::Job, _) => Some((
            "unit = \"job\"",
            "it counts files, or directories with unit = \"dir\"",
        )),
        (_, JobFilter::Nobody) => Some(("job = \"none\"", "leave it out: orphans go by age")),
        (Unit::File | Unit::Dir, JobFilter::Anyone | JobFilter::Standing(_)) => None,
    };
    if let (Some((other, hint)), Some(text)) = (wrong, text) {
        let refusal = Refusal::new(format!("cannot be combined with {other}"));
        reader.note(text.refuse(refusal.hint(hint)));
    }
    let per = rule.per.get().cloned();
    let count = rule.keep_last.get();
    match (count, reader.count() == problems) {
        (Some(KeepCount(count)), true) if !rule.per.is_present() || per.is_some() => {
            Ok(Some(KeepLast {
                count: *count,
                per: per.unwrap_or(Grouping::Rule),
            }))
        }
        (_, _) => Err(Reported),
    }
}
