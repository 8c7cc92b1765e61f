//! A source that tells late, in parts and twice, that fails, and that loses its table.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lapsed::core::jobs::{JobChange, JobLookup, JobRow};

use super::truth::Truth;

#[derive(Default)]
pub struct Source {
    /// What was told, or is on its way.
    told: BTreeMap<String, JobRow>,
    /// Others have told of these, perhaps before what is on its way: they are told of once more.
    doubted: BTreeSet<String>,
    queue: VecDeque<JobChange>,
    pub is_down: bool,
    /// It has changed, says so, and was not read yet.
    pub is_stale: bool,
    /// The ids of the rows that were counted in what is on its way, in order.
    counted: VecDeque<BTreeSet<String>>,
    /// Those that were there when the engine was last told how many there are.
    pub confirmed: BTreeSet<String>,
}

impl Source {
    /// The process begins anew, and knows nothing.
    pub fn restart(&mut self) {
        *self = Self {
            is_down: self.is_down,
            ..Self::default()
        };
        if self.is_down {
            self.queue.push_back(down());
        }
    }

    /// Reads all rows, and has what is not as it was told.
    pub fn read(&mut self, truth: &Truth, random: &mut fastrand::Rng) {
        if self.is_down {
            return;
        }
        let is_new =
            |row: &&JobRow| self.doubted.contains(&row.id) || self.told.get(&row.id) != Some(*row);
        let mut rows: Vec<JobRow> = truth.rows.values().filter(is_new).cloned().collect();
        let before = self.told.keys().chain(&self.doubted);
        let gone: BTreeSet<String> = before
            .filter(|id| !truth.rows.contains_key(*id))
            .cloned()
            .collect();
        while !rows.is_empty() {
            let rest = rows.split_off(random.usize(1..=rows.len()));
            self.push(JobChange::Rows(rows), random);
            rows = rest;
        }
        if !gone.is_empty() {
            self.push(JobChange::Gone(gone.into_iter().collect()), random);
        }
        let jobs = truth.rows.len() as u64;
        self.queue.push_back(JobChange::Loaded { jobs });
        self.counted.push_back(truth.rows.keys().cloned().collect());
        self.told.clone_from(&truth.rows);
        self.doubted.clear();
        self.is_stale = false;
    }

    /// Says that it has changed, long before it is read.
    pub fn tell_stale(&mut self) {
        if !self.is_down {
            self.is_stale = true;
            self.queue.push_back(JobChange::Stale);
        }
    }

    /// Goes down, or comes back: then all is read that was missed.
    pub fn toggle(&mut self, truth: &Truth, random: &mut fastrand::Rng) {
        self.is_down = !self.is_down;
        if self.is_down {
            self.queue.push_back(down());
        } else {
            self.read(truth, random);
        }
    }

    /// Others told of `id`.
    pub fn doubt(&mut self, id: &str) {
        self.doubted.insert(id.to_owned());
    }

    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// Some of what is on its way arrives, with one count of the rows at most.
    /// Tells whether more of the same reading follows.
    pub fn deliver(&mut self, random: &mut fastrand::Rng) -> (Vec<JobChange>, bool) {
        let is_count = |piece: &JobChange| matches!(piece, JobChange::Loaded { .. });
        let first = self.queue.iter().position(is_count);
        let most = random.usize(..=self.queue.len());
        let most = first.map_or(most, |first| most.min(first + 1));
        let news: Vec<JobChange> = self.queue.drain(..most).collect();
        for piece in &news {
            if let JobChange::Loaded { .. } = piece {
                self.confirmed = self.counted.pop_front().unwrap();
            }
        }
        let is_part = |piece: &JobChange| matches!(piece, JobChange::Rows(_) | JobChange::Gone(_));
        let more = news.last().is_some_and(is_part) && self.queue.iter().any(is_count);
        (news, more)
    }

    /// What it says about one job now.
    pub fn fresh(&self, truth: &Truth, id: &str) -> JobLookup {
        if self.is_down {
            return JobLookup::Unknown("down".to_owned());
        }
        match truth.rows.get(id) {
            Some(row) => JobLookup::Row(Box::new(row.clone())),
            None => JobLookup::Gone,
        }
    }

    fn push(&mut self, news: JobChange, random: &mut fastrand::Rng) {
        if random.u32(..8) == 0 {
            self.queue.push_back(news.clone());
        }
        self.queue.push_back(news);
    }
}

fn down() -> JobChange {
    JobChange::Down {
        why: "down".to_owned(),
    }
}
