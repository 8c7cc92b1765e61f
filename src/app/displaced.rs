//! Displaced things: what could not go back to its place.
//!
//! **Invariant:** a displaced thing leaves by way of the trash, with the checks of that.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::breaker::root_named;
use super::daemon::Daemon;
use super::explain::plain_path;
use super::order::{through, wait};
use super::pins;
use super::trash;
use super::trash_door::TrashDoor;
use crate::app::access::Operator;
use crate::app::error::AppError;
use crate::clock;
use crate::core::facts::RootId;
use crate::core::path::{QUARANTINE, RelPath};
use crate::core::policy::Policy;
use crate::core::principal::Principal;
use crate::core::trash::{PINNED_FOR, RestoreOrder, TrashFilter};
use crate::types::{
    self, DisplacedRemove, DisplacedRestore, DisplacedThing, Emptied, JsonPath, Undone,
};

/// Names that one order may have.
const NAMES_MAX: usize = 10_000;

/// Lists what is displaced.
///
/// # Errors
/// If the daemon is stopping.
pub async fn list(daemon: Arc<Daemon>) -> Result<types::Displaced, AppError> {
    let policy = daemon.policy();
    wait(move || {
        let mut answer = types::Displaced::default();
        for root in policy.roots.values() {
            match daemon.parts.trash.displaced(&root.path) {
                Ok(things) => answer.things.extend(things.into_iter().map(|thing| {
                    let quarantine = root.path.join(OsStr::from_bytes(QUARANTINE));
                    DisplacedThing {
                        root: root.name.clone(),
                        name: String::from_utf8_lossy(&thing.name).into_owned(),
                        path: JsonPath::new(&quarantine.join(OsStr::from_bytes(&thing.name))),
                        is_dir: thing.is_dir,
                        bytes: thing.bytes,
                        origin: thing.path.map(|path| path.display().to_string()),
                        at: thing.at.map(|at| at.to_string()),
                        why: thing.why,
                    }
                })),
                Err(error) => answer
                    .unreadable
                    .push(format!("root {}: {error}", root.name)),
            }
        }
        answer
    })
    .await
}

/// Restores displaced things.
///
/// # Errors
/// If the order makes no sense, or a thing is unknown: what was named before it stays in the trash.
pub async fn restore(
    daemon: Arc<Daemon>,
    operator: &Operator,
    order: DisplacedRestore,
) -> Result<Undone, AppError> {
    let by = operator.principal();
    let policy = daemon.policy();
    let root = checked(&policy, &order.root, &order.names)?;
    let to = order.to.as_deref().map(|to| target(&policy, root, to));
    let to = to.transpose()?;
    if to.is_some() && order.names.len() > 1 {
        return Err(AppError::invalid("\"to\" is for a single thing"));
    }
    let lasting = order.lasting.as_deref().map(pins::lasting_of);
    let lasting = lasting.transpose()?.unwrap_or(PINNED_FOR);
    through(async move {
        wait(move || {
            let door = &*daemon.parts.trash;
            let ids = adopt(door, (root, &order.root), &order.names, to.as_ref(), &by)?;
            let order = RestoreOrder {
                ids,
                beside: order.beside,
                pinned_for: Some(lasting),
                by,
            };
            let until = clock::now().wall.after(lasting);
            let results = door.restore(&order).map_err(AppError::conflict)?;
            Ok(trash::undone(results, until))
        })
        .await?
    })
    .await
}

/// Deletes displaced things.
///
/// # Errors
/// As [`restore`].
pub async fn remove(
    daemon: Arc<Daemon>,
    operator: &Operator,
    order: DisplacedRemove,
) -> Result<Emptied, AppError> {
    let by = operator.principal();
    let policy = daemon.policy();
    let root = checked(&policy, &order.root, &order.names)?;
    through(async move {
        wait(move || {
            let door = &*daemon.parts.trash;
            // What is deleted needs no place: it is told under its own name.
            let mut ids = BTreeSet::new();
            for name in &order.names {
                let to = RelPath::parse(name.as_bytes());
                let names = std::slice::from_ref(name);
                ids.extend(adopt(door, (root, &order.root), names, to.as_ref(), &by)?);
            }
            let filter = TrashFilter {
                ids: Some(ids),
                ..TrashFilter::default()
            };
            let found = trash::all(door, &filter);
            let results = door.empty(&policy, &filter, &by);
            Ok(trash::emptied(&policy, &found, results))
        })
        .await?
    })
    .await
}

fn checked(policy: &Policy, root: &str, names: &[String]) -> Result<RootId, AppError> {
    if names.is_empty() || names.len() > NAMES_MAX {
        let why = format!("give 1 to {NAMES_MAX} \"names\"");
        return Err(AppError::invalid(why).hint("`lapsed displaced ls` lists them"));
    }
    root_named(policy, root)
}

fn target(policy: &Policy, root: RootId, to: &str) -> Result<RelPath, AppError> {
    let path = plain_path(Some(to.as_bytes()), None, "the order's")?;
    let located = policy.locate(&path).filter(|(found, _)| *found == root);
    let located = located.filter(|(_, path)| !path.is_root() && !path.is_in_quarantine());
    located.map(|(_, path)| path).ok_or_else(|| {
        AppError::invalid(format!("\"to\" is not in the root: \"{}\"", path.display()))
    })
}

/// Moves displaced things into the trash, and returns their numbers there.
fn adopt(
    door: &dyn TrashDoor,
    root: (RootId, &str),
    names: &[String],
    to: Option<&RelPath>,
    by: &Principal,
) -> Result<BTreeSet<u64>, AppError> {
    let mut ids = BTreeSet::new();
    for name in names {
        let id = door.adopt(root, name.as_bytes(), to, by);
        ids.insert(id.map_err(|why| {
            AppError::conflict(format!("\"{name}\": {why}"))
                .hint("`lapsed displaced ls` lists them")
        })?);
    }
    Ok(ids)
}
