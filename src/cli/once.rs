//! `plan` and `clean` where no daemon answers: one crawl, the same policy, the same reaper.

use std::time::Duration;

use super::app::{Context, Watching};
use super::client::ClientError;
use crate::api::clean::{report_of, understand};
use crate::api::plan::plan_of;
use crate::api::wire::{CleanOrder, Plan, Report};
use crate::clock;
use crate::config::Settings;
use crate::core::report::Mode;
use crate::service::once;

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

/// What lapses within `within`, by one crawl.
pub(super) fn plan(mut settings: Settings, within: Duration) -> anyhow::Result<Plan> {
    settings.mode = Mode::DryRun;
    let once = once(settings)?;
    Ok(plan_of(
        once.engine().index(),
        once.engine().jobs(),
        &once.engine().policy(),
        clock::now().wall,
        within,
    ))
}

/// Removes what is due and asked for, after one crawl.
pub(super) fn clean(settings: Settings, order: &CleanOrder) -> anyhow::Result<Report> {
    let began = clock::now().wall;
    let uid = rustix::process::geteuid().as_raw();
    // Refused before anything is read, let alone removed.
    let request = understand(order, &settings.policy, uid)?;
    let mut once = once(settings)?;
    let report = once.clean(request);
    let policy = once.engine().policy();
    Ok(report_of(
        &report,
        &policy,
        order.dry_run,
        (began, clock::now().wall),
    ))
}
