//! An engine that is stepped as the owner thread does, without a reaper.

use super::*;
use crate::core::claim::{Claim, Outcome, Reaped, Removal};

/// All that a preview asks about would be removed.
fn previewed(effect: &Effect) -> Option<Vec<Reaped>> {
    let Effect::Preview(claims) = effect else {
        return None;
    };
    let removed = |claim: &Claim| Reaped {
        claim: claim.clone(),
        outcome: Outcome::Removed(Removal {
            at: claim.due,
            deadline: claim.due,
            files: 1,
            bytes: 100,
            id: 0,
            pruned: Vec::new(),
            partial: false,
            share: None,
            trashed: None,
        }),
    };
    Some(claims.iter().map(removed).collect())
}

/// Steps the engine, as the owner thread does.
pub(super) async fn own(
    mut engine: Engine,
    mut inputs: mpsc::Receiver<Input>,
    link: EngineLink,
    events: Arc<Events>,
) {
    while let Some(input) = inputs.recv().await {
        let now = clock::now();
        let mut effects = engine.step(now, input);
        if let Some(previewed) = effects.iter().find_map(previewed) {
            effects.extend(engine.step(now, Input::Previewed(previewed)));
        }
        for effect in effects {
            match effect {
                Effect::Synced(token) => link.synced(token),
                Effect::Tell(event) => events.publish(now.wall, &event, &engine.policy()),
                Effect::Claim(claims) => panic!("a dry run claims nothing: {claims:?}"),
                Effect::Preview(_)
                | Effect::Purge(_)
                | Effect::Relist(..)
                | Effect::Placed(..)
                | Effect::Remember(..)
                | Effect::Changed { .. }
                | Effect::Source(..)
                | Effect::AskSpace(_)
                | Effect::Barrier
                | Effect::Recorded(_)
                | Effect::PauseEnded(_)
                | Effect::Shadow(_)
                | Effect::Ruled => {}
            }
        }
    }
}

/// The watches of a daemon that is told everything by hand.
pub(super) fn watches() -> types::Watches {
    types::Watches {
        backend: "by hand".to_owned(),
        count: 2,
        ..types::Watches::default()
    }
}
