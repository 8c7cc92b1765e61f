//! Pins: what is to stay for a while, by whose word.
//!
//! **Invariant:** a pin that was acknowledged is on disk, in the ledger, and known to the engine.
//! **Invariant:** a change that cannot be recorded is taken back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Uid, User};

use super::daemon::Daemon;
use super::explain::plain_path;
use super::jobs;
use super::order::{through, wait};
use crate::app::access::Operator;
use crate::app::error::{AppError, ErrorKind};
use crate::clock;
use crate::core::jobs::JobLookup;
use crate::core::pins::{Pin, PinTarget};
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;
use crate::ledger::Mark;
use crate::types::{self, Moment};

mod line;

/// The longest reason, in characters: it stands in every list.
const WHY_MAX: usize = 1000;

/// The longest time that a pin lasts: who means longer means a rule.
const LASTING_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Pins there may be, ~400 bytes each: as many as an undo may bring things back.
const PINS_MAX: usize = 200_000;

/// Pins that ended are forgotten after so long: a clock that was set wrong meanwhile has been put
/// right by then.
const ENDED_KEPT: Duration = Duration::from_hours(30 * 24);

/// Lists the pins that hold.
#[must_use]
pub fn list(daemon: &Daemon) -> types::Pins {
    let now = clock::now().wall;
    let pins = daemon.parts.pins.list();
    let holding = pins.iter().filter(|pin| pin.until > now);
    types::Pins {
        pins: holding.map(types::Pin::from).collect(),
    }
}

/// Sets a pin.
///
/// # Errors
/// If the order is invalid, or the pin cannot be recorded.
pub async fn set(
    daemon: Arc<Daemon>,
    operator: &Operator,
    order: types::PinOrder,
) -> Result<types::Pin, AppError> {
    let by = operator.principal();
    let policy = daemon.policy();
    let why = reason(order.why.as_deref(), "pin")?;
    let now = clock::now().wall;
    let until = end(order.lasting.as_deref(), order.until, now)?;
    let target = target(&daemon, &policy, &order).await?;
    let pin = through(async move {
        let _turn = daemon.turn().await;
        make_room(&daemon, now).await?;
        let who = name_of(by.clone()).await?;
        let keeper = Arc::clone(&daemon);
        let pin = wait(move || {
            let registry = &keeper.parts.registry;
            let pin = registry.add_pin(target, &who, &why, now, until)?;
            let line = line::of(&keeper, &pin, Mark::Pinned, &by, now);
            keeper.parts.ledger.append([&line]).inspect_err(|_| {
                taken_back(registry.remove_pin(pin.id));
            })?;
            Ok::<_, AppError>(pin)
        })
        .await??;
        held_from_now(&daemon, pin).await
    })
    .await?;
    Ok(types::Pin::from(&pin))
}

/// Tells the engine of a pin that is on disk.
async fn held_from_now(daemon: &Daemon, pin: Pin) -> Result<Pin, AppError> {
    let told = pin.clone();
    let link = daemon.link();
    link.ask(move |engine, now| engine.pin(told, now)).await?;
    Ok(pin)
}

/// Moves the end of the pin `id`.
///
/// # Errors
/// If there is no such pin, or the change cannot be recorded.
pub async fn extend(
    daemon: Arc<Daemon>,
    operator: &Operator,
    id: u64,
    order: types::PinChange,
) -> Result<types::Pin, AppError> {
    let by = operator.principal();
    let now = clock::now().wall;
    let until = end(order.lasting.as_deref(), order.until, now)?;
    let pin = through(async move {
        let _turn = daemon.turn().await;
        let keeper = Arc::clone(&daemon);
        let pin = wait(move || {
            let registry = &keeper.parts.registry;
            let before = find(&keeper, id)?;
            let pin = registry.extend_pin(id, until)?.ok_or_else(|| unknown(id))?;
            let line = line::of(&keeper, &pin, Mark::Extended, &by, now);
            keeper.parts.ledger.append([&line]).inspect_err(|_| {
                taken_back(registry.put_pin(&before));
            })?;
            Ok::<_, AppError>(pin)
        })
        .await??;
        held_from_now(&daemon, pin).await
    })
    .await?;
    Ok(types::Pin::from(&pin))
}

/// Removes the pin `id`.
///
/// # Errors
/// If there is no such pin, or the change cannot be recorded.
pub async fn remove(
    daemon: Arc<Daemon>,
    operator: &Operator,
    id: u64,
) -> Result<types::Pin, AppError> {
    let by = operator.principal();
    let now = clock::now().wall;
    let pin = through(async move {
        let _turn = daemon.turn().await;
        let keeper = Arc::clone(&daemon);
        let pin = wait(move || {
            let registry = &keeper.parts.registry;
            let pin = registry.remove_pin(id)?.ok_or_else(|| unknown(id))?;
            let line = line::of(&keeper, &pin, Mark::Unpinned, &by, now);
            keeper.parts.ledger.append([&line]).inspect_err(|_| {
                taken_back(registry.put_pin(&pin));
            })?;
            Ok::<_, AppError>(pin)
        })
        .await??;
        let heard = daemon.link().ask(move |engine, now| engine.unpin(id, now));
        heard.await?;
        Ok(pin)
    })
    .await?;
    Ok(types::Pin::from(&pin))
}

/// Target of the order.
async fn target(
    daemon: &Arc<Daemon>,
    policy: &Arc<Policy>,
    order: &types::PinOrder,
) -> Result<PinTarget, AppError> {
    let has_path = order.path.is_some() || order.path_b64.is_some();
    match (has_path, &order.job) {
        (true, None) if order.source.is_none() => path(policy, order).map(PinTarget::Path),
        (true, None) => Err(AppError::invalid("\"source\" goes with \"job\" only")),
        (false, Some(id)) => {
            let source = order.source.as_deref();
            let (key, fresh) = jobs::find(daemon, policy, id, source).await?;
            match fresh {
                // Whoever pins a job while its source is down wants it to stay all the more.
                JobLookup::Row(_) | JobLookup::Unknown(_) => Ok(PinTarget::Job {
                    source: super::daemon::source_name(policy, key.source).to_owned(),
                    id: key.id,
                }),
                JobLookup::Gone => Err(jobs::unknown(policy, id, source)),
            }
        }
        (true, Some(_)) => Err(AppError::invalid(
            "give either \"path\" or \"job\", not both",
        )),
        (false, None) => Err(AppError::invalid("there is nothing to pin").allowed(["path", "job"])),
    }
}

fn path(policy: &Policy, order: &types::PinOrder) -> Result<PathBuf, AppError> {
    let given = order.path.as_deref().map(str::as_bytes);
    let path = plain_path(given, order.path_b64.as_deref(), "the pin's")?;
    if policy.locate(&path).is_some() {
        return Ok(path);
    }
    let roots = policy
        .roots
        .values()
        .map(|root| root.path.display().to_string());
    Err(AppError::new(
        ErrorKind::Unprocessable,
        format!("\"{}\" lies beneath no root", path.display()),
    )
    .allowed(roots))
}

/// The reason for a `thing`.
pub(super) fn reason(why: Option<&str>, thing: &str) -> Result<String, AppError> {
    let why = why.map(str::trim).filter(|why| !why.is_empty());
    let why = why.ok_or_else(|| {
        AppError::invalid(format!("the {thing}'s \"why\" is missing"))
            .hint("say why it is to stay: whoever looks at it later will ask")
    })?;
    if why.chars().count() > WHY_MAX {
        return Err(AppError::invalid(format!(
            "the {thing}'s \"why\" is longer than {WHY_MAX} characters"
        )));
    }
    Ok(why.to_owned())
}

/// Reads for how long a pin holds.
pub(super) fn lasting_of(text: &str) -> Result<Duration, AppError> {
    let lasting = crate::core::span::parse(text).ok();
    let lasting = lasting.filter(|lasting| !lasting.is_zero() && *lasting <= LASTING_MAX);
    lasting.ok_or_else(|| {
        AppError::invalid(format!("the pin's \"for\" cannot be \"{text}\""))
            .hint("give a duration such as 90s, 15m, 12h, 7d or 1h30m; a hundred years at most")
    })
}

/// End of a pin that is set or moved at `now`.
fn end(
    lasting: Option<&str>,
    until: Option<Moment>,
    now: Timestamp,
) -> Result<Timestamp, AppError> {
    let until = match (lasting, until) {
        (Some(text), None) => now.after(lasting_of(text)?),
        (None, Some(Moment(until))) if until <= now => {
            return Err(AppError::invalid(format!(
                "the pin's \"until\" has passed: {until} is not after {now}"
            )));
        }
        (None, Some(Moment(until))) => until,
        (Some(_), Some(_)) => {
            return Err(AppError::invalid(
                "give either \"for\" or \"until\", not both",
            ));
        }
        (None, None) => {
            let error = AppError::invalid("how long it is to stay is missing");
            return Err(error.allowed(["for", "until"]));
        }
    };
    if until > now.after(LASTING_MAX) {
        return Err(AppError::invalid("a pin lasts a hundred years at most")
            .hint("what is to stay for ever is kept by a rule, or matches none"));
    }
    Ok(until)
}

/// Forgets pins that ended long ago; an error when there are too many others.
async fn make_room(daemon: &Arc<Daemon>, now: Timestamp) -> Result<(), AppError> {
    let past = now.before(ENDED_KEPT);
    let pins = &daemon.parts.pins;
    if pins.first_end().is_some_and(|until| until < past) {
        let registry = Arc::clone(&daemon.parts.registry);
        let ended = wait(move || registry.forget_ended_pins(past)).await??;
        let heard = daemon.link().ask(move |engine, now| {
            for id in ended {
                engine.unpin(id, now);
            }
        });
        heard.await?;
    }
    if pins.count(now) >= PINS_MAX {
        let error = AppError::unavailable(format!("there are {PINS_MAX} pins already"));
        return Err(error.hint("remove some, or pin a directory instead of its files"));
    }
    Ok(())
}

/// Name of a principal: of a user, as the user database has it, which may be on the network.
pub(super) async fn name_of(by: Principal) -> Result<String, AppError> {
    let Principal::Uid(uid) = by else {
        return Ok(by.to_string());
    };
    wait(move || {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(|| uid.to_string(), |user| user.name)
    })
    .await
}

fn find(daemon: &Daemon, id: u64) -> Result<Pin, AppError> {
    daemon.parts.pins.get(id).ok_or_else(|| unknown(id))
}

fn unknown(id: u64) -> AppError {
    AppError::not_found(format!("there is no pin {id}"))
        .hint("`lapsed pin ls` lists those that hold")
}

/// Logs that a change which could not be recorded cannot be undone either; the next start finds it.
fn taken_back<T>(back: Result<T, crate::registry::RegistryError>) {
    if let Err(error) = back {
        tracing::error!("a pin that could not be recorded cannot be taken back: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    #[test]
    fn a_pin_ends_ahead() {
        assert_eq!(end(Some("7d"), None, NOW), Ok(NOW.plus_ms(7 * 86_400_000)));
        let later = Moment(NOW.plus_ms(1));
        assert_eq!(end(None, Some(later), NOW), Ok(later.0));
        for (lasting, until, words) in [
            (Some("0s"), None, "cannot be \"0s\""),
            (Some("-1d"), None, "cannot be"),
            (Some("soon"), None, "cannot be"),
            (Some("200years"), None, "cannot be"),
            (None, Some(Moment(NOW)), "has passed"),
            (None, None, "is missing"),
            (Some("1d"), Some(later), "not both"),
        ] {
            let error = end(lasting, until, NOW).unwrap_err();
            assert!(error.message.contains(words), "{error}");
        }
    }

    #[test]
    fn a_reason_is_said_and_short() {
        assert_eq!(
            reason(Some(" an audit\n"), "pin"),
            Ok("an audit".to_owned())
        );
        assert!(reason(Some(&"ü".repeat(WHY_MAX)), "pin").is_ok());
        for bad in [None, Some(""), Some(" \t"), Some(&*"x".repeat(WHY_MAX + 1))] {
            assert_eq!(reason(bad, "pin").unwrap_err().kind, ErrorKind::Invalid);
        }
    }
}
