//! Limits: how full each is.

use std::collections::BTreeMap;

use super::daemon::{Daemon, root_name, rule_name};
use crate::app::error::AppError;
use crate::core::claim::LimitScope;
use crate::core::policy::Policy;
use crate::core::report::{LimitPhase, LimitStatus};
use crate::types::{self, LimitLine, LimitState};

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
