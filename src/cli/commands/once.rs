//! `plan` and `clean` where no daemon answers: one crawl, the same policy, the same reaper.
//!
//! **Invariant:** a question changes nothing: it is a survey.

use std::sync::Arc;
use std::time::Duration;

use crate::app::calendar::Calendar;
use crate::app::clean::{refuse_unknown, resolve};
use crate::app::plan::plan_of;
use crate::app::report::{Run, report_of};
use crate::cli::client::ClientError;
use crate::cli::context::{Context, Watching};
use crate::clock;
use crate::config::Settings;
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::report::Mode;
use crate::daemon::{Baseline, once, survey};
use crate::types::{CleanOrder, Plan, Report};

/// What to read where no daemon could be asked, because of `absence`.
///
/// # Errors
/// The configuration's mistakes, behind the reason why it is needed at all.
pub(super) fn settings(
    context: &Context,
    watching: &Watching,
    absence: &ClientError,
) -> anyhow::Result<Settings> {
    context
        .settings(watching)
        .map_err(|mistakes| anyhow::anyhow!("{absence}\nand to do without a daemon:\n{mistakes:#}"))
}

/// The rules of a question. Roots that a run would make are empty.
fn policy_of(settings: &mut Settings) -> Arc<Policy> {
    let mut policy = std::mem::take(&mut settings.policy);
    for root in policy.roots.values_mut() {
        root.optional |= settings.create.contains(&root.path);
    }
    Arc::new(policy)
}

/// Lists what lapses within `within`, after one survey.
pub(super) fn plan(mut settings: Settings, within: Duration) -> anyhow::Result<Plan> {
    let policy = policy_of(&mut settings);
    let survey = survey(&settings, &policy, Baseline::Saved)?;
    let engine = survey.engine();
    let now = clock::now().wall;
    Ok(plan_of(
        engine.index(),
        engine.jobs(),
        &policy,
        &Calendar::new(now),
        now,
        within,
    ))
}

/// Removes what is due and asked for, after one crawl; in a dry run only lists it.
pub(super) fn clean(mut settings: Settings, order: &CleanOrder) -> anyhow::Result<Report> {
    let started = clock::now().wall;
    let principal = Principal::Uid(rustix::process::geteuid().as_raw());
    // Refused before anything is read, let alone removed.
    let request = resolve(order, &settings.policy, principal)?;
    let is_dry = order.dry_run || settings.mode == Mode::DryRun;
    let (mut sources, mut is_interrupted) = (Vec::new(), false);
    let (report, policy) = if is_dry {
        let policy = policy_of(&mut settings);
        let report = survey(&settings, &policy, Baseline::Saved)?.clean(request);
        (report, policy)
    } else {
        let mut once = once(settings)?;
        let report = once.clean(request);
        sources = once.write_records();
        is_interrupted = once.is_interrupted();
        (report, once.engine().policy())
    };
    refuse_unknown(&report)?;
    let run = Run {
        started,
        finished: clock::now().wall,
        is_interrupted,
        sources: &sources,
    };
    Ok(report_of(&report, &policy, run))
}
