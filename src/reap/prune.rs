//! Directories that removals emptied (`prune_empty_dirs`).
//!
//! **Invariant:** only a directory from which this batch removed something goes, and only while it is empty: `rmdir(2)`
//! has the last word.

use std::collections::BTreeMap;

use super::back::{Back, put_back};
use super::files::Batch;
use super::intent::Intent;
use super::judge::{Due, line};
use super::names::lain_name;
use super::rows::Rows;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped};
use crate::core::facts::Kind;
use crate::core::path::RelPath;
use crate::fs::{Dir, FsError};
use crate::ledger::{Line, LineUnit, Mark};

/// A directory that was moved into the quarantine, found empty there, and may go.
struct Emptied {
    path: RelPath,
    parent: Dir,
    name: Vec<u8>,
    line: Line,
    /// Which of the answers it belongs to.
    answer: usize,
}

/// Removes the directories that the removals in `done` emptied, and lists them there.
pub(super) fn prune(batch: &Batch<'_>, done: &mut [Reaped]) {
    // The last removal of each directory stands for it.
    let mut dirs: BTreeMap<RelPath, usize> = BTreeMap::new();
    for (at, reaped) in done.iter().enumerate() {
        if let (Outcome::Removed(_), Some((parent, _))) =
            (&reaped.outcome, reaped.claim.path.split())
        {
            dirs.insert(parent, at);
        }
    }
    let mut rows = Rows::new(batch.shared, batch.policy);
    let mut emptied = Vec::new();
    // Deepest first, or a directory would be asked before the one that it holds is gone.
    for (path, &answer) in dirs.iter().rev() {
        let mut path = path.clone();
        while let Some((parent, _)) = path.split() {
            if !may_go(batch, &mut rows, &path) {
                break;
            }
            match take_out(batch, &path, &done[answer], answer) {
                Ok(Some(one)) => emptied.push(one),
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "an empty directory is left");
                    break;
                }
            }
            path = parent;
        }
    }
    finish(batch, emptied, done);
}

/// Whether the directory at `path` is nobody's who still needs it: no pin holds it, and no job that has not ended owns it.
fn may_go(batch: &Batch<'_>, rows: &mut Rows<'_>, path: &RelPath) -> bool {
    let (hooks, root) = (&batch.shared.hooks, batch.opened.id);
    let owner = (hooks.owner)(batch.policy, root, path.as_bytes());
    let now = clock::now().wall;
    let pin = hooks.pins.find(batch.policy, root, path, &owner, now);
    pin.is_none()
        && rows.agree(&owner.keys()).is_ok()
        && owner
            .jobs()
            .iter()
            .all(|job| batch.policy.held_by(job).is_none())
}

/// Moves the directory at `path` into the quarantine if it is empty, and nobody's root.
fn take_out(
    batch: &Batch<'_>,
    path: &RelPath,
    because: &Reaped,
    answer: usize,
) -> Result<Option<Emptied>, FsError> {
    let Some((parent_path, name)) = path.split() else {
        return Ok(None);
    };
    let (root, quarantine) = (&batch.opened.root, &batch.opened.quarantine);
    let Outcome::Removed(removal) = &because.outcome else {
        return Ok(None);
    };
    let claim: &Claim = &because.claim;
    let nested = &batch.policy.roots[&claim.root].nested;
    let parent = root.dir(&parent_path)?;
    let Some(facts) = parent.look(name)? else {
        return Ok(None);
    };
    if facts.kind != Kind::Dir
        || nested.iter().any(|(other, _)| other == path)
        || !parent.open_beneath(name)?.is_empty()?
    {
        return Ok(None);
    }
    let id = batch.shared.ledger.next_id();
    let expire_ms = claim
        .retention_ms
        .or(batch.policy.rule(claim.rule).expire_ms)
        .unwrap_or_default();
    let due = Due {
        deadline: removal.deadline,
        basis: removal.deadline.plus_ms(-expire_ms),
    };
    let unit = LineUnit::EmptyDir;
    let place = Some((claim.root, path));
    let mut line = line(batch.policy, claim, None, id, due, place, unit);
    let into = (root, batch.opened.quarantine_id);
    let intent = Intent::new(into, path, 0, &facts, false, &line);
    if batch.shared.intents.write([intent]).is_err() {
        return Ok(None);
    }
    (batch.shared.hooks.before_move)(claim.root, path);
    let lain = lain_name(id, 0);
    if let Err(error) = parent.move_to(name, quarantine, &lain) {
        batch.shared.intents.done([id]);
        (batch.shared.hooks.put_back)(claim.root, path);
        return Err(error);
    }
    line.at = clock::now().wall;
    line.late_ms = line.at.ms_since(claim.due);
    let one = Emptied {
        path: path.clone(),
        name: name.to_vec(),
        parent,
        line,
        answer,
    };
    let still = quarantine.open_beneath(&lain).and_then(|dir| {
        let same = dir.facts()?.key == facts.key;
        Ok(same && dir.is_empty()?)
    });
    if matches!(still, Ok(true)) {
        return Ok(Some(one));
    }
    back(batch, &one);
    Ok(None)
}

fn finish(batch: &Batch<'_>, emptied: Vec<Emptied>, done: &mut [Reaped]) {
    let lines = emptied.iter().map(|one| &one.line);
    let recorded = batch.shared.ledger.append(lines);
    if let Err(error) = &recorded {
        tracing::error!(%error, "empty directories are left: their removal cannot be recorded");
    }
    let mut kept = Vec::new();
    for one in emptied {
        let lain = lain_name(one.line.id, 0);
        let removed = recorded.is_ok() && batch.opened.quarantine.remove_dir(&lain).is_ok();
        if removed {
            batch.shared.intents.done([one.line.id]);
            if let Outcome::Removed(removal) = &mut done[one.answer].outcome {
                removal.pruned.push(one.path);
            }
        } else {
            kept.push(one);
        }
    }
    // The upper ones went last and go back first, or the lower ones would have no place.
    let mut amended = Vec::new();
    for one in kept.into_iter().rev() {
        let result = match back(batch, &one) {
            Back::Home => Mark::PutBack,
            Back::Displaced => Mark::Displaced,
            Back::Stuck => continue,
        };
        amended.push(Line {
            id: batch.shared.ledger.next_id(),
            result,
            ..one.line
        });
    }
    if recorded.is_ok()
        && let Err(error) = batch.shared.ledger.append(&amended)
    {
        tracing::error!(%error, "the ledger could not be amended");
    }
}

fn back(batch: &Batch<'_>, one: &Emptied) -> Back {
    let path = one.parent.path().join(super::place::os(&one.name));
    let quarantine = &batch.opened.quarantine;
    let back = put_back(
        quarantine,
        (one.line.id, 0),
        Ok(&one.parent),
        &one.name,
        &path,
    );
    match back {
        Back::Home | Back::Displaced => batch.shared.intents.done([one.line.id]),
        Back::Stuck => batch.shared.intents.leave([one.line.id]),
    }
    (batch.shared.hooks.put_back)(batch.opened.id, &one.path);
    back
}
