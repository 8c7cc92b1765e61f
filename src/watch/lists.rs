//! Listings: handing directories to the workers, and what comes of it.

use std::sync::Arc;

use hashbrown::HashSet;

use super::event_loop::EventLoop;
use super::listing::{Content, Done, Failure, Job, Seen};
use super::node_id::NodeId;
use super::scan_queue::{ScanDepth, ScanRequest};
use crate::core::facts::Facts;
use crate::core::observed::{Coverage, Discovery, Name, Observed};

/// A directory that was not where it should be so often in a row counts as one that cannot be read:
/// it is moved faster than it can be listed, or its file system contradicts itself.
const MISSES_MAX: u8 = 8;

impl EventLoop {
    /// Hands directories to the workers for as long as they take any.
    pub(super) fn dispatch(&mut self) {
        while let Some((id, ask)) = self.listings.next() {
            if self.gives_up(id, ask) {
                continue;
            }
            let stamp = self.restored.take_stamp(id);
            let place = self.tree.place(id);
            let way = place.and_then(|(parent, name)| Some((self.ways.to(parent)?, name.clone())));
            let job = self.tree.get(id).and_then(|node| {
                Some(Job {
                    node: id,
                    place: Arc::clone(self.roots.place(node.root)?),
                    path: self.tree.path(id),
                    way,
                    era: self.ways.era(),
                    key: node.key,
                    // A pass makes sure of the watches too: word of their end may be among what was
                    // lost.
                    watch: node.watch.is_none() || ask.pass.is_some(),
                    stamp: stamp.filter(|_| ask.pass.is_some()),
                    hidden: self.hidden_in(id),
                })
            });
            self.pool
                .give(job.expect("invariant: what waits is in the tree of a root that is there"));
        }
    }

    /// Takes in what a worker brings.
    pub(super) fn finish_listing(&mut self, done: Done) {
        let id = done.node;
        let Some(pending) = self.listings.done(id) else {
            // The node has ended meanwhile.
            if let Some(Ok(watch)) = done.watch {
                self.backend.unwatch(watch, id);
            }
            return;
        };
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        let root = node.root;
        if let Some(way) = done.way {
            self.ways.put(id, way);
        }
        match done.watch {
            None => {}
            Some(Ok(watch)) if pending.lost.contains(&watch) => node.watch = None,
            Some(Ok(watch)) => {
                if let Some(old) = node.watch.replace(watch).filter(|old| *old != watch) {
                    self.backend.unwatch(old, id);
                }
                self.unwatched.remove(id);
            }
            Some(Err(errno)) => self.on_unwatchable(id, root, errno),
        }
        let (ask, again, later) = (pending.ask, pending.again, pending.later);
        // In this order: a wish that is repeated keeps the pass open.
        if let Some(again) = again {
            self.listings.resume(id, again);
        }
        self.count_in_pass(root, ask, &done.outcome, done.cpu);
        self.count_unwatched(id, done.cpu);
        match done.outcome {
            Ok(Seen::Content(content)) => self.take_content(id, content, ask),
            Ok(Seen::Unchanged(facts)) => self.take_unchanged(id, facts, ask),
            Err(Failure::Root) => {
                self.survey_all();
                // What cannot be opened is listed as a whole when it can.
                if !self.roots.is_unreachable(root) {
                    self.recheck(id, ask);
                }
            }
            Err(Failure::Refused(error)) if error.is_shortage() => {
                self.on_unreachable(root, &error);
            }
            Err(Failure::Absent) => self.miss(id, ask),
            Err(Failure::Refused(error)) => {
                // A denial ends with a change of its attributes, which is an event; anything else
                // by the timer only.
                if !error.is_denial() {
                    self.retry_later(id);
                }
                self.refuse(id, error.to_string());
            }
            Err(Failure::Bug(bug)) => self.refuse(id, format!("cannot list: {bug}")),
        }
        if let Some(later) = later {
            if self.tree.get(id).is_some() {
                self.dirty.put(&mut self.epochs, id, later);
            } else {
                self.epochs.end(later.epoch);
            }
        }
        self.end(root, ask);
    }

    /// The directory holds the names that are known: those beneath it are looked for in their turn,
    /// and what is in its files later.
    fn take_unchanged(&mut self, id: NodeId, facts: Facts, ask: ScanRequest) {
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        let root = node.root;
        node.listed = true;
        node.refused = false;
        node.misses = 0;
        let beneath: Vec<NodeId> = self.tree.children(id).map(|(child, _)| child).collect();
        for child in beneath {
            self.ask(child, ask);
        }
        self.defer_contents(root, id);
        self.outbox.push(Observed::Looks {
            root,
            dir: self.tree.path(id),
            facts,
            names: Vec::new(),
        });
    }

    fn take_content(&mut self, id: NodeId, content: Content, ask: ScanRequest) {
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        let root = node.root;
        node.listed = true;
        node.refused = false;
        node.misses = 0;
        let coverage = match node.watch {
            Some(_) => Coverage::Watched,
            None => Coverage::Unwatched,
        };
        // No watch after all: it ended while the directory was read.
        let lacks_watch = node.watch.is_none() && !self.unwatched.has(id);
        let gone = self.gone_from(id, &content.dirs);
        for child in gone {
            self.drop_gone(child);
        }
        for (name, facts) in &content.dirs {
            self.settle_dir(id, name, facts.key, ask);
        }
        let discovery = if ask.pass.is_some() {
            self.roots.discovery(root)
        } else {
            Discovery::Event
        };
        self.outbox.push(Observed::Listing {
            root,
            dir: self.tree.path(id),
            facts: content.facts,
            files: content.files,
            dirs: content.dirs,
            discovery,
            coverage,
        });
        if lacks_watch {
            let reach = ScanDepth::One;
            self.ask(id, ScanRequest { reach, ..ask });
        }
    }

    /// The directories of the tree that are not among `dirs`.
    fn gone_from(&self, id: NodeId, dirs: &[(Name, crate::core::facts::Facts)]) -> Vec<NodeId> {
        let mut children = self.tree.children(id).peekable();
        if children.peek().is_none() {
            return Vec::new();
        }
        let there: HashSet<&[u8]> = dirs.iter().map(|(name, _)| &**name).collect();
        children
            .filter(|(_, name)| !there.contains(&***name))
            .map(|(child, _)| child)
            .collect()
    }

    fn miss(&mut self, id: NodeId, ask: ScanRequest) {
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        node.misses = node.misses.saturating_add(1);
        if node.misses > MISSES_MAX {
            node.misses = 0;
            self.refuse(
                id,
                "it cannot be opened as the directory that its parent shows".into(),
            );
        } else {
            self.recheck(id, ask);
        }
    }

    /// Reports once that a directory cannot be read; it is tried again when it changes.
    fn refuse(&mut self, id: NodeId, error: String) {
        let dir = self.tree.path(id);
        let Some(node) = self.tree.get_mut(id) else {
            return;
        };
        let root = node.root;
        if !std::mem::replace(&mut node.refused, true) {
            tracing::warn!(
                path = %self.roots.full_path(root, &dir).display(),
                error,
                "a directory cannot be read; what is known of it stays"
            );
        }
        self.outbox.push(Observed::Unreadable { root, dir, error });
    }
}
