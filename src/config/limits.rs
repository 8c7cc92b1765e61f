//! `limit` of rules and roots.
//!
//! **Invariant:** a limit that could not act as it reads is refused.

use super::error::Refusal;
use super::reader::Reader;
use super::schema;
use super::setting::Table;
use super::value;
use crate::core::policy::{Limit, Per};

/// Checks a limit; `None` if there is none, or something was reported.
pub(super) fn read(reader: &mut Reader, limit: &Table<schema::Limit>) -> Option<Limit> {
    if limit.given.is_empty() {
        return None;
    }
    let problems = reader.count();
    let is_of_space = limit.min_free.is_present() || limit.min_free_inodes.is_present();
    let is_bound = limit.max_size.is_present() || limit.max_files.is_present() || is_of_space;
    if !is_bound {
        let problem = limit.problem("the limit has no bound");
        reader.note(problem.hint("such as max_size = \"50GiB\", max_files = 1000000, or min_free"));
    }
    if let Some((text, down_to)) = limit.down_to.both() {
        match limit.max_size.get() {
            None if !limit.max_size.is_present() => {
                let refusal = Refusal::new("has an effect only with max_size");
                reader.note(text.refuse(refusal.hint("add max_size = \"…\"")));
            }
            Some(most) if down_to.0 > most.0 => {
                let refusal = Refusal::new(format!("is above max_size, {} bytes", most.0));
                reader.note(text.refuse(refusal.hint("the low mark is at most the limit")));
            }
            Some(_) | None => {}
        }
    }
    if is_of_space && !limit.keep_at_least.is_present() {
        let problem = limit.problem("min_free and min_free_inodes need keep_at_least");
        reader.note(problem.hint(
            "such as keep_at_least = \"5GiB\": else everything would be removed when others fill \
             the file system",
        ));
    }
    if let Some(text) = limit.keep_at_least.text().filter(|_| !is_of_space) {
        let refusal = Refusal::new("has an effect only with min_free or min_free_inodes");
        reader.note(text.refuse(refusal.hint("for a low mark of max_size: down_to")));
    }
    let per = limit.per.get().copied();
    if is_of_space
        && let Some(text) = limit.per.text()
        && per == Some(Per::Owner)
    {
        let refusal = Refusal::new("cannot be used with min_free: a file system has no owner");
        reader.note(text.refuse(refusal.hint("give the rule and its root a limit each")));
    }
    if reader.count() > problems {
        return None;
    }
    // A value that was refused is a problem, and was reported.
    Some(Limit {
        max_size: limit.max_size.get().map(|size| size.0),
        down_to: limit.down_to.get().map(|size| size.0),
        max_files: limit.max_files.get().map(|count| count.0),
        min_free: limit.min_free.get().map(|free| free.0),
        min_free_inodes: limit.min_free_inodes.get().map(|free| free.0),
        keep_at_least: limit.keep_at_least.get().map_or(0, |size| size.0),
        order: limit.order.get().copied()?,
        min_age_ms: value::milliseconds(limit.min_age.get()?.0),
        per: per?,
    })
}
