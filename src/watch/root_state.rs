//! Presence of the roots, and what is not of them: nested roots, the quarantine, other mounts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::event_loop::EventLoop;
use super::listing::{Exclusions, RootPlace};
use super::node_id::NodeId;
use super::options::WatchRoot;
use super::parent_watcher::{Changed, ParentWatcher};
use super::restored::Known;
use super::roots::{MountedRoot, Root};
use super::scan_queue::ScanRequest;
use crate::core::facts::{FileKey, RootId};
use crate::core::observed::{Absence, Discovery, Name, Observed, PassKind};
use crate::core::path::RelPath;
use crate::fs::{FsError, QUARANTINE, RootDir};

impl EventLoop {
    /// Looks whether the roots are where they were, when anything around them has changed.
    pub(super) fn survey_changes(&mut self) {
        let changed = self.surroundings.as_mut().map(ParentWatcher::take_changes);
        match changed {
            None | Some(Changed::Nothing) => {}
            Some(Changed::Places) => self.survey_all(),
            Some(Changed::Mounts(points)) => {
                let before = self.mounted_at(&points);
                self.survey_all();
                self.doubt_remounted(&before);
                for point in &points {
                    self.on_mount(point);
                }
            }
        }
    }

    /// Looks whether the roots are where they were.
    pub(super) fn survey_all(&mut self) {
        self.ways.clear();
        self.look_for_roots();
        self.schedule_search();
    }

    fn look_for_roots(&mut self) {
        let Some(mut surroundings) = self.surroundings.take() else {
            for id in self.roots.ids() {
                let path = self.roots.full_path(id, &RelPath::root());
                self.place_root(id, RootDir::open(&path).map(|root| root.key()));
            }
            return;
        };
        let mut round = surroundings.begin();
        let roots = self.roots.ids().into_iter();
        let found: Vec<_> = roots
            .map(|id| {
                let path = self.roots.full_path(id, &RelPath::root());
                (id, round.approach(&path))
            })
            .collect();
        round.finish();
        self.surroundings = Some(surroundings);
        for (id, found) in found {
            self.place_root(id, found);
        }
    }

    /// Takes over which roots there are, and which of them are nested.
    pub(super) fn set_roots(&mut self, roots: Vec<WatchRoot>) {
        // What was saved was of other rules: a root that is found later is read.
        self.restored.forget_roots();
        for id in self.roots.ids() {
            let kept = roots.iter().find(|root| root.id == id);
            let path = self.roots.full_path(id, &RelPath::root());
            if kept.is_none_or(|root| root.path != path) {
                self.clear_root(id);
                self.roots.all.remove(&id);
            }
        }
        for spec in roots {
            match self.roots.all.get_mut(&spec.id) {
                None => {
                    self.roots.all.insert(spec.id, Root::new(spec));
                }
                Some(root) => {
                    let id = spec.id;
                    let old = std::mem::replace(&mut root.spec, spec);
                    let is_other = root.spec.only != old.only;
                    self.on_nested(id, &old.nested);
                    if is_other && let Some(top) = self.roots.here(id).map(|here| here.top) {
                        self.ask(top, ScanRequest::one(self.epochs.current()));
                    }
                }
            }
        }
        self.counters.set_roots(self.roots.ids());
        self.survey_all();
    }

    /// Returns whether `name` in `dir` is left out.
    pub(super) fn is_hidden(&self, dir: NodeId, name: &[u8]) -> bool {
        let Some(node) = self.tree.get(dir) else {
            return false;
        };
        let Some(root) = self.roots.all.get(&node.root) else {
            return false;
        };
        let at_top = root.here.as_ref().is_some_and(|here| here.top == dir);
        let may_hide = !root.spec.nested.is_empty() || (at_top && root.spec.only.is_some());
        name == QUARANTINE || (may_hide && self.hidden_in(dir).has(name))
    }

    /// Returns the names in `dir` that are left out.
    pub(super) fn hidden_in(&self, dir: NodeId) -> Exclusions {
        let mut hidden = Exclusions::default();
        let node = self.tree.get(dir);
        let Some(root) = node.and_then(|node| self.roots.all.get(&node.root)) else {
            return hidden;
        };
        if root.here.as_ref().is_some_and(|here| here.top == dir) {
            hidden.but.clone_from(&root.spec.only);
        }
        if !root.spec.nested.is_empty() {
            let path = self.tree.path(dir);
            let nested = root.spec.nested.iter().filter_map(RelPath::split);
            hidden.names.extend(
                nested
                    .filter(|(parent, _)| *parent == path)
                    .map(|(_, name)| Name::from(name)),
            );
        }
        hidden
    }

    /// A root was looked for.
    fn place_root(&mut self, id: RootId, found: Result<FileKey, FsError>) {
        match found {
            Ok(key) => {
                if self.roots.place(id).is_none_or(|place| place.key != key) {
                    self.clear_root(id);
                    self.on_found(id, key);
                } else {
                    self.on_reachable(id);
                }
            }
            Err(error) if !error.proves_absence() => self.on_unreachable(id, &error),
            Err(error) => {
                let why = error.to_string();
                self.clear_root(id);
                let Some(root) = self.roots.all.get_mut(&id) else {
                    return;
                };
                root.unreachable = None;
                let absence = absence_of(&root.spec.path, &error);
                let lost = Some((why.clone(), absence));
                if root.lost != lost {
                    root.lost = lost;
                    self.outbox.push(Observed::RootLost {
                        root: id,
                        why,
                        absence,
                    });
                }
            }
        }
    }

    fn on_found(&mut self, id: RootId, key: FileKey) {
        let Some(root) = self.roots.all.get_mut(&id) else {
            return;
        };
        root.lost = None;
        root.unreachable = None;
        let discovery = root.know(key);
        let top = self.tree.add_top(id, key);
        let leaves_out = root.spec.only.is_some();
        let restored = self
            .restored
            .take_root(id, key, top, leaves_out, &mut self.tree);
        root.here = Some(MountedRoot {
            place: Arc::new(RootPlace {
                path: root.spec.path.clone(),
                key,
            }),
            top,
            pass: None,
            due: None,
            rested: None,
            cut: None,
            contents: None,
            quarantine: None,
        });
        self.watch_quarantine(id);
        self.outbox.push(Observed::RootFound { root: id, key });
        match restored {
            Known::Restored => {
                self.expect_contents(id);
                self.crawl(id, Discovery::Event, PassKind::Stamps);
            }
            Known::Not => self.crawl(id, discovery, PassKind::Crawl),
        }
    }

    /// Watches what is renamed into the quarantine of a root. Where that fails, what the reaper
    /// takes is looked at like any other change.
    pub(super) fn watch_quarantine(&mut self, id: RootId) {
        let Some(place) = self.roots.place(id) else {
            return;
        };
        let root = RootDir::open_as(&place.path, place.key).ok();
        let name = RelPath::root().join(QUARANTINE);
        let quarantine = root.and_then(|root| root.dir(&name).ok());
        let watch = quarantine.and_then(|dir| self.backend.watch_arrivals(&dir));
        let here = self.roots.here_mut(id);
        let before = here.and_then(|here| std::mem::replace(&mut here.quarantine, watch));
        if let Some(before) = before.filter(|before| watch != Some(*before)) {
            self.backend.unwatch(before, NodeId::QUARANTINE);
        }
    }

    /// Forgets all that is known beneath a root.
    fn clear_root(&mut self, id: RootId) {
        let here = self
            .roots
            .all
            .get_mut(&id)
            .and_then(|root| root.here.take());
        if let Some(here) = here {
            if let Some(due) = here.due {
                self.epochs.end(due.epoch);
            }
            if let Some(contents) = here.contents {
                self.epochs.end(contents.epoch);
            }
            if let Some(watch) = here.quarantine {
                self.backend.unwatch(watch, NodeId::QUARANTINE);
            }
            self.detach_subtree(here.top);
        }
    }

    /// The nested roots of a root have changed: the directories that they are in are listed again.
    fn on_nested(&mut self, id: RootId, old: &[RelPath]) {
        let Some(root) = self.roots.all.get(&id) else {
            return;
        };
        let Some(top) = root.here.as_ref().map(|here| here.top) else {
            return;
        };
        let new = &root.spec.nested;
        let gone = old.iter().filter(|path| !new.contains(path));
        let come = new.iter().filter(|path| !old.contains(path));
        let split = gone.chain(come).filter_map(RelPath::split);
        let parents: Vec<RelPath> = split.map(|(parent, _)| parent).collect();
        for parent in parents {
            if let (node, true) = self.tree.nearest(top, &parent) {
                self.ask(node, ScanRequest::one(self.epochs.current()));
            }
        }
    }

    /// The roots that are there, at one of `points` or beneath it.
    fn mounted_at(&self, points: &BTreeSet<PathBuf>) -> Vec<(RootId, NodeId)> {
        let roots = self.roots.all.iter().filter_map(|(id, root)| {
            let at = |point: &PathBuf| root.spec.path.starts_with(point);
            let top = root.here.as_ref()?.top;
            points.iter().any(at).then_some((*id, top))
        });
        roots.collect()
    }

    /// A file system that was away for a moment has taken all its watches along, and not every
    /// backend hears of that.
    fn doubt_remounted(&mut self, before: &[(RootId, NodeId)]) {
        for &(id, top) in before {
            if self.roots.here(id).is_some_and(|here| here.top == top) {
                self.recrawl(id);
            }
        }
    }

    /// Something was mounted or unmounted at `point`: the directory that it is in is listed again.
    fn on_mount(&mut self, point: &Path) {
        for id in self.roots.ids() {
            let Some(root) = self.roots.all.get(&id) else {
                continue;
            };
            let Some(top) = root.here.as_ref().map(|here| here.top) else {
                continue;
            };
            let beneath = point.strip_prefix(&root.spec.path).ok().map(bytes);
            let parent = beneath
                .and_then(RelPath::parse)
                .and_then(|path| path.split().map(|(parent, _)| parent));
            if let Some(parent) = parent
                && let (node, true) = self.tree.nearest(top, &parent)
            {
                self.ask(node, ScanRequest::one(self.epochs.current()));
            }
        }
    }
}

/// Returns whether it is known that nothing stands at `path`, which could not be opened: the
/// nearest directory above it that is there can be read, and has nothing of the next name on the
/// way.
fn absence_of(path: &Path, error: &FsError) -> Absence {
    let mut missing = path;
    let mut errno = error.errno;
    // Anything but a name that is not there may hide what is behind it: a link, a file, a
    // directory that may not be entered.
    while errno == Errno::NOENT {
        let (Some(above), Some(name)) = (missing.parent(), missing.file_name()) else {
            return Absence::Doubtful;
        };
        match RootDir::open(above) {
            Ok(above) => {
                let name = std::os::unix::ffi::OsStrExt::as_bytes(name);
                return match above.top().look(name) {
                    Ok(None) => Absence::Certain,
                    Ok(Some(_)) | Err(_) => Absence::Doubtful,
                };
            }
            Err(error) => (missing, errno) = (above, error.errno),
        }
    }
    Absence::Doubtful
}

fn bytes(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}
