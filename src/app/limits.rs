//! Limits: how full each is.

use std::collections::BTreeMap;

use super::daemon::{Daemon, json_path, root_name, rule_name};
use crate::app::error::AppError;
use crate::core::claim::LimitScope;
use crate::core::policy::{Order, Policy};
use crate::core::report::{LimitPhase, LimitPlace, LimitStatus};
use crate::types::{self, LimitExcess, LimitLine, LimitState};

/// Shows how full each limit is.
///
/// # Errors
/// If the daemon is stopping.
pub async fn show(daemon: &Daemon) -> Result<types::Limits, AppError> {
    let all = daemon.link().ask(|engine, _| engine.limit_status()).await?;
    let policy = daemon.policy();
    Ok(types::Limits {
        limits: all.iter().map(|of| line(of, &policy)).collect(),
    })
}

pub(super) fn line(of: &LimitStatus, policy: &Policy) -> LimitLine {
    let (state, hold, passed) = match &of.phase {
        LimitPhase::Met => (LimitState::Met, None, BTreeMap::new()),
        LimitPhase::Removing => (LimitState::Removing, None, BTreeMap::new()),
        LimitPhase::Unmet { passed } => (LimitState::Unmet, None, passed.clone()),
        LimitPhase::Held { hold } => (LimitState::Held, Some(hold), BTreeMap::new()),
    };
    let rule = match of.scope {
        LimitScope::Rule(_, rule) => Some(rule_name(policy, rule).to_owned()),
        LimitScope::Root(_) => None,
    };
    let owner = of.owner.as_ref();
    LimitLine {
        root: root_name(policy, of.scope.root()).to_owned(),
        rule,
        owner: owner.map(|owner| String::from_utf8_lossy(owner).into_owned()),
        state,
        files: of.files,
        max_files: of.limit.max_files,
        bytes: of.bytes,
        max_size: of.limit.max_size,
        down_to: of.limit.down_to,
        min_free: of
            .limit
            .min_free
            .and_then(|least| Some(least.of(of.space?.size_bytes))),
        free: of.space.map(|space| space.available_bytes),
        min_free_inodes: of
            .limit
            .min_free_inodes
            .and_then(|least| Some(least.of(of.space?.inodes))),
        free_inodes: of.space.map(|space| space.available_inodes),
        passed,
        hold: hold.map(|hold| hold.code().to_owned()),
        why: hold.map(ToString::to_string),
    }
}

/// Returns the JSON of limits that would remove something now, with the number of its files.
#[must_use]
pub fn excess(found: &[(LimitStatus, u64)], policy: &Policy) -> Vec<LimitExcess> {
    let one = |(of, files): &(LimitStatus, u64)| LimitExcess {
        limit: line(of, policy),
        would_remove: *files,
    };
    found.iter().map(one).collect()
}

/// Returns the JSON of a place in the order of a limit.
pub(super) fn place(of: &LimitPlace, policy: &Policy) -> types::LimitPlace {
    let next_ahead = of.next_ahead.as_ref();
    types::LimitPlace {
        limit: line(&of.status, policy),
        order: of.status.limit.order,
        ahead: of.ahead,
        next_ahead: next_ahead.map(|(root, path)| json_path(policy, *root, path).path),
        not_before: of.not_before.map(|at| at.to_string()),
    }
}

/// Says the same to people.
pub(super) fn place_sentence(of: &types::LimitPlace) -> String {
    let name = of.limit.rule.as_ref().map_or_else(
        || format!("root \"{}\"", of.limit.root),
        |rule| format!("rule \"{rule}\""),
    );
    let order = match of.order {
        Order::Oldest => "oldest",
        Order::Largest => "largest",
    };
    let ahead = match of.ahead {
        None => return format!("the limit of {name} counts it, and may not remove it."),
        Some(0) => "nothing goes before it".to_owned(),
        Some(1) => "1 thing goes before it".to_owned(),
        Some(LimitPlace::AHEAD_MAX) => {
            format!("{} things or more go before it", LimitPlace::AHEAD_MAX)
        }
        Some(ahead) => format!("{ahead} things go before it"),
    };
    let last = of
        .next_ahead
        .as_ref()
        .filter(|_| of.ahead < Some(LimitPlace::AHEAD_MAX));
    let last = last.map_or_else(String::new, |path| format!(", last \"{path}\""));
    let age = of.not_before.as_ref();
    let age = age.map_or_else(String::new, |at| {
        format!("; it is too young for that until {at}")
    });
    let state = match of.limit.state {
        LimitState::Met => "is not exceeded now",
        LimitState::Removing => "is exceeded, and things are removed",
        LimitState::Unmet => "is exceeded, and nothing more may go now",
        LimitState::Held => "is held",
    };
    format!("the limit of {name} {state}; it removes the {order} first: {ahead}{last}{age}.")
}
