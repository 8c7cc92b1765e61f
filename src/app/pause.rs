//! Pauses: for a while nothing is removed, by whose word and why.
//!
//! **Invariant:** a pause that was acknowledged is on disk, and known to the engine.
//! **Invariant:** an end that cannot be recorded is taken back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::order::{through, wait};
use super::pins::{name_of, reason};
use crate::app::access::Admin;
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::pauses::{Pause, PausedRoot};
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::ledger::line::LinePause;
use crate::ledger::{Line, LineUnit, Mark};
use crate::types::{self, ResumeQuery, Resumed};

/// Longest pause. A pause that nobody ends must not fill the disk for ever.
const LASTING_MAX: Duration = Duration::from_hours(30 * 24);

/// Milliseconds between looks at removals that had begun: three seconds in all. The reaper takes
/// back whatever it has not renamed yet, so that what is left is about to be recorded.
const UNDER_WAY_PAUSES: [u64; 9] = [0, 5, 20, 50, 125, 300, 500, 1000, 1000];

/// Shows the pauses that hold.
///
/// # Errors
/// If the daemon is stopping.
pub async fn show(daemon: &Daemon) -> Result<types::Pauses, AppError> {
    let under_way = daemon.link().ask(|engine, _| engine.paused_claims());
    Ok(types::Pauses {
        under_way: under_way.await?,
        pauses: list(daemon),
    })
}

/// The pauses that hold.
pub(crate) fn list(daemon: &Daemon) -> Vec<types::Pause> {
    let pauses = daemon.parts.pauses.list();
    pauses.iter().map(types::Pause::from).collect()
}

/// Begins a pause, in place of an earlier one of the same roots.
///
/// # Errors
/// If the order is invalid, or the pause cannot be recorded.
pub async fn begin(
    daemon: Arc<Daemon>,
    admin: &Admin,
    order: types::PauseOrder,
) -> Result<types::Pauses, AppError> {
    let by = admin.principal();
    let why = reason(order.why.as_deref(), "pause")?;
    let lasting = lasting(order.lasting.as_deref())?;
    let roots = roots(&daemon.policy(), order.roots.as_deref())?;
    through(async move {
        let _turn = daemon.turn().await;
        let who = name_of(by.clone()).await?;
        let since = clock::now().wall;
        let pause = |root| Pause {
            root,
            who: who.clone(),
            why: why.clone(),
            since,
            until: since.after(lasting),
        };
        let pauses: Vec<Pause> = roots.into_iter().map(pause).collect();
        let (keeper, set) = (Arc::clone(&daemon), pauses.clone());
        wait(move || begin_on_disk(&keeper, &set, &by)).await??;
        let told = daemon
            .link()
            .ask(move |engine, now| engine.pause(pauses, now));
        told.await?;
        let mut shown = show(&daemon).await?;
        for ms in UNDER_WAY_PAUSES {
            if shown.under_way == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(ms)).await;
            shown = show(&daemon).await?;
        }
        Ok(shown)
    })
    .await
}

/// Ends the pause of the root that `query` names, or all pauses.
///
/// # Errors
/// If there is no such root, it is paused with all others, or the change cannot be recorded.
pub async fn end(
    daemon: Arc<Daemon>,
    admin: &Admin,
    query: ResumeQuery,
) -> Result<Resumed, AppError> {
    let by = admin.principal();
    through(async move {
        let _turn = daemon.turn().await;
        let all = daemon.parts.pauses.list();
        let meant =
            |pause: &&Pause| query.root.is_none() || pause.root_name() == query.root.as_deref();
        let ended: Vec<Pause> = all.iter().filter(meant).cloned().collect();
        if let (true, Some(root)) = (ended.is_empty(), &query.root) {
            root_named(&daemon.policy(), root)?;
            if all.iter().any(|pause| pause.root.is_none()) {
                let why = format!("root \"{root}\" is paused with all others");
                return Err(AppError::conflict(why).hint("`lapsed resume` ends all pauses"));
            }
        }
        let (keeper, told, principal) = (Arc::clone(&daemon), ended.clone(), by.clone());
        wait(move || end_on_disk(&keeper, &told, &principal)).await??;
        let told = ended.clone();
        let heard = daemon
            .link()
            .ask(move |engine, now| engine.resume(&told, &by, now));
        heard.await?;
        Ok(Resumed {
            resumed: ended.iter().map(types::Pause::from).collect(),
        })
    })
    .await
}

/// Keeps `set`. It holds also when the ledger cannot be written: nothing is removed then.
fn begin_on_disk(daemon: &Daemon, set: &[Pause], by: &Principal) -> Result<(), AppError> {
    daemon.parts.registry.change_pauses(set, &[])?;
    let line = |pause| line(daemon, pause, Mark::Paused, by, clock::now().wall);
    let lines: Vec<Line> = set.iter().map(line).collect();
    if let Err(error) = daemon.parts.ledger.append(&lines) {
        tracing::error!("the history lacks a pause that holds: {error}");
    }
    Ok(())
}

/// Forgets `ended`; all of them are kept if the ledger cannot tell of it.
fn end_on_disk(daemon: &Daemon, ended: &[Pause], by: &Principal) -> Result<(), AppError> {
    let registry = &daemon.parts.registry;
    registry.change_pauses(&[], ended)?;
    let line = |pause| line(daemon, pause, Mark::Resumed, by, clock::now().wall);
    let lines: Vec<Line> = ended.iter().map(line).collect();
    daemon.parts.ledger.append(&lines).inspect_err(|_| {
        if let Err(error) = registry.change_pauses(ended, &[]) {
            tracing::error!("a pause that could not be ended is not kept over a restart: {error}");
        }
    })?;
    Ok(())
}

/// The ledger's line that `by` did `mark` with `pause` at `at`.
fn line(daemon: &Daemon, pause: &Pause, mark: Mark, by: &Principal, at: Timestamp) -> Line {
    let root = pause.root.as_ref();
    Line {
        id: daemon.parts.ledger.next_id(),
        at,
        root: root.map(|root| root.name.clone()).unwrap_or_default(),
        path: root
            .map(|root| root.path.display().to_string())
            .unwrap_or_default(),
        unit: LineUnit::Dir,
        basis: pause.since,
        deadline: pause.until,
        result: mark,
        by: by.clone(),
        pause: Some(LinePause {
            who: pause.who.clone(),
            why: pause.why.clone(),
        }),
        ..Line::default()
    }
}

fn lasting(text: Option<&str>) -> Result<Duration, AppError> {
    let text = text.ok_or_else(|| {
        AppError::invalid("the pause's \"for\" is missing")
            .hint("say for how long, such as \"2h\"; it ends by itself then")
    })?;
    let lasting = crate::core::span::parse(text).ok();
    let lasting = lasting.filter(|lasting| !lasting.is_zero());
    let lasting = lasting.ok_or_else(|| {
        AppError::invalid(format!("the pause's \"for\" cannot be \"{text}\""))
            .hint("give a duration such as 90s, 15m, 12h, 7d or 1h30m")
    })?;
    if lasting > LASTING_MAX {
        return Err(AppError::invalid("a pause lasts 30 days at most")
            .hint("pause again before it ends, or set automatic = false in the configuration"));
    }
    Ok(lasting)
}

/// Targets of the pauses: one for all roots, or one for each name.
fn roots(policy: &Policy, names: Option<&[String]>) -> Result<Vec<Option<PausedRoot>>, AppError> {
    let Some(names) = names else {
        return Ok(vec![None]);
    };
    if names.is_empty() {
        return Err(AppError::invalid("the pause's \"roots\" names no root")
            .hint("leave \"roots\" out to pause all of them"));
    }
    let ids: Result<BTreeSet<RootId>, AppError> =
        names.iter().map(|name| root_named(policy, name)).collect();
    let paused = |id: &RootId| {
        let root = policy.roots.get(id)?;
        Some(PausedRoot {
            name: root.name.clone(),
            path: root.path.clone(),
        })
    };
    Ok(ids?.iter().map(paused).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_has_an_end_within_thirty_days() {
        assert_eq!(lasting(Some("1h30m")), Ok(Duration::from_mins(90)));
        assert_eq!(lasting(Some("30d")), Ok(LASTING_MAX));
        for (text, words) in [
            (None, "is missing"),
            (Some("0s"), "cannot be \"0s\""),
            (Some("-1h"), "cannot be"),
            (Some("soon"), "cannot be"),
            (Some("31d"), "30 days"),
        ] {
            let error = lasting(text).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn an_empty_list_of_roots_is_not_all_of_them() {
        let policy = Policy::default();
        assert_eq!(roots(&policy, None), Ok(vec![None]));
        assert!(roots(&policy, Some(&[])).is_err());
        assert!(roots(&policy, Some(&["other".to_owned()])).is_err());
    }
}
