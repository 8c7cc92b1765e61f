//! Questions of the reaper and of use cases to the sources.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::freshness::freshen;
use super::links;
use super::sources::Sources;
use crate::app::daemon::{AskSource, CatchUp, IsApi, TellSources};
use crate::core::engine::Input;
use crate::core::facts::RootId;
use crate::core::path::RelPath;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::trash::Trash;
use crate::reap::Hooks;

impl Sources {
    /// Hooks of the reaper: its questions about jobs and pins, and its reports to the engine.
    pub(super) fn hooks(
        self: &Arc<Self>,
        (pins, pauses, trash): (Arc<Pins>, Arc<Pauses>, Arc<Trash>),
        engine: mpsc::Sender<Input>,
        before_move: impl Fn(RootId, &RelPath) + Send + Sync + 'static,
        put_back: impl Fn(RootId, &RelPath) + Send + Sync + 'static,
    ) -> Hooks {
        let [told, news, pinned] = [(); 3].map(|()| engine.clone());
        let registry = self.shared_registry();
        let [owners, known, claims, own_claims] = [(); 4].map(|()| Arc::clone(&self.jobs));
        let [fresh, doubted, prepared, finished, cancelled] = [(); 5].map(|()| Arc::clone(self));
        Hooks {
            reaped: Arc::new(move |reaped| drop(engine.blocking_send(Input::Reaped(reaped)))),
            recovered: Arc::new(move |root, hold| {
                drop(told.blocking_send(Input::Recovered(root, hold)));
            }),
            before_move: Arc::new(before_move),
            put_back: Arc::new(put_back),
            owner: Arc::new(move |policy, root, path| owners.owner(policy, root, path)),
            refused: Arc::new(move |policy, root, path, rule| {
                let hold = claims.refused_hold(policy, root, path, rule);
                hold.or_else(|| links::hold_of(&claims, policy, root, path))
            }),
            linked: Arc::new(move |policy, claim| {
                links::hold_of_record(&own_claims, policy, claim)
            }),
            trash,
            trash_news: super::trash::news(news),
            pin: super::trash::pinning(registry, Arc::clone(&pins), pinned),
            pins,
            pauses,
            fresh: Arc::new(move |key| fresh.fresh(key)),
            agrees: Arc::new(move |key, fresh| known.agrees(key, fresh)),
            disagrees: Arc::new(move |key, _| doubted.disagrees(key)),
            before_record: Arc::new(move |lines| prepared.prepare(lines)),
            finished: Arc::new(move |id, dirs| finished.finish(id, dirs)),
            not_recorded: Arc::new(move |ids| cancelled.cancel(ids)),
        }
    }

    pub(super) fn asked(self: &Arc<Self>) -> Arc<AskSource> {
        let sources = Arc::clone(self);
        Arc::new(move |key| sources.fresh(key))
    }

    pub(super) fn report(self: &Arc<Self>) -> Box<TellSources> {
        let sources = Arc::clone(self);
        Box::new(move || sources.tell_all())
    }

    pub(super) fn caught_up(self: &Arc<Self>) -> Box<CatchUp> {
        let sources = Arc::clone(self);
        Box::new(move |limit| Box::pin(freshen(Arc::clone(&sources), limit)))
    }

    pub(super) fn known_as_api(self: &Arc<Self>) -> Box<IsApi> {
        let sources = Arc::clone(self);
        Box::new(move |source| sources.is_api(source))
    }
}
