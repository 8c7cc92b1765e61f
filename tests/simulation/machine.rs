//! World, watcher, engine and reaper in one room, driven by one seed; and the checks.

mod limits;
mod pauses;
mod process;
mod reaper;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lapsed::core::claim::Claim;
use lapsed::core::clock_guard::ClockGuard;
use lapsed::core::effect::{Effect, Event, JOBS};
use lapsed::core::engine::Engine;
use lapsed::core::engine::Input;
use lapsed::core::facts::Kind;
use lapsed::core::observed::{Discovery, Observed, PassCost};
use lapsed::core::path::RelPath;
use lapsed::core::pauses::Pauses;

use limits::Place;
use process::setup;

use crate::disk::Disk;
use crate::rules::{ROOT, limited, policy};
use crate::watcher::{Rumour, Watcher};
use crate::world::World;

/// The tree is kept about this large.
const NODES_MAX: usize = 120;

pub struct Machine {
    pub random: fastrand::Rng,
    pub world: World,
    pub watcher: Watcher,
    pub engine: Engine,
    pub claims: Vec<Claim>,
    pub claimed: BTreeSet<RelPath>,
    places: BTreeMap<RelPath, Place>,
    pub events: u64,
    disk: Disk,
    /// Directories were left unread at the last start.
    unread: bool,
    restarts: u64,
    removed: u64,
    changed: u64,
    held: u64,
    /// Removals because of a limit.
    limited: u64,
    /// The engine waits until everything of that moment is known.
    barrier: Barrier,
    /// They outlive the process.
    pauses: Arc<Pauses>,
    /// End of the pause, by the clock that nobody can set.
    paused_until: Option<Duration>,
}

/// State of what the engine waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Barrier {
    None,
    Asked,
    Begun,
}

impl Machine {
    /// Every other seed has limits.
    pub fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new();
        let rules = if seed.is_multiple_of(2) {
            policy()
        } else {
            limited()
        };
        let pauses = Arc::<Pauses>::default();
        let setup = setup(
            Arc::new(rules),
            ClockGuard::new(world.now(), None),
            Arc::clone(&pauses),
        );
        let engine = Engine::new(setup, world.now());
        for _ in 0..random.usize(..40) {
            let path = some_path(&mut random);
            world.put(&path, Kind::File, random.u64(..1000));
        }
        let watcher = Watcher::new(ROOT);
        let mut machine = Self {
            random,
            world,
            watcher,
            engine,
            claims: Vec::new(),
            claimed: BTreeSet::new(),
            places: BTreeMap::new(),
            events: 0,
            disk: Disk::default(),
            unread: false,
            restarts: 0,
            removed: 0,
            changed: 0,
            held: 0,
            limited: 0,
            barrier: Barrier::None,
            pauses,
            paused_until: None,
        };
        let key = machine.world.facts(&RelPath::root()).unwrap().key;
        machine.observe(vec![Observed::RootFound { root: ROOT, key }]);
        machine.reconcile(Discovery::Crawl);
        machine
    }

    pub fn summary(&self) -> String {
        let Self {
            events,
            removed,
            changed,
            held,
            restarts,
            limited,
            ..
        } = self;
        format!(
            "{events} events, {restarts} restarts, {removed} removed, {limited} of them by limits, {changed} changed, {held} held, {} left",
            self.world.nodes.len()
        )
    }

    /// One thing happens.
    pub fn step(&mut self) {
        match self.random.u32(..100) {
            0..40 => self.disturb(),
            40..70 => self.look(),
            70..85 => self.reap_some(),
            85..95 => self.pass_time(),
            95 => self.pause_now_and_then(),
            96 => self.save(),
            97 => self.crash_now_and_then(),
            98 => self.lose_events(),
            _ => self.set_clock(),
        }
        self.check_always();
    }

    /// Somebody works on the tree.
    fn disturb(&mut self) {
        self.events += 1;
        let path = some_path(&mut self.random);
        let existing = self.some_existing();
        let rumours = match self.random.u32(..20) {
            0..8 if self.world.nodes.len() < NODES_MAX => {
                self.world.put(&path, Kind::File, self.random.u64(..1000));
                // As from the kernel: the topmost directory that is new, then listed.
                path_and_parents(&path)
            }
            8..12 => {
                self.world.write(&existing, self.random.u64(..1000));
                vec![Rumour::Touched(existing)]
            }
            12 => {
                let back = self.random.i64(0..200_000);
                self.world
                    .backdate(&existing, self.world.now().wall.plus_ms(-back));
                vec![Rumour::Touched(existing)]
            }
            13 => {
                self.world.remove(&existing);
                vec![Rumour::Touched(existing)]
            }
            14..17 => {
                let is_dir = self
                    .world
                    .facts(&existing)
                    .is_some_and(|facts| facts.kind == Kind::Dir);
                match self.world.rename(&existing, &path) {
                    true if is_dir => vec![Rumour::Moved(existing, path)],
                    true => vec![Rumour::Touched(existing), Rumour::Touched(path)],
                    false => Vec::new(),
                }
            }
            17 => {
                if let Some(node) = self.world.nodes.get_mut(&existing) {
                    node.open = !node.open;
                }
                vec![Rumour::Touched(existing)]
            }
            _ => Vec::new(),
        };
        for rumour in rumours {
            self.watcher.hear(rumour, &mut self.random);
        }
    }

    pub fn look(&mut self) {
        if self.barrier == Barrier::Asked && !self.watcher.doubted && !self.unread {
            self.barrier = Barrier::Begun;
            self.watcher.begin_barrier();
        }
        if self.barrier != Barrier::Begun {
            let seen = self.watcher.look(&self.world, &mut self.random);
            self.observe(seen);
            return;
        }
        // It is waited for: the watchers hurry.
        for _ in 0..self.random.usize(1..20) {
            if self.watcher.is_through() {
                break;
            }
            let seen = self.watcher.look_covered(&self.world, &mut self.random);
            self.observe(seen);
        }
        if self.watcher.is_through() {
            self.barrier = Barrier::None;
            self.input(Input::Synced(JOBS));
        }
    }

    fn pass_time(&mut self) {
        let most = self.random.u64(..3000);
        let now = self.world.now();
        let until_wake = self
            .engine
            .wake_at()
            .map(|at| u64::try_from(at.ms_since(now.wall)).unwrap_or(0));
        let ms = until_wake.map_or(most, |wake| {
            if self.random.bool() {
                wake.min(20_000)
            } else {
                most
            }
        });
        self.world.boot += Duration::from_millis(ms);
        self.input(Input::Tick);
    }

    fn lose_events(&mut self) {
        if self.random.u32(..4) == 0 {
            if self.barrier == Barrier::Begun {
                self.barrier = Barrier::Asked;
            }
            let doubted = self.watcher.lose();
            self.observe(vec![doubted]);
        } else if self.watcher.doubted {
            self.reconcile(Discovery::Event);
        }
    }

    fn set_clock(&mut self) {
        if self.random.u32(..20) == 0 {
            self.world.offset_ms += self.random.i64(-100_000..100_000);
            self.input(Input::Tick);
        }
    }

    fn reconcile(&mut self, discovery: Discovery) {
        let began = self.world.now().boot;
        let mut seen = self.watcher.list(&self.world, &RelPath::root(), discovery);
        let cost = PassCost::default();
        seen.push(Observed::Reconciled {
            root: ROOT,
            began,
            cost,
        });
        self.watcher.doubted = false;
        self.unread = false;
        self.observe(seen);
    }

    fn observe(&mut self, seen: Vec<Observed>) {
        self.input(Input::Observed(seen));
    }

    pub fn input(&mut self, input: Input) {
        let effects = self.engine.step(self.world.now(), input);
        let jumped = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Tell(Event::ClockJumped { .. })));
        for effect in effects {
            match effect {
                Effect::Preview(_) => panic!("nobody asks for a dry run"),
                Effect::Claim(claims) => {
                    for claim in claims {
                        self.check_limit_of(&claim);
                        assert!(
                            self.claimed.insert(claim.path.clone()),
                            "{} is claimed twice",
                            claim.path
                        );
                        let place = self.place_of(&claim);
                        self.places
                            .extend(place.map(|place| (claim.path.clone(), place)));
                        self.claims.push(claim);
                    }
                }
                Effect::Purge(_) => panic!("nothing is in the trash"),
                Effect::Relist(_, dir) => self.watcher.relist(dir),
                Effect::Changed { unsaved, clock } => {
                    self.disk.changed(unsaved, clock);
                    if jumped {
                        self.disk.save_clock();
                    }
                }
                Effect::Remember(_, memory) => self.disk.remember(memory),
                Effect::Barrier => self.barrier = Barrier::Asked,
                Effect::Source(..)
                | Effect::Recorded(_)
                | Effect::PauseEnded(_)
                | Effect::AskSpace(_)
                | Effect::Ruled
                | Effect::Placed(..)
                | Effect::Shadow(_)
                | Effect::Synced(_)
                | Effect::Tell(_) => {}
            }
        }
    }

    /// Everything that happened is looked at, and every claim answered.
    fn come_to_rest(&mut self) {
        for _ in 0..50 {
            while !self.watcher.is_quiet() || self.barrier != Barrier::None {
                self.look();
                if self.watcher.is_quiet() && (self.watcher.doubted || self.unread) {
                    break;
                }
            }
            if self.watcher.doubted || self.unread || self.random.bool() {
                self.reconcile(Discovery::Event);
            }
            while !self.claims.is_empty() {
                self.reap_some();
            }
            if self.watcher.is_quiet() && self.claims.is_empty() && self.barrier == Barrier::None {
                break;
            }
        }
    }

    /// Lets everything come to rest, and holds the index against the world.
    pub fn settle(&mut self) {
        self.input(Input::Unsaved(None));
        self.come_to_rest();
        self.check_limits_kept();
        self.check_index();
        self.check_nothing_forgotten();
    }

    fn some_existing(&mut self) -> RelPath {
        let place = self.random.usize(..self.world.nodes.len());
        self.world.nodes.keys().nth(place).unwrap().clone()
    }
}

/// A path of up to four components from a small set, so that everything meets everything.
fn some_path(random: &mut fastrand::Rng) -> RelPath {
    const DIRS: &[&str] = &["a", "b", "unit1", "unit2"];
    const FILES: &[&str] = &["x.tmp", "y.tmp", "z.old", "w.keep", "v", "u.dat", "a"];
    let mut path = RelPath::root();
    for _ in 0..random.usize(..4) {
        path = path.join(random.choice(DIRS).unwrap().as_bytes());
    }
    path.join(random.choice(FILES).unwrap().as_bytes())
}

pub fn path_and_parents(path: &RelPath) -> Vec<Rumour> {
    let mut rumours = vec![Rumour::Touched(path.clone())];
    let mut path = path.clone();
    while let Some((parent, _)) = path.split() {
        rumours.insert(0, Rumour::Touched(parent.clone()));
        path = parent;
    }
    rumours
}
