//! Stands in for the watchers: turns what happens in the world into looks, after losing, doubling, reordering and delaying the
//! events behind them.

use std::collections::{BTreeSet, VecDeque};

use lapsed::core::facts::{Kind, RootId};
use lapsed::core::index::Index;
use lapsed::core::observed::{Coverage, Discovery, Observed};
use lapsed::core::path::RelPath;

use crate::world::World;

/// An event that has not led to a look yet.
#[derive(Clone, Debug)]
pub enum Rumour {
    /// Something happened at this path.
    Touched(RelPath),
    /// This directory has to be listed, with all beneath.
    List(RelPath),
    /// A directory was renamed.
    Moved(RelPath, RelPath),
}

pub struct Watcher {
    pub root: RootId,
    rumours: VecDeque<Rumour>,
    /// So many of the oldest rumours are from before the barrier that is under way.
    covered: usize,
    /// Events were lost: everything has to be listed before the index can be right.
    pub doubted: bool,
    /// No directory can be opened, for want of descriptors: names can be looked at, and not listed.
    pub is_short: bool,
    /// Directories that could not be opened: nothing tells of what happens in them until they are listed.
    closed: BTreeSet<RelPath>,
}

impl Watcher {
    pub fn new(root: RootId) -> Self {
        Self {
            root,
            rumours: VecDeque::new(),
            covered: 0,
            doubted: false,
            is_short: false,
            closed: BTreeSet::new(),
        }
    }

    pub fn hear(&mut self, rumour: Rumour, random: &mut fastrand::Rng) {
        if random.u32(..50) == 0 {
            self.rumours.push_back(rumour.clone());
        }
        self.rumours.push_back(rumour);
    }

    /// Loses everything that has not been looked at, as an overflow does.
    pub fn lose(&mut self) -> Observed {
        self.rumours.clear();
        self.covered = 0;
        self.doubted = true;
        Observed::Doubted {
            root: self.root,
            why: "overflow".to_owned(),
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.rumours.is_empty()
    }

    /// A barrier begins: it covers what is on its way now.
    pub fn begin_barrier(&mut self) {
        self.covered = self.rumours.len();
    }

    /// Whether everything that the barrier covers was looked at.
    pub const fn is_through(&self) -> bool {
        self.covered == 0
    }

    /// Looks into one of the oldest rumours.
    pub fn look(&mut self, world: &World, random: &mut fastrand::Rng) -> Vec<Observed> {
        self.look_within(self.rumours.len(), world, random)
    }

    /// Looks into one of the oldest rumours that the barrier covers, and into none that came later.
    pub fn look_covered(&mut self, world: &World, random: &mut fastrand::Rng) -> Vec<Observed> {
        self.look_within(self.covered, world, random)
    }

    fn look_within(
        &mut self,
        most: usize,
        world: &World,
        random: &mut fastrand::Rng,
    ) -> Vec<Observed> {
        let place = random.usize(..most.clamp(1, 4));
        let Some(rumour) = self.rumours.remove(place) else {
            return Vec::new();
        };
        let is_covered = place < self.covered;
        self.covered -= usize::from(is_covered);
        match rumour {
            Rumour::Touched(path) if self.is_closed(&path) => Vec::new(),
            Rumour::Touched(path) => self.look_at(world, &path, is_covered),
            Rumour::List(dir) if self.is_short && world.facts(&dir).is_some() => {
                vec![self.fail(dir)]
            }
            Rumour::List(dir) => {
                self.closed.retain(|closed| !closed.is_within(&dir));
                self.list(world, &dir, Discovery::Event)
            }
            Rumour::Moved(from, to) => vec![Observed::Moved {
                root: self.root,
                from,
                to,
            }],
        }
    }

    fn look_at(&mut self, world: &World, path: &RelPath, is_covered: bool) -> Vec<Observed> {
        let Some((dir, name)) = path.split() else {
            return Vec::new();
        };
        let Some(facts) = world.facts(&dir).filter(|facts| facts.kind == Kind::Dir) else {
            // The directory is not there any more; what is there in its place is for the look one level up.
            return self.look_at(world, &dir, is_covered);
        };
        let seen = world.facts(path);
        if seen.is_some_and(|facts| facts.kind == Kind::Dir) {
            if self.is_short {
                self.closed.insert(path.clone());
            }
            // What follows from what the barrier covers, it covers too.
            let place = if is_covered {
                self.covered
            } else {
                self.rumours.len()
            };
            self.rumours.insert(place, Rumour::List(path.clone()));
            self.covered += usize::from(is_covered);
        }
        vec![Observed::Looks {
            root: self.root,
            dir,
            facts,
            names: vec![(name.into(), seen)],
        }]
    }

    /// Lists `dir` and all beneath it.
    pub fn list(&self, world: &World, dir: &RelPath, discovery: Discovery) -> Vec<Observed> {
        let mut seen = Vec::new();
        let mut open = vec![dir.clone()];
        while let Some(dir) = open.pop() {
            let Some(facts) = world.facts(&dir) else {
                seen.push(Observed::Gone {
                    root: self.root,
                    dir,
                });
                continue;
            };
            if facts.kind != Kind::Dir {
                continue;
            }
            let (mut files, mut dirs) = (Vec::new(), Vec::new());
            for (path, facts) in world.children(&dir) {
                let name = path.split().unwrap().1.into();
                match facts.kind {
                    Kind::Dir => {
                        open.push(path);
                        dirs.push((name, facts));
                    }
                    Kind::File => files.push((name, facts)),
                    Kind::Mount | Kind::Other => {}
                }
            }
            seen.push(Observed::Listing {
                root: self.root,
                dir,
                facts,
                files,
                dirs,
                discovery,
                coverage: Coverage::Watched,
            });
        }
        seen.retain(|seen| !matches!(seen, Observed::Gone { dir, .. } if dir.is_root()));
        seen
    }

    fn is_closed(&self, path: &RelPath) -> bool {
        let mut closed = self.closed.iter();
        closed.any(|dir| path != dir && path.is_within(dir))
    }

    /// Tells that `dir` cannot be read, which is tried again.
    fn fail(&mut self, dir: RelPath) -> Observed {
        self.relist(dir.clone());
        self.closed.insert(dir.clone());
        Observed::Unreadable {
            root: self.root,
            dir,
            error: "too many open files".to_owned(),
        }
    }

    /// Lists all of the root. While descriptors are short, some directories in it cannot be read.
    pub fn list_root(
        &mut self,
        world: &World,
        discovery: Discovery,
        random: &mut fastrand::Rng,
    ) -> Vec<Observed> {
        let mut seen = self.list(world, &RelPath::root(), discovery);
        let mut failed: Vec<RelPath> = Vec::new();
        if self.is_short {
            seen.retain(|seen| {
                let Observed::Listing { dir, .. } = seen else {
                    return true;
                };
                if !dir.is_root() && random.u32(..4) == 0 {
                    failed.push(dir.clone());
                }
                !failed.iter().any(|above| dir.is_within(above))
            });
        }
        seen.extend(failed.into_iter().map(|dir| self.fail(dir)));
        seen
    }

    /// Compares the tree with what was saved of it, as after a restart: directories whose stamps are as they were are not read.
    pub fn compare(&self, world: &World, index: &Index) -> Vec<Observed> {
        let mut seen = Vec::new();
        let mut open = vec![RelPath::root()];
        while let Some(dir) = open.pop() {
            let known = index.dir_id(self.root, dir.as_bytes());
            let stamp = known.and_then(|id| index.stamp(id));
            let facts = world.facts(&dir).filter(|facts| facts.kind == Kind::Dir);
            let unchanged = facts.filter(|facts| {
                let is_it = known.and_then(|id| index.dir(id)).map(|dir| dir.facts.key);
                stamp == Some(facts.ctime) && is_it == Some(facts.key)
            });
            let Some(facts) = unchanged else {
                let mut found = self.list_one(world, &dir);
                for observed in &found {
                    if let Observed::Listing { dirs, .. } = observed {
                        open.extend(dirs.iter().map(|(name, _)| dir.join(name)));
                    }
                }
                seen.append(&mut found);
                continue;
            };
            let beneath = index.subdirs(known.unwrap()).into_iter();
            open.extend(beneath.map(|(name, _)| dir.join(&name)));
            seen.push(Observed::Looks {
                root: self.root,
                dir,
                facts,
                names: Vec::new(),
            });
        }
        seen
    }

    /// Lists `dir`, and nothing beneath it.
    fn list_one(&self, world: &World, dir: &RelPath) -> Vec<Observed> {
        let mut seen = self.list(world, dir, Discovery::Event);
        seen.truncate(1);
        seen
    }

    /// Forgets everything: another process watches from now on.
    pub fn restart(&mut self) {
        self.rumours.clear();
        self.closed.clear();
        self.covered = 0;
        self.doubted = false;
    }

    /// Asks for a listing, which comes late like everything.
    pub fn relist(&mut self, dir: RelPath) {
        self.rumours.push_back(Rumour::List(dir));
    }
}
