//! In plain words: what may go when, and what nobody may remove.

use std::collections::BTreeSet;

use lapsed::core::claim::Unit;
use lapsed::core::facts::RootId;
use lapsed::core::jobs::{JobRow, Status};
use lapsed::core::path::RelPath;
use lapsed::core::pins::{Pin, PinTarget};
use lapsed::core::time::Timestamp;

use super::super::rules::{
    CANCELLED_MS, COMPLETED_MS, DIRS_MS, FAILED_MS, ORPHAN_DIR_MS, ORPHAN_FILE_MS, OTHER, OTHER_MS,
    RESULTS, ROOTS, SESSION_MS, UPLOADS,
};
use super::{REFUSED, Truth, UUIDS};
use crate::world::Node;

impl Truth {
    /// The ids of all rows that own the file at `path`: by the root's template, and by claims.
    pub fn owners(&self, root: RootId, path: &RelPath) -> (BTreeSet<&str>, BTreeSet<&str>) {
        let ids = self.rows.keys().map(String::as_str);
        let by_template = ids.filter(|id| is_by_template(root, path, id)).collect();
        let claims = |row: &&JobRow| {
            row.files
                .iter()
                .flat_map(|file| self.covered(file))
                .any(|(r, claimed)| r == root && path.is_within(&claimed))
        };
        let by_claim = self.rows.values().filter(claims);
        (by_template, by_claim.map(|row| row.id.as_str()).collect())
    }

    /// When `path` may go if it is nothing but `row`'s, and as what; `None`: never.
    pub(super) fn of_row(
        &self,
        root: RootId,
        path: &RelPath,
        row: &JobRow,
    ) -> Option<(Timestamp, Unit)> {
        let moments = &row.moments;
        if !row.status.is_over() || row.unreadable.is_some() || moments.cleaned_at.is_some() {
            return None;
        }
        let is_log = path.as_bytes().ends_with(b".log");
        let (since, ms, unit) = match (row.kind.as_deref(), row.status) {
            (Some("session"), _) => (moments.last_activity?, SESSION_MS, Unit::Job),
            _ if root == OTHER => (self.newest(root, path), OTHER_MS, Unit::File),
            (Some("dirs"), Status::Completed | Status::Failed) if is_in_dir(root, path) => {
                (self.newest_of_top(root, path), DIRS_MS, Unit::Dir)
            }
            (Some("batch"), Status::Completed) if !is_log => {
                (moments.completed_at?, COMPLETED_MS, Unit::Job)
            }
            (Some("batch"), Status::Failed) => (self.newest(root, path), FAILED_MS, Unit::Job),
            (_, Status::Cancelled) => (moments.completed_at?, CANCELLED_MS, Unit::File),
            _ => return None,
        };
        Some((since.plus_ms(ms), unit))
    }

    /// When the file at `path` may go, and as what (several, where its owners do not agree); `None`: never. Claims of which
    /// `is_claim_known` does not know are not looked at.
    pub fn may_go_at(
        &self,
        root: RootId,
        path: &RelPath,
        is_claim_known: &dyn Fn(&str) -> bool,
    ) -> Option<(Timestamp, BTreeSet<Unit>)> {
        let (by_template, by_claim) = self.owners(root, path);
        let known = by_claim.into_iter().filter(|id| is_claim_known(id));
        let owners: BTreeSet<&str> = by_template.into_iter().chain(known).collect();
        if owners.is_empty() {
            return self.of_nobody(root, path).map(|at| (at, BTreeSet::new()));
        }
        // A job that was cleaned keeps only what is nobody else's.
        let is_done = |id: &&str| {
            let row = &self.rows[*id];
            row.moments.cleaned_at.is_some() && row.status.is_over() && row.unreadable.is_none()
        };
        let all_done = owners.iter().all(is_done);
        let with_say = owners.into_iter().filter(|id| all_done || !is_done(id));
        let each = with_say.map(|id| self.of_row(root, path, &self.rows[id]));
        let each: Vec<(Timestamp, Unit)> = each.collect::<Option<_>>()?;
        let at = each.iter().map(|(at, _)| *at).max()?;
        Some((at, each.into_iter().map(|(_, unit)| unit).collect()))
    }

    /// When what nobody owns may go.
    pub(super) fn of_nobody(&self, root: RootId, path: &RelPath) -> Option<Timestamp> {
        let top = String::from_utf8_lossy(path.top()?).into_owned();
        let is_uuid = UUIDS.iter().any(|uuid| top.starts_with(uuid));
        let is_whole = UUIDS.iter().any(|uuid| top == *uuid);
        match root {
            OTHER => Some(self.newest(root, path).plus_ms(OTHER_MS)),
            UPLOADS if is_uuid && !is_whole => {
                let written = self.world(root).nodes[path].mtime;
                Some(written.plus_ms(ORPHAN_FILE_MS))
            }
            RESULTS if is_whole && is_in_dir(root, path) => {
                Some(self.newest_of_top(root, path).plus_ms(ORPHAN_DIR_MS))
            }
            _ => None,
        }
    }

    /// The pin that holds `path` now.
    pub fn pinned(
        &self,
        root: RootId,
        path: &RelPath,
        is_claim_known: &dyn Fn(&str) -> bool,
    ) -> Option<&Pin> {
        let name = ROOTS[usize::from(root.0)].1;
        let full = path.below(format!("/srv/{name}").as_ref());
        let (by_template, by_claim) = self.owners(root, path);
        let now = self.now().wall;
        let holds = |pin: &&Pin| match &pin.target {
            PinTarget::Path(pinned) => full.starts_with(pinned),
            PinTarget::Job { id, .. } => {
                by_template.contains(id.as_str())
                    || (by_claim.contains(id.as_str()) && is_claim_known(id))
            }
        };
        self.pins.values().filter(|pin| pin.until > now).find(holds)
    }

    /// Where a claim leads, with what is derived from it.
    pub(super) fn covered(&self, file: &str) -> Vec<(RootId, RelPath)> {
        let file = match file.strip_prefix(REFUSED) {
            Some(_) if !self.is_mapped => return Vec::new(),
            Some(rest) => rest,
            None => file,
        };
        let at = |root, text: &str| (root, RelPath::parse(text.as_bytes()).unwrap());
        let (root, path) = match file.strip_prefix("/srv/other/") {
            Some(rest) => (OTHER, rest),
            None => match file.strip_prefix("results/") {
                Some(rest) => (RESULTS, rest),
                None => (UPLOADS, file),
            },
        };
        let (dir, name) = path
            .rsplit_once('/')
            .map_or(("", path), |(dir, name)| (dir, name));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let slash = if dir.is_empty() { "" } else { "/" };
        vec![
            at(root, path),
            at(root, &format!("{dir}{slash}{stem}_processed.mp3")),
        ]
    }

    /// Whether a claim of `row` is refused.
    pub fn has_refused(&self, row: &JobRow) -> bool {
        !self.is_mapped && row.files.iter().any(|file| file.starts_with(REFUSED))
    }

    pub(super) fn newest(&self, root: RootId, path: &RelPath) -> Timestamp {
        let newest = |node: &Node| node.mtime.max(node.ctime).max(node.btime);
        newest(&self.world(root).nodes[path])
    }

    pub(super) fn newest_of_top(&self, root: RootId, path: &RelPath) -> Timestamp {
        let top = RelPath::parse(path.top().unwrap()).unwrap();
        let all = self.world(root).beneath(&top);
        all.iter()
            .map(|path| self.newest(root, path))
            .max()
            .unwrap()
    }
}

pub(super) fn is_in_dir(root: RootId, path: &RelPath) -> bool {
    root == RESULTS && path.components().count() > 1
}

/// Whether the root's template reads `id` in `path`.
pub fn is_by_template(root: RootId, path: &RelPath, id: &str) -> bool {
    let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
    match root {
        RESULTS => is_in_dir(root, path) && path.top() == Some(id.as_bytes()),
        UPLOADS => text
            .strip_prefix(id)
            .and_then(|rest| rest.strip_prefix('_'))
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        _ => false,
    }
}
