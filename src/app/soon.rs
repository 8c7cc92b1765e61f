//! Everything that lapses within a time, by owner, with the command that keeps it.
//!
//! **Invariant:** the index is read by pages, and memory is bounded by the number of groups.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use super::daemon::Daemon;
use super::entry::Values;
use super::view::{Filter, View};
use crate::app::error::AppError;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;
use crate::notifications::Receiver;
use crate::types::{FilesQuery, Moment, Span};

/// Groups of one answer: a person reads no more. What belongs to others is counted together.
const GROUPS_MAX: usize = 200;

/// Others come to their turn after so many pages.
const PAGES_AT_ONCE: usize = 16;

/// Files that lapse soon.
#[derive(Debug, Default)]
pub struct Soon {
    /// Groups, the one with the first deadline first.
    pub groups: Vec<SoonGroup>,
    /// Files of all groups, those for which there was no room included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Files of a job, or below one name at the top of a root.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SoonGroup {
    /// Name of the root.
    pub root: String,
    /// Id of the job; `None`: nobody's.
    pub job: Option<String>,
    /// Absolute path of the name at the top of the root.
    pub path: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// First instant of a removal.
    pub first: Moment,
    /// Command that keeps it for a week.
    pub keep: String,
}

/// Collects what lapses by itself after `after` and until `until`, as far as `receiver` wants to
/// hear of it.
///
/// # Errors
/// If the daemon is stopping.
pub async fn lapse_soon(
    daemon: &Daemon,
    receiver: &Receiver,
    after: Timestamp,
    until: Timestamp,
) -> Result<Soon, AppError> {
    let (holds, now) = daemon
        .link()
        .ask(|engine, now| (engine.holds(now), now.wall))
        .await?;
    let policy = daemon.policy();
    let ahead = u64::try_from(until.ms_since(now)).unwrap_or(0);
    let query = FilesQuery {
        expiring_within: Some(Span(std::time::Duration::from_millis(ahead))),
        ..FilesQuery::default()
    };
    let filter = Filter::new(&query, &policy, now)?;
    let view = View::new(daemon, holds, now, filter);
    let (mut groups, mut soon) = (BTreeMap::new(), Soon::default());
    for some in view.pages().chunks(PAGES_AT_ONCE) {
        for page in some {
            view.show(page, |dir, name, values| {
                let is_meant = values.pin.is_none()
                    && values.lapses_at.is_some_and(|at| at > after && at <= until);
                if is_meant {
                    add(
                        &mut groups,
                        &mut soon,
                        &policy,
                        receiver,
                        (dir.as_bytes(), name),
                        values,
                    );
                }
                true
            });
        }
        tokio::task::yield_now().await;
    }
    soon.groups = groups.into_values().collect();
    soon.groups.sort_by_key(|group| group.first.0);
    Ok(soon)
}

fn text(quoted: &[u8]) -> String {
    serde_json::from_slice(quoted).unwrap_or_default()
}

fn add(
    groups: &mut BTreeMap<(String, String), SoonGroup>,
    soon: &mut Soon,
    policy: &Policy,
    receiver: &Receiver,
    (dir, name): (&[u8], &[u8]),
    values: &Values<'_>,
) {
    let (root, rule) = (text(values.root), values.rule.map(text));
    let Some(first) = values.lapses_at else {
        return;
    };
    if !receiver.has_place(Some(&root), rule.as_deref()) {
        return;
    }
    soon.files += 1;
    soon.bytes = soon.bytes.saturating_add(values.size);
    let job = values
        .job
        .map(|job| String::from_utf8_lossy(job).into_owned());
    let mut roots = policy.roots.values();
    let base = roots.find(|known| known.name == root);
    let base = base.map_or(&b""[..], |known| known.path.as_os_str().as_bytes());
    let path = [dir, name].concat();
    let top = path.strip_prefix(base).unwrap_or(&path);
    let top = top
        .split(|&byte| byte == b'/')
        .find(|part| !part.is_empty());
    let path = [base, b"/", top.unwrap_or_default()].concat();
    let path = String::from_utf8_lossy(&path).into_owned();
    let key = (root.clone(), job.clone().unwrap_or_else(|| path.clone()));
    if groups.len() >= GROUPS_MAX && !groups.contains_key(&key) {
        return;
    }
    let group = groups.entry(key).or_insert_with(|| {
        let what = match &job {
            Some(job) => format!("--job={}", quoted(job)),
            None => quoted(&path),
        };
        SoonGroup {
            root,
            job,
            path,
            files: 0,
            bytes: 0,
            first: Moment(first),
            keep: format!("lapsed pin add {what} --for 7d --why \"…\""),
        }
    });
    group.files += 1;
    group.bytes = group.bytes.saturating_add(values.size);
    group.first = Moment(group.first.0.min(first));
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        assert_eq!(quoted("/srv/a-b_1.txt"), "/srv/a-b_1.txt");
        assert_eq!(quoted("it's $(rm)"), r"'it'\''s $(rm)'");
        assert_eq!(quoted("-f"), "'-f'");
    }
}
