//! How it really is: files, rows, pins and the clock; and in plain words what may go when.

mod judgement;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lapsed::core::facts::{Kind, RootId};
use lapsed::core::jobs::{JobRow, JobTimestamps, Status};
use lapsed::core::path::RelPath;
use lapsed::core::pins::{Pin, PinTarget};
use lapsed::core::time::{Now, Timestamp};

use super::rules::{RESULTS, ROOTS, UPLOADS};
use crate::world::World;

pub use judgement::is_by_template;

pub const UUIDS: [&str; 7] = [
    "00000000-0000-4000-8000-000000000000",
    "11111111-0000-4000-8000-000000000000",
    "22222222-0000-4000-8000-000000000000",
    "33333333-0000-4000-8000-000000000000",
    "44444444-0000-4000-8000-000000000000",
    "55555555-0000-4000-8000-000000000000",
    "66666666-0000-4000-8000-000000000000",
];
/// No UUIDs, and one that begins like another and goes on with the separator.
const WORDS: [&str; 3] = ["job", "job_1", "22222222-0000-4000-8000-000000000000_b"];
/// Longer ago than any source was not read.
const LONG_AGO_MS: i64 = 10_000_000_000;
/// How a container sees the uploads: no root lies there.
pub const REFUSED: &str = "/data/uploads/";
/// Each root is kept about this large.
const NODES_MAX: usize = 60;
pub struct Truth {
    pub roots: [World; 3],
    pub rows: BTreeMap<String, JobRow>,
    pub pins: BTreeMap<u64, Pin>,
    /// The rows of a table that was emptied or halved.
    pub backup: BTreeMap<String, JobRow>,
    /// Whether jobs claim files in the root without a source, too.
    pub claims_elsewhere: bool,
    /// Whether it is known where the paths that containers write lead.
    pub is_mapped: bool,
    next_pin: u64,
}

/// What was done to the tree: for the watchers.
pub enum Done {
    Nothing,
    Made(RootId, RelPath),
    Touched(RootId, RelPath),
}

impl Truth {
    pub fn new(random: &mut fastrand::Rng) -> Self {
        Self {
            roots: [World::new(), World::new(), World::new()],
            rows: BTreeMap::new(),
            pins: BTreeMap::new(),
            backup: BTreeMap::new(),
            claims_elsewhere: random.bool(),
            is_mapped: false,
            next_pin: 0,
        }
    }

    pub fn now(&self) -> Now {
        self.roots[0].now()
    }

    pub fn world(&self, root: RootId) -> &World {
        &self.roots[usize::from(root.0)]
    }

    pub fn world_mut(&mut self, root: RootId) -> &mut World {
        &mut self.roots[usize::from(root.0)]
    }

    pub fn pass(&mut self, ms: u64) {
        for world in &mut self.roots {
            world.boot += Duration::from_millis(ms);
        }
    }

    /// Somebody works in a root.
    pub fn disturb(&mut self, random: &mut fastrand::Rng) -> Done {
        let root = random.choice(ROOTS).unwrap().0;
        let path = some_path(root, random);
        let world = self.world_mut(root);
        let existing = world
            .nodes
            .keys()
            .nth(random.usize(..world.nodes.len()))
            .cloned()
            .unwrap();
        match random.u32(..10) {
            0..6 if world.nodes.len() < NODES_MAX => {
                world.put(&path, Kind::File, random.u64(..1000));
                Done::Made(root, path)
            }
            6..9 => {
                world.write(&existing, random.u64(..1000));
                Done::Touched(root, existing)
            }
            9 => {
                world.remove(&existing);
                Done::Touched(root, existing)
            }
            _ => Done::Nothing,
        }
    }

    /// Somebody works in the table. `knows` says which rows were told and counted: of those that are emptied away, nothing may go.
    pub fn work(&mut self, random: &mut fastrand::Rng) {
        let now = self.now().wall;
        let id = some_id(random);
        match random.u32(..400) {
            0 => {
                self.backup.append(&mut self.rows);
                return;
            }
            1 => {
                let (gone, rest) = std::mem::take(&mut self.rows)
                    .into_iter()
                    .partition(|_| random.bool());
                self.rows = rest;
                let gone: BTreeMap<_, _> = gone;
                self.backup.extend(gone);
                return;
            }
            2..20 => return self.restore(),
            _ => {}
        }
        let claims = self.claims_elsewhere;
        let Some(row) = self.rows.get_mut(&id) else {
            let mut row = JobRow::new(&id, Status::Pending);
            row.kind = random
                .choice([
                    Some("batch"),
                    Some("batch"),
                    Some("session"),
                    Some("dirs"),
                    None,
                ])
                .unwrap()
                .map(str::to_owned);
            row.moments.created_at = Some(now);
            row.moments.last_activity = random.bool().then_some(now);
            row.files = some_claims(claims, random);
            if random.u32(..3) == 0 {
                end(&mut row, now, random);
            }
            self.rows.insert(id, row);
            return;
        };
        match random.u32(..24) {
            0..4 => row.status = Status::Running,
            4..13 => end(row, now, random),
            13 => {
                if let Some(mut row) = self.rows.remove(&id)
                    && random.u32(..4) == 0
                {
                    // It is called otherwise from now on.
                    row.id = some_id(random);
                    self.rows.entry(row.id.clone()).or_insert(row);
                }
            }
            14 | 15 => row.files = some_claims(claims, random),
            16 => row.moments.cleaned_at = Some(now),
            17 => {
                row.moments = JobTimestamps::default();
                row.status = Status::Running;
            }
            18..20 => row.moments.last_activity = Some(now),
            20 => row.moments.completed_at = None,
            21 => {
                row.unreadable = match row.unreadable {
                    None => Some("column completed_at: \"soon\"".to_owned()),
                    Some(_) => None,
                }
            }
            22 => row.error = Some("decides nothing".to_owned()),
            _ => row.status = Status::Pending,
        }
    }

    /// The rows are back.
    pub fn restore(&mut self) {
        for (id, row) in std::mem::take(&mut self.backup) {
            self.rows.entry(id).or_insert(row);
        }
    }

    /// Somebody pins, changes a pin, or takes one away (`Err`).
    pub fn pin(&mut self, random: &mut fastrand::Rng) -> Result<Pin, u64> {
        if let Some(&id) = self.pins.keys().next()
            && random.u32(..3) == 0
        {
            self.pins.remove(&id);
            return Err(id);
        }
        let now = self.now().wall;
        let until = now.plus_ms(random.i64(..100_000).abs());
        if let Some(pin) = self.pins.values_mut().next_back()
            && random.bool()
        {
            pin.until = until;
            return Ok(pin.clone());
        }
        let (root, name) = *random.choice(&ROOTS).unwrap();
        let path = some_path(root, random);
        let target = match random.u32(..3) {
            0 => PinTarget::Job {
                source: "db".to_owned(),
                id: some_id(random),
            },
            1 => PinTarget::Path(path.below(format!("/srv/{name}").as_ref())),
            _ => PinTarget::Path(format!("/srv/{name}/{}", some_id(random)).into()),
        };
        self.next_pin += 1;
        let pin = Pin {
            id: self.next_pin,
            target,
            who: "ada".to_owned(),
            why: "wait".to_owned(),
            set_at: now,
            until,
        };
        self.pins.insert(pin.id, pin.clone());
        Ok(pin)
    }

    /// An application has a fault: all jobs are said to have ended long ago. Those that had not ended are named.
    pub fn rewrite(&mut self) -> BTreeSet<String> {
        let ended = self.now().wall.plus_ms(-LONG_AGO_MS);
        let mut rewritten = BTreeSet::new();
        for row in self.rows.values_mut() {
            if row.status.is_over() {
                continue;
            }
            row.kind = Some("batch".to_owned());
            row.status = Status::Completed;
            row.moments.completed_at = Some(ended);
            rewritten.insert(row.id.clone());
        }
        rewritten
    }
}

fn end(row: &mut JobRow, now: Timestamp, random: &mut fastrand::Rng) {
    const ENDS: [Status; 4] = [
        Status::Completed,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
    ];
    row.status = *random.choice(&ENDS).unwrap();
    row.moments.completed_at = (random.u32(..8) > 0).then_some(now);
    if random.u32(..4) == 0 {
        // It ended long ago: all of it is due at once.
        row.moments.completed_at = Some(now.plus_ms(-200_000));
    }
}

fn some_claims(elsewhere: bool, random: &mut fastrand::Rng) -> Vec<String> {
    const FILES: [&str; 6] = [
        "in.mp3",
        "shared.tif",
        "stray",
        "results/shared/x",
        "/srv/other/x",
        "/srv/other/dir",
    ];
    let most = if elsewhere { FILES.len() } else { 4 };
    let mut files = Vec::new();
    while random.u32(..2) == 0 {
        files.push(match random.u32(..8) {
            0 if random.u32(..4) == 0 => format!("{REFUSED}{}_in.tif", some_id(random)),
            0 => format!("results/{}", some_id(random)),
            1..3 => format!("{}_in.tif", some_id(random)),
            3 => "results/shared/x".to_owned(),
            _ => FILES[random.usize(..most)].to_owned(),
        });
    }
    files
}

pub fn some_id(random: &mut fastrand::Rng) -> String {
    let place = random.usize(..UUIDS.len() + WORDS.len());
    let id = UUIDS.iter().chain(&WORDS).nth(place);
    (*id.unwrap()).to_owned()
}

fn some_path(root: RootId, random: &mut fastrand::Rng) -> RelPath {
    let id = some_id(random);
    let choose =
        |random: &mut fastrand::Rng, all: &[&str]| (*random.choice(all).unwrap()).to_owned();
    let text = match root {
        RESULTS => match random.u32(..8) {
            0 => choose(random, &["shared/x", "shared/y", "loose"]),
            _ => format!(
                "{id}/{}",
                choose(random, &["x", "out/y.log", "out/z", "w.log"])
            ),
        },
        UPLOADS => match random.u32(..4) {
            0 => choose(
                random,
                &["in.mp3", "in_processed.mp3", "shared.tif", "stray"],
            ),
            _ => format!("{id}_{}", choose(random, &["in.tif", "x", "b_y"])),
        },
        _ => choose(random, &["x", "dir/y", "dir/sub/z", "v"]),
    };
    RelPath::parse(text.as_bytes()).unwrap()
}
