//! A source of jobs, what is known of them, and what they own.

use std::collections::BTreeSet;

use super::*;
use crate::core::jobs::{Job, JobKey, JobLookup, JobRow, JobTimestamps, Owner, SourceId, Status};
use crate::core::pauses::Pauses;
use crate::core::pins::{Pin, Pins};
use crate::core::policy::{JobFilter, Source};
use crate::core::trash::{Trash, TrashNews};
use crate::reap::PinOrder;

pub(super) const UPLOADS: RootId = RootId(4);
pub(super) const SOURCE: SourceId = SourceId(5);

/// Default end of jobs: long ago.
pub(super) const ENDED: Timestamp = Timestamp::from_unix_ms(1_600_000_000_000);

/// Called when somebody asks whose a path is.
pub(super) type Asked = Arc<dyn Fn(&Policy, RootId, &[u8]) + Send + Sync>;

type Jobs = BTreeMap<String, JobRow>;

#[derive(Default)]
pub(super) struct World {
    /// Rows of the source.
    pub(super) source: Mutex<Jobs>,
    /// Known rows.
    known: Mutex<Jobs>,
    /// Reason for which the source cannot be asked.
    pub(super) down: Mutex<Option<String>>,
    owned: Mutex<Vec<(RootId, RelPath, String)>>,
    /// Rows that disagreed.
    pub(super) disagreed: Mutex<Vec<(String, JobLookup)>>,
    /// Jobs whose rows were read.
    pub(super) read: Mutex<Vec<String>>,
    pub(super) pins: Arc<Pins>,
    pub(super) pauses: Arc<Pauses>,
    pub(super) trash: Arc<Trash>,
    pub(super) trash_news: Mutex<Vec<TrashNews>>,
    /// Pins that were ordered for what came back.
    pub(super) ordered_pins: Mutex<Vec<PinOrder>>,
    /// The ids of what was to be recorded, with the job and what becomes of its record.
    pub(super) noted: Mutex<Vec<(u64, String, &'static str)>>,
    pub(super) struck: Mutex<Vec<u64>>,
    /// The ids of what is gone, with how many quarantines it went through.
    pub(super) finished: Mutex<Vec<(u64, usize)>>,
    /// Reason for which nothing can be noted.
    pub(super) refuses: Mutex<Option<String>>,
    /// A file to read when something is noted, and what was in it.
    pub(super) copies: Mutex<Option<PathBuf>>,
    pub(super) copied: Mutex<Vec<u8>>,
}

pub(super) fn key(id: &str) -> JobKey {
    let id = id.to_owned();
    JobKey { source: SOURCE, id }
}

pub(super) fn row(id: &str, status: Status) -> JobRow {
    JobRow {
        moments: JobTimestamps {
            completed_at: status.is_over().then_some(ENDED),
            ..JobTimestamps::default()
        },
        ..JobRow::new(id, status)
    }
}

impl World {
    /// Has a job that the source tells of, and that is known.
    pub(super) fn has(&self, row: JobRow) {
        self.source.lock().insert(row.id.clone(), row.clone());
        self.known.lock().insert(row.id.clone(), row);
    }

    /// Has the source say otherwise than is known.
    pub(super) fn becomes(&self, row: JobRow) {
        self.source.lock().insert(row.id.clone(), row);
    }

    /// Gives `path`, with all below it, to `job`, which need not exist.
    pub(super) fn gives(&self, root: RootId, path: &str, job: &str) {
        let path = RelPath::parse(path.as_bytes()).unwrap();
        self.owned.lock().push((root, path, job.to_owned()));
    }

    pub(super) fn owner(&self, root: RootId, path: &[u8]) -> Owner {
        let path = RelPath::parse(path).unwrap();
        let owned = self.owned.lock();
        let named: BTreeSet<&String> = owned
            .iter()
            .filter(|(of, above, _)| *of == root && path.is_within(above))
            .map(|(_, _, job)| job)
            .collect();
        let known = self.known.lock();
        let jobs: Vec<Job> = named
            .iter()
            .filter_map(|id| known.get(*id))
            .map(|row| Job {
                key: key(&row.id),
                kind: row.kind.as_deref().map(Arc::from),
                status: row.status,
                moments: row.moments,
                unreadable: row.unreadable.is_some(),
            })
            .collect();
        match (jobs.is_empty(), named.first()) {
            (false, _) => Owner::Jobs(jobs),
            (true, None) => Owner::Nobody,
            (true, Some(id)) => Owner::Unknown {
                source: SOURCE,
                captured: Some((*id).clone()),
            },
        }
    }

    fn fresh(&self, key: &JobKey) -> JobLookup {
        self.read.lock().push(key.id.clone());
        if let Some(why) = &*self.down.lock() {
            return JobLookup::Unknown(why.clone());
        }
        let row = self.source.lock().get(&key.id).cloned();
        row.map_or(JobLookup::Gone, |row| JobLookup::Row(Box::new(row)))
    }

    fn agrees(&self, key: &JobKey, fresh: &JobLookup) -> bool {
        match (self.known.lock().get(&key.id), fresh) {
            (None, JobLookup::Gone) => true,
            (Some(known), JobLookup::Row(row)) => known.decides_as(row),
            (_, JobLookup::Row(_) | JobLookup::Gone | JobLookup::Unknown(_)) => false,
        }
    }

    fn pin(&self, order: &PinOrder) -> Result<(), String> {
        if let Some(why) = &*self.refuses.lock() {
            return Err(why.clone());
        }
        let first = self.pins.count(Timestamp::MIN) as u64 + 1;
        for (id, target) in (first..).zip(&order.targets) {
            self.pins.set(Pin {
                id,
                target: target.clone(),
                who: "undo".to_owned(),
                why: "brought back".to_owned(),
                set_at: clock::now().wall,
                until: order.until,
            });
        }
        self.ordered_pins.lock().push(order.clone());
        Ok(())
    }

    pub(super) fn hooks(
        self: &Arc<Self>,
        reaped: impl Fn(Vec<Reaped>) + Send + Sync + 'static,
        asked: Asked,
    ) -> Hooks {
        let world = || Arc::clone(self);
        let (owns, says, knows, hears) = (world(), world(), world(), world());
        let (notes, ends, strikes) = (world(), world(), world());
        let (hears_of_trash, pinned) = (world(), world());
        Hooks {
            reaped: Arc::new(reaped),
            recovered: Arc::new(|_, _| {}),
            before_move: Arc::new(|_, _| {}),
            put_back: Arc::new(|_, _| {}),
            owner: Arc::new(move |policy, root, path| {
                asked(policy, root, path);
                owns.owner(root, path)
            }),
            refused: Arc::new(|_, _, _, _| None),
            linked: Arc::new(|_, _| None),
            pins: Arc::clone(&self.pins),
            pauses: Arc::clone(&self.pauses),
            trash: Arc::clone(&self.trash),
            trash_news: Arc::new(move |news| hears_of_trash.trash_news.lock().push(news)),
            pin: Arc::new(move |order| pinned.pin(order)),
            fresh: Arc::new(move |key| says.fresh(key)),
            agrees: Arc::new(move |key, fresh| knows.agrees(key, fresh)),
            disagrees: Arc::new(move |key, fresh| {
                hears.disagreed.lock().push((key.id.clone(), fresh));
            }),
            before_record: Arc::new(move |all| {
                if let Some(file) = &*notes.copies.lock() {
                    *notes.copied.lock() = std::fs::read(file).unwrap();
                }
                if let Some(why) = &*notes.refuses.lock() {
                    return Err(why.clone());
                }
                let all = all.iter();
                let all = all.map(|one| (one.line.id, one.job.id.clone(), one.record.as_str()));
                notes.noted.lock().extend(all);
                Ok(())
            }),
            finished: Arc::new(move |id, dirs| ends.finished.lock().push((id, dirs.len()))),
            not_recorded: Arc::new(move |ids| strikes.struck.lock().extend(ids)),
        }
    }
}

/// The rule for all that jobs which have ended own.
pub(super) fn job_rule() -> Rule {
    Rule {
        jobs: JobFilter::Standing(vec![Status::Completed, Status::Failed]),
        ..rule(Unit::Job, Since::CompletedAt, 0)
    }
}

impl Bench {
    /// Two roots, one source, and the rule for what its jobs own.
    pub(super) fn jobs(rules: Vec<Rule>) -> Self {
        let mut bench = Self::new(rules);
        std::fs::create_dir(bench.base.join("uploads")).unwrap();
        let uploads = Root {
            name: "uploads".into(),
            path: bench.base.join("uploads"),
            owner: None,
            limit: None,
            prune_empty_dirs: false,
            alert: crate::core::policy::Alert::default(),
            optional: false,
            source: Some(SOURCE),
            orphans: None,
            only: None,
            nested: Vec::new(),
        };
        bench.policy.roots.insert(UPLOADS, uploads);
        bench.policy.roots.get_mut(&ROOT).unwrap().source = Some(SOURCE);
        let source = Source {
            name: "app".into(),
            id_pattern: None,
            files_root: None,
            base_dir: bench.base.clone(),
            path_map: Vec::new(),
            links: Vec::new(),
            derived: Vec::new(),
            claims: true,
            required: true,
            is_listed: true,
            same_rows: Vec::new(),
            is_told: false,
        };
        bench.policy.sources.insert(SOURCE, source);
        bench
    }

    pub(super) fn facts_in(&self, root: RootId, path: &str) -> Facts {
        let dir = if root == UPLOADS { "uploads" } else { "root" };
        let root = RootDir::open(&self.base.join(dir)).unwrap();
        let path = RelPath::parse(path.as_bytes()).unwrap();
        let (parent, name) = path.split().unwrap();
        root.dir(&parent).unwrap().look(name).unwrap().unwrap()
    }

    pub(super) fn piece(&self, root: RootId, path: &str) -> Piece {
        let facts = self.facts_in(root, path);
        Piece {
            root,
            path: RelPath::parse(path.as_bytes()).unwrap(),
            key: facts.key,
            is_dir: facts.kind == Kind::Dir,
        }
    }

    /// The claim of all that `job` owns, which are these pieces, by the last rule.
    pub(super) fn job_claim(&self, job: &str, pieces: &[(RootId, &str)]) -> Claim {
        let all = pieces.iter().map(|(root, path)| self.piece(*root, path));
        let pieces: Vec<Piece> = all.collect();
        let first = pieces.first();
        Claim {
            root: first.map_or(ROOT, |piece| piece.root),
            path: first.map(|piece| piece.path.clone()).unwrap_or_default(),
            owners: vec![key(job)],
            unit: Unit::Job,
            key: first.map(|piece| piece.key).unwrap_or_default(),
            pieces,
            rule: RuleId(u16::try_from(self.policy.rules.len() - 1).unwrap()),
            known: ENDED,
            retention_ms: None,
            limit: None,
            newer: Vec::new(),
            due: clock::now().wall,
            actor: Actor::default(),
        }
    }

    pub(super) fn reap_job(&mut self, job: &str, pieces: &[(RootId, &str)]) -> Outcome {
        let claim = self.job_claim(job, pieces);
        self.reap(&[claim]).remove(0)
    }

    /// Checks that nothing is in the quarantines, the intents and the ledger.
    #[track_caller]
    pub(super) fn assert_untouched(&self) {
        assert_eq!(self.quarantined(), Vec::<String>::new());
        assert_eq!(self.lines(), []);
        self.assert_no_intents();
    }

    #[track_caller]
    pub(super) fn assert_no_intents(&self) {
        let intents = std::fs::read(self.base.join("state/intents")).unwrap();
        assert_eq!(String::from_utf8_lossy(&intents), "");
    }
}

/// Returns the hold that the source causes.
#[track_caller]
pub(super) fn held_by_source(outcome: &Outcome) -> &str {
    match held(outcome) {
        Hold::SourceDown { source, why } if source == "app" => why,
        other => panic!("not held by its source: {other:?}"),
    }
}
