//! The trash: what can be restored, and orders to restore or delete it.
//!
//! **Invariant:** what comes back is pinned before it is in its place again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::breaker::root_named;
use super::daemon::{Daemon, root_name};
use super::explain::plain_path;
use super::order::{through, wait};
use super::pins;
use super::trash_door::{Place, TrashDoor};
use crate::app::access::Operator;
use crate::app::error::AppError;
use crate::clock;
use crate::core::claim::Unit;
use crate::core::facts::RootId;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;
use crate::core::trash::{
    PINNED_FOR, PurgeOutcome, Purged, RestoreOrder, Restored, TrashFilter, TrashItem, TrashSums,
};
use crate::types::{
    self, Emptied, EmptyOrder, JsonPath, LeftInTrash, RemovalUnit, RestoredPath, TrashQuery,
    TrashTotal, TrashedThing, UndoOrder, Undone,
};

/// Things in an answer by default.
const LIMIT: u64 = 100;

/// Maximum number of things in an answer: ~4 MB of JSON.
const LIMIT_MAX: u64 = 10_000;

/// Paths that an answer tells one by one: an undo may bring back a million files.
const LISTED_MAX: usize = 10_000;

/// Things that are asked for at once while all of them are looked for.
const AT_ONCE: usize = 1000;

/// Returns the things that `query` asks for.
///
/// # Errors
/// If a name is unknown, or the query makes no sense.
pub async fn list(daemon: Arc<Daemon>, query: TrashQuery) -> Result<types::Trash, AppError> {
    let policy = daemon.policy();
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let error = AppError::invalid_parameter("limit", &limit.to_string());
        return Err(error.hint(format!("give a number from 1 to {LIMIT_MAX}")));
    }
    let after = query.cursor.as_deref().map(place).transpose()?;
    let root = query.root.as_deref().map(|name| root_named(&policy, name));
    let path = query.path.as_ref().map(|path| &path.0[..]);
    let path = path.map(|path| plain_path(Some(path), None, "the"));
    let now = clock::now().wall;
    let filter = TrashFilter {
        ids: query.id.map(|id| BTreeSet::from([id])),
        root: root.transpose()?,
        run: query.run,
        job: query.job,
        path: path.transpose()?,
        since: query.since.map(|since| since.instant(now)),
        ..TrashFilter::default()
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    wait(move || {
        let door = &daemon.parts.trash;
        let page = door.page(&filter, after, limit);
        let next = page.next.map(|(id, root)| format!("{id}-{}", root.0));
        types::Trash {
            things: page.items.iter().map(thing).collect(),
            roots: door
                .sums()
                .iter()
                .map(|sums| total(&policy, sums))
                .collect(),
            cursor: next,
            unreadable: page.unreadable,
        }
    })
    .await
}

/// Reads a cursor.
fn place(text: &str) -> Result<Place, AppError> {
    let place = text
        .split_once('-')
        .and_then(|(id, root)| Some((id.parse().ok()?, RootId(root.parse().ok()?))));
    place.ok_or_else(|| {
        let error = AppError::invalid_parameter("cursor", text);
        error.hint("give the cursor of an earlier answer")
    })
}

/// Returns the JSON of a thing.
#[must_use]
pub fn thing(item: &TrashItem) -> TrashedThing {
    let first = item.parts.first();
    TrashedThing {
        id: item.what.id,
        root: item.root.clone(),
        path: first.map_or_else(JsonPath::default, |part| JsonPath::new(&part.path)),
        further: (item.parts.len() as u64).saturating_sub(1),
        unit: match item.unit {
            Unit::File => RemovalUnit::File,
            Unit::Dir => RemovalUnit::Dir,
            Unit::Job => RemovalUnit::Job,
        },
        owner: item.owner.clone(),
        rule: item.rule.clone(),
        run: item.what.run,
        by: item.by.clone(),
        at: item.what.at.to_string(),
        until: item.what.until.to_string(),
        files: item.what.files,
        bytes: item.what.bytes,
    }
}

fn total(policy: &Policy, sums: &TrashSums) -> TrashTotal {
    TrashTotal {
        root: root_name(policy, sums.root).to_owned(),
        is_known: sums.is_known,
        things: sums.things,
        files: sums.files,
        bytes: sums.bytes,
        next: sums.first_end.map(|at| at.to_string()),
    }
}

/// Restores what `order` says.
///
/// # Errors
/// If the order makes no sense, or nothing in the trash is meant.
pub async fn undo(
    daemon: Arc<Daemon>,
    operator: &Operator,
    order: UndoOrder,
) -> Result<Undone, AppError> {
    let by = operator.principal();
    let now = clock::now().wall;
    let lasting = order.lasting.as_deref().map(pins::lasting_of);
    let lasting = lasting.transpose()?.unwrap_or(PINNED_FOR);
    let wanted = wanted(&order, now)?;
    through(async move {
        wait(move || {
            let door = &daemon.parts.trash;
            let found = match wanted {
                Wanted::These(filter) => all(&**door, &filter),
                Wanted::Last => last(&**door),
            };
            if found.is_empty() {
                return Err(none());
            }
            if order.dry_run {
                return Ok(foretold(&found));
            }
            let order = RestoreOrder {
                ids: found.iter().map(|item| item.what.id).collect(),
                beside: order.beside,
                pinned_for: Some(lasting),
                by,
            };
            let results = door.restore(&order).map_err(AppError::conflict)?;
            Ok(undone(results, now.after(lasting)))
        })
        .await?
    })
    .await
}

/// Things that an order means.
enum Wanted {
    These(TrashFilter),
    Last,
}

fn wanted(order: &UndoOrder, now: Timestamp) -> Result<Wanted, AppError> {
    let has_path = order.path.is_some() || order.path_b64.is_some();
    let ways = [
        !order.ids.is_empty(),
        order.run.is_some(),
        order.job.is_some(),
        has_path,
        order.since.is_some(),
        order.last,
    ];
    let names = ["ids", "run", "job", "path", "since", "last"];
    match ways.iter().filter(|is_given| **is_given).count() {
        1 => {}
        0 => return Err(AppError::invalid("what is to come back is missing").allowed(names)),
        _ => return Err(AppError::invalid("give only one of these").allowed(names)),
    }
    if order.last {
        return Ok(Wanted::Last);
    }
    let path = order.path.as_deref().map(str::as_bytes);
    let path = has_path.then(|| plain_path(path, order.path_b64.as_deref(), "the order's"));
    let ids = (!order.ids.is_empty()).then(|| order.ids.iter().copied().collect());
    Ok(Wanted::These(TrashFilter {
        ids,
        run: order.run,
        job: order.job.clone(),
        path: path.transpose()?,
        since: order.since.map(|since| since.instant(now)),
        ..TrashFilter::default()
    }))
}

/// All things that `filter` takes.
pub(super) fn all(door: &dyn TrashDoor, filter: &TrashFilter) -> Vec<TrashItem> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = door.page(filter, after, AT_ONCE);
        found.extend(page.items);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

/// Returns what was removed last: by a run, all that it removed.
fn last(door: &dyn TrashDoor) -> Vec<TrashItem> {
    let newest = door.page(&TrashFilter::default(), None, 1).items;
    let Some(newest) = newest.first() else {
        return Vec::new();
    };
    let ids = BTreeSet::from([newest.what.id]);
    let filter = TrashFilter {
        run: newest.what.run,
        ids: newest.what.run.is_none().then_some(ids),
        ..TrashFilter::default()
    };
    all(door, &filter)
}

fn none() -> AppError {
    AppError::not_found("nothing in the trash matches").hint(
        "`lapsed trash ls` lists what can be restored; what a rule without \"undo\" removes is deleted, and so is what its \
         window has ended for",
    )
}

/// Returns the effect of an undo of these things.
fn foretold(found: &[TrashItem]) -> Undone {
    let mut undone = Undone {
        dry_run: true,
        ..Undone::default()
    };
    for item in found {
        undone.things += 1;
        undone.files += item.what.files;
        undone.bytes += item.what.bytes;
        for part in &item.parts {
            tell_restored(&mut undone, (item.what.id, &item.root), &part.path);
        }
    }
    undone
}

/// Returns what became of things that were to come back, and are pinned until then.
#[must_use]
pub fn undone(results: Vec<Restored>, pinned_until: Timestamp) -> Undone {
    let mut undone = Undone::default();
    for one in results {
        undone.things += u64::from(!one.restored.is_empty());
        undone.files += one.files;
        undone.bytes += one.bytes;
        for path in &one.restored {
            tell_restored(&mut undone, (one.id, &one.root), path);
        }
        let taken = one.taken.iter().map(|path| {
            format!(
                "\"{}\" is taken by something else: move that away, or restore beside it (--beside)",
                path.display()
            )
        });
        let is_nowhere = one.restored.is_empty() && one.taken.is_empty() && one.errors.is_empty();
        let away = "it has left the trash, or is still on its way there: try again";
        let away = is_nowhere.then(|| away.to_owned());
        for why in taken.chain(one.errors).chain(away) {
            let left = LeftInTrash {
                id: one.id,
                root: one.root.clone(),
                why,
            };
            tell(&mut undone.left, &mut undone.left_left_out, left);
        }
    }
    undone.pinned_until = (undone.things > 0).then(|| pinned_until.to_string());
    undone
}

fn tell_restored(undone: &mut Undone, (id, root): (u64, &str), path: &std::path::Path) {
    let restored = RestoredPath {
        id,
        root: root.to_owned(),
        path: JsonPath::new(path),
    };
    tell(
        &mut undone.restored,
        &mut undone.restored_left_out,
        restored,
    );
}

fn tell<T>(list: &mut Vec<T>, left_out: &mut u64, one: T) {
    if list.len() < LISTED_MAX {
        list.push(one);
    } else {
        *left_out += 1;
    }
}

/// Deletes what `order` says.
///
/// # Errors
/// If the order makes no sense, or nothing in the trash is meant.
pub async fn empty(
    daemon: Arc<Daemon>,
    operator: &Operator,
    order: EmptyOrder,
) -> Result<Emptied, AppError> {
    let by = operator.principal();
    let policy = daemon.policy();
    let is_named = !order.ids.is_empty();
    if !order.all && !is_named && order.root.is_none() && order.before.is_none() {
        let error = AppError::invalid("what is to be deleted is missing");
        return Err(error.allowed(["all", "ids", "root", "before"]));
    }
    let root = order.root.as_deref().map(|name| root_named(&policy, name));
    let mut filter = TrashFilter {
        ids: (!order.ids.is_empty()).then(|| order.ids.iter().copied().collect()),
        root: root.transpose()?,
        ..TrashFilter::default()
    };
    let before = order.before.map(|since| since.instant(clock::now().wall));
    through(async move {
        wait(move || {
            let door = &daemon.parts.trash;
            let mut found = all(&**door, &filter);
            found.retain(|item| before.is_none_or(|before| item.what.at < before));
            if found.is_empty() && is_named {
                return Err(none());
            }
            filter.ids = Some(found.iter().map(|item| item.what.id).collect());
            let results = door.empty(&policy, &filter, &by);
            Ok(emptied(&policy, &found, results))
        })
        .await?
    })
    .await
}

/// The answer about the things `found`: what is large is deleted after it.
pub(super) fn emptied(policy: &Policy, found: &[TrashItem], results: Vec<Purged>) -> Emptied {
    let sums = |item: &TrashItem| {
        let key = (item.what.id, policy.root_named(&item.root));
        (key, (item.what.files, item.what.bytes))
    };
    let sums: BTreeMap<_, _> = found.iter().map(sums).collect();
    let mut emptied = Emptied::default();
    for one in results {
        let why = match one.outcome {
            PurgeOutcome::Gone { .. } => {
                let of = sums.get(&(one.id, Some(one.root)));
                let (files, bytes) = of.copied().unwrap_or_default();
                emptied.things += 1;
                emptied.files += files;
                emptied.bytes += bytes;
                continue;
            }
            PurgeOutcome::Displaced => {
                "something in it changed or is open: it is kept as displaced".to_owned()
            }
            PurgeOutcome::Held(hold) => hold.to_string(),
        };
        let left = LeftInTrash {
            id: one.id,
            root: root_name(policy, one.root).to_owned(),
            why,
        };
        tell(&mut emptied.left, &mut emptied.left_out, left);
    }
    emptied
}
