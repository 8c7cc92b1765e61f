//! Space: files and bytes by root and by rule, and what is due, from the index.

use std::sync::Arc;

use super::daemon::Daemon;
use super::order::wait;
use super::retention;
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::RuleId;
use crate::core::index::{Forecast, Index};
use crate::core::jobs::Jobs;
use crate::core::path::RelPath;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;
use crate::types::{self, JsonPath, RootSpace, RuleSpace, SpaceQuery};

/// Returns the space that `query` asks for.
///
/// # Errors
/// If it names a rule or a duration that there is not, or the daemon is stopping.
pub async fn space(daemon: Arc<Daemon>, query: SpaceQuery) -> Result<types::Space, AppError> {
    let policy = daemon.policy();
    let retention = query.retention.unwrap_or_default();
    let retention = retention::resolve(&policy, &retention.0)?;
    let turn = Arc::clone(&daemon.plans).acquire_owned().await;
    let space = wait(move || {
        // Held until it is counted, also when nobody waits for it any more.
        let _turn = turn;
        let known = (&*daemon.parts.index, &*daemon.parts.jobs);
        space_of(known, &policy, &retention, clock::now().wall)
    });
    space.await
}

/// Counts the files in the index by root and by rule, and what is due at `now`. Rules in
/// `retention` have that time to live, in milliseconds.
#[must_use]
pub fn space_of(
    (index, jobs): (&Index, &Jobs),
    policy: &Policy,
    retention: &[(RuleId, i64)],
    now: Timestamp,
) -> types::Space {
    let roots = policy.roots.iter().map(|(&id, root)| {
        let (all, top) = (index.totals(id), index.top(id));
        RootSpace {
            root: root.name.clone(),
            path: JsonPath::new(&RelPath::root().below(&root.path)),
            files: all.files,
            bytes: all.bytes,
            top_files: top.files,
            top_directories: top.dirs,
        }
    });
    let rules = policy.rules.iter().map(|rule| RuleSpace {
        rule: rule.name.clone(),
        ..RuleSpace::default()
    });
    let mut space = types::Space {
        roots: roots.collect(),
        rules: rules.collect(),
    };
    let mut change = |rule: RuleId, change: &dyn Fn(&mut RuleSpace)| {
        // The index may be ahead of these rules.
        space
            .rules
            .get_mut(usize::from(rule.0))
            .into_iter()
            .for_each(change);
    };
    for usage in index.usage_by_rule() {
        if let Some(rule) = usage.rule {
            change(rule, &|of| {
                of.files += usage.files;
                of.bytes = of.bytes.saturating_add(usage.bytes);
            });
        }
    }
    let until = Until::new(policy, retention, now);
    let mut add = |at: Timestamp, part: Forecast| {
        if at <= until.of(part.rule) {
            change(part.rule, &|of| {
                of.due_files += part.files;
                of.due_bytes = of.due_bytes.saturating_add(part.bytes);
            });
        }
    };
    index.each_deadline(None, until.last(), &mut add);
    jobs.each_deadline((index, policy), until.last(), &mut add);
    space
}

/// Instants until which the deadlines of rules count as due: under a shorter time to live, what
/// lapses by the rule's own some time from now is due now.
struct Until {
    now: Timestamp,
    /// By rule.
    others: Vec<Option<Timestamp>>,
}

impl Until {
    fn new(policy: &Policy, retention: &[(RuleId, i64)], now: Timestamp) -> Self {
        let mut others = vec![None; policy.rules.len()];
        for &(id, ms) in retention {
            if let Some((rule, until)) = policy
                .rules
                .get(usize::from(id.0))
                .zip(others.get_mut(usize::from(id.0)))
            {
                *until = rule
                    .expire_ms
                    .map(|own_ms| now.plus_ms(own_ms.saturating_sub(ms)));
            }
        }
        Self { now, others }
    }

    fn of(&self, rule: RuleId) -> Timestamp {
        let other = self.others.get(usize::from(rule.0)).copied();
        other.flatten().unwrap_or(self.now)
    }

    fn last(&self) -> Timestamp {
        let others = self.others.iter().flatten().copied();
        others.chain([self.now]).max().unwrap_or(self.now)
    }
}
