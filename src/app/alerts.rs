//! Thresholds of disk use: events when one is crossed, and when that is over.
//!
//! **Invariant:** what is unknown changes nothing: a root that is not read in full has no size, and
//! a file system that does not answer no free space.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::daemon::Daemon;
use crate::app::error::AppError;
use crate::clock;
use crate::core::effect::Event;
use crate::core::facts::{RootId, Space};
use crate::core::policy::AlertKind;
use crate::core::report::Phase;

/// Thresholds that were measured, and whether they were crossed then.
#[derive(Debug, Default)]
pub struct Alerts(BTreeMap<(RootId, AlertKind), bool>);

/// Returns true if a root has a threshold.
#[must_use]
pub fn are_wanted(daemon: &Daemon) -> bool {
    let policy = daemon.policy();
    policy.roots.values().any(|root| !root.alert.is_empty())
}

impl Alerts {
    /// Measures all roots, and publishes what has changed; at first everything that can be
    /// measured, since an earlier daemon may have told otherwise.
    ///
    /// # Errors
    /// If the daemon is stopping.
    pub async fn look(&mut self, daemon: &Arc<Daemon>) -> Result<(), AppError> {
        let status = daemon.link().ask(|engine, now| engine.status(now)).await?;
        let policy = daemon.policy();
        let wanted = policy
            .roots
            .iter()
            .filter(|(_, root)| !root.alert.is_empty());
        let paths = wanted.clone().map(|(_, root)| root.path.clone()).collect();
        let spaces = (daemon.parts.space)(paths).await;
        self.0.retain(|(id, _), _| policy.roots.contains_key(id));
        for (&id, root) in wanted {
            let mut roots = status.roots.iter();
            let is_known = roots.any(|of| of.root == id && of.phase == Phase::Ready);
            let size = is_known.then(|| daemon.parts.index.totals(id).bytes);
            let space = spaces.get(&root.path).map(|space| Space {
                size_bytes: space.size_bytes,
                available_bytes: space.available_bytes,
                inodes: space.inodes,
                available_inodes: space.available_inodes,
            });
            for measure in root.alert.measures(size, space.filter(|_| is_known)) {
                let before = self.0.get(&(id, measure.kind)).copied();
                let is_crossed = measure.is_crossed(before == Some(true));
                if before == Some(is_crossed) {
                    continue;
                }
                self.0.insert((id, measure.kind), is_crossed);
                let (root, what) = (&*root.name, measure.describe(is_crossed));
                if is_crossed {
                    tracing::warn!(root, "root {root:?}: {what}");
                } else if before.is_some() {
                    tracing::info!(root, "root {root:?}: {what}");
                }
                let event = Event::Space {
                    root: id,
                    is_crossed,
                    measure,
                };
                let events = &daemon.parts.events;
                events.publish(clock::now().wall, &event, &policy);
            }
        }
        Ok(())
    }
}
