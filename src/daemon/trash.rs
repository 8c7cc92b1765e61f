//! The trash as the daemon wires it: pins of what comes back, and news for the engine.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use nix::unistd::{Uid, User};
use tokio::sync::mpsc;

use crate::clock;
use crate::core::engine::Input;
use crate::core::pins::{Pin, Pins};
use crate::core::principal::Principal;
use crate::core::trash::TrashNews;
use crate::reap::{OnPin, PinOrder};
use crate::registry::Registry;

/// Pins there may be, with those of what comes back.
const PINS_MAX: usize = 200_000;

/// Pause between looks whether the engine takes anything any more, while an answer is waited for.
const PAUSE: Duration = Duration::from_millis(100);

/// Reason of the pins.
const WHY: &str = "brought back by undo";

/// Returns the hook that tells the engine of the trash, and waits until it has taken that in.
pub(super) fn news(engine: mpsc::Sender<Input>) -> Arc<dyn Fn(TrashNews) + Send + Sync> {
    Arc::new(move |news| {
        ask(&engine, move |engine, now| engine.on_trash_news(news, now));
    })
}

/// Returns the hook that pins what comes back. Its line in the ledger is that of the restoration.
pub(super) fn pinning(
    registry: Arc<Registry>,
    pins: Arc<Pins>,
    engine: mpsc::Sender<Input>,
) -> OnPin {
    Arc::new(move |order: &PinOrder| {
        let now = clock::now().wall;
        if pins.count(now) + order.targets.len() > PINS_MAX {
            return Err(format!(
                "there would be more than {PINS_MAX} pins; remove some, or bring back less at once"
            ));
        }
        let who = name_of(&order.by);
        let set = registry.add_pins(&order.targets, &who, WHY, now, order.until);
        let set = set.map_err(|error| error.to_string())?;
        // The reaper asks them itself, also while no engine listens.
        for pin in &set {
            pins.set(pin.clone());
        }
        ask(&engine, move |engine, now| {
            let each = |pin: Pin| engine.pin(pin, now);
            set.into_iter().for_each(each);
        });
        Ok(())
    })
}

/// Has the engine do something, and waits until it has.
fn ask(
    engine: &mpsc::Sender<Input>,
    order: impl FnOnce(&mut crate::core::engine::Engine, crate::core::time::Now) + Send + 'static,
) {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let sent = engine.blocking_send(Input::Ask(Box::new(move |engine, now| {
        order(engine, now);
        drop(done);
    })));
    // Hung up when it was done, or when the engine has ended.
    while sent.is_ok() && !engine.is_closed() {
        match is_done.recv_timeout(PAUSE) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn name_of(by: &Principal) -> String {
    let Principal::Uid(uid) = by else {
        return by.to_string();
    };
    let user = User::from_uid(Uid::from_raw(*uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}
