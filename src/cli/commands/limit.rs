//! Limits in words.

use crate::cli::human;
use crate::types::{LimitExcess, LimitLine, LimitState};

/// Returns how full a limit is, and what it does: `cache: 44.1 GB of 53.7 GB, removing`.
pub(super) fn describe(of: &LimitLine) -> String {
    let name = of.rule.as_ref().unwrap_or(&of.root);
    let owner = of.owner.as_ref();
    let owner = owner.map_or(String::new(), |owner| format!(" of {}", human::safe(owner)));
    let mut parts = Vec::new();
    if let Some(most) = of.max_size {
        parts.push(format!(
            "{} of {}",
            human::size(of.bytes),
            human::size(most)
        ));
    }
    if let Some(most) = of.max_files {
        let files = human::count(of.files);
        parts.push(format!("{files} of {}", human::files(most)));
    }
    if let (Some(least), Some(free)) = (of.min_free, of.free) {
        parts.push(format!(
            "{} free, at least {}",
            human::size(free),
            human::size(least)
        ));
    }
    if let (Some(least), Some(free)) = (of.min_free_inodes, of.free_inodes) {
        let free = human::count(free);
        parts.push(format!(
            "{free} inodes free, at least {}",
            human::count(least)
        ));
    }
    if parts.is_empty() {
        parts.push("the file system was not asked yet".to_owned());
    }
    match (of.state, &of.why) {
        (LimitState::Met, _) => {}
        (LimitState::Held, Some(why)) => parts.push(format!("held: {}", human::one_line(why))),
        (LimitState::Unmet, _) if !of.passed.is_empty() => {
            let passed = of.passed.iter();
            let passed: Vec<String> = passed
                .map(|(code, count)| format!("{} {code}", human::count(*count)))
                .collect();
            parts.push(format!("exceeded, passed over: {}", passed.join(", ")));
        }
        (state, _) => parts.push(state.as_str().to_owned()),
    }
    format!("{}{owner}: {}", human::safe(name), parts.join(", "))
}

/// Returns what a limit would remove: `limit of cache: 3 files go now, the first in its order`.
pub(super) fn excess(of: &LimitExcess) -> String {
    let name = of.limit.rule.as_ref().unwrap_or(&of.limit.root);
    let owner = of.limit.owner.as_ref();
    let owner = owner.map_or(String::new(), |owner| format!(" of {}", human::safe(owner)));
    let verb = if of.would_remove == 1 { "goes" } else { "go" };
    format!(
        "limit of {}{owner}: {} {verb} now; `lapsed clean --dry-run` lists them",
        human::safe(name),
        human::files(of.would_remove)
    )
}
