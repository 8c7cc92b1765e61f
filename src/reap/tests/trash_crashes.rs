//! Every state in which a crash can leave a trash.

use std::collections::BTreeSet;

use super::crashes::{RECORDED, append_intents};
use super::trash::{LONG_MS, trashing};
use super::*;
use crate::core::policy::SkipOpen;
use crate::core::trash::{PurgeOutcome, TrashFilter};
use crate::ledger::{LineTrash, LineUnit, Mark};
use crate::reap::intent::{Fate, Intent, PartLine, QuarantineId};
use crate::reap::names::quarantine_name;
use crate::reap::trash::manifest::{Manifest, ManifestPart};
use crate::reap::trash::store::TrashDir;

/// Step after which the machine stopped while it moved a thing to the trash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Step {
    Intent,
    OutOfPlace,
    Manifest,
    Line,
    InTrash,
}

const STEPS: [Step; 5] = [
    Step::Intent,
    Step::OutOfPlace,
    Step::Manifest,
    Step::Line,
    Step::InTrash,
];

/// A thing at `path` of the root, and where a crash left it.
struct Crash<'b> {
    bench: &'b Bench,
    root: RootDir,
    quarantine: crate::fs::Dir,
}

impl<'b> Crash<'b> {
    fn of(bench: &'b Bench) -> Self {
        let root = RootDir::open(&bench.place().path).unwrap();
        let found = crate::fs::quarantine::find(&root).unwrap();
        let quarantine = found.unwrap_or_else(|| crate::fs::quarantine::make(&root).unwrap());
        Self {
            bench,
            root,
            quarantine,
        }
    }

    fn line(&self, id: u64, path: &str) -> Line {
        let at = clock::now().wall.plus_ms(100);
        let full = self.bench.path(path);
        Line {
            id,
            at,
            root: "results".into(),
            path: full.to_str().unwrap().into(),
            unit: if full.is_dir() {
                LineUnit::Dir
            } else {
                LineUnit::File
            },
            rule: "old".into(),
            since: "newest".into(),
            files: 1,
            bytes: 1,
            result: Mark::Trashed,
            trash: Some(LineTrash {
                id,
                until: at.plus_ms(LONG_MS),
                share: false,
            }),
            ..Line::default()
        }
    }

    fn intend(&self, fate: Fate, line: &Line, path: &str, facts: &Facts) {
        let rel = RelPath::parse(path.as_bytes()).unwrap();
        let intent = Intent {
            id: line.id,
            part: 0,
            root: self.root.path().as_os_str().as_encoded_bytes(),
            root_ino: self.root.key().ino,
            quarantine: Some(QuarantineId::of(&self.quarantine.facts().unwrap())),
            path: rel.as_bytes(),
            dir: facts.kind == Kind::Dir,
            key: facts.key,
            size: facts.size,
            mtime: facts.mtime,
            btime: facts.btime,
            skip_open: true,
            line: PartLine::of(line, "results"),
        };
        let mut bytes = Vec::new();
        fate.record(intent).encode(&mut bytes);
        append_intents(self.bench, &bytes);
    }

    fn record(&self, line: &Line) {
        let options = ledger::Options::default();
        let ledger = Ledger::open(&self.bench.base.join("ledger"), options).unwrap();
        ledger.append([line]).unwrap();
    }

    /// Carries the removal of `path` to the trash as far as `step`.
    fn trash(&self, id: u64, path: &str, step: Step) {
        let (line, facts) = (self.line(id, path), self.bench.facts(path));
        self.intend(Fate::Trash, &line, path, &facts);
        let rel = RelPath::parse(path.as_bytes()).unwrap();
        let (parent, name) = rel.split().unwrap();
        let quarantined = quarantine_name(id, 0);
        if step >= Step::OutOfPlace {
            let home = self.root.dir(&parent).unwrap();
            home.move_to(name, &self.quarantine, &quarantined).unwrap();
        }
        if step >= Step::Manifest {
            let dir = TrashDir::make(&self.quarantine).unwrap();
            let root = &self.bench.base.join("root");
            let mut manifest = Manifest::new(&line, root, Vec::new(), SkipOpen::Always);
            manifest.add(ManifestPart::new(0, &rel, &facts, (1, 1), Vec::new()));
            dir.write(&manifest).unwrap();
        }
        if step >= Step::Line {
            self.record(&line);
        }
        if step >= Step::InTrash {
            let dir = TrashDir::make(&self.quarantine).unwrap();
            let moved = self.quarantine.move_to(&quarantined, &dir, &quarantined);
            moved.unwrap();
        }
    }
}

#[test]
fn on_its_way_to_the_trash_a_thing_is_in_its_place_or_in_the_trash() {
    for step in STEPS {
        for unit in ["a/file", "unit"] {
            let mut bench = trashing(Bench::files(), LONG_MS);
            bench.write("a/file", "1");
            bench.write("unit/x/y", "1");
            Crash::of(&bench).trash(11, unit, step);
            for _ in 0..2 {
                bench.start();
                bench.settle();
                bench.wait_for_trash();
                let is_home = bench.path(unit).exists();
                assert_eq!(is_home, step < Step::Line, "{step:?}: {unit}");
                let expected: &[&str] = if is_home { &[] } else { &["11", "11.json"] };
                assert_eq!(bench.in_trash(), expected, "{step:?}: {unit}");
                let ids: &[u64] = if is_home { &[] } else { &[11] };
                assert_eq!(bench.trash_ids(), ids);
                wait(|| bench.intents().is_empty());
            }
            if step >= Step::Line {
                let restored = bench.restore(&[11], false).remove(0);
                assert!(restored.is_whole(), "{restored:?}");
            }
            let file = if unit == "unit" { "unit/x/y" } else { unit };
            assert_eq!(bench.read(file), "1");
            assert_eq!(bench.in_trash(), [""; 0]);
        }
    }
}

#[test]
fn what_was_recorded_and_has_no_manifest_is_displaced_and_not_deleted() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("file", "1");
    Crash::of(&bench).trash(11, "file", Step::Line);
    std::fs::remove_file(bench.path(".lapsed/trash/11.json")).unwrap();
    bench.start();
    bench.settle();
    bench.wait_for_trash();
    assert_eq!(bench.read(".lapsed/displaced-11-11"), "1");
    assert!(bench.trash_ids().is_empty());
}

/// Carries the deletion of the thing 11 in the trash as far as its move, and its line if it is to
/// be `recorded`.
fn crash_in_purge(bench: &Bench, recorded: bool) {
    let crash = Crash::of(bench);
    let dir = TrashDir::make(&crash.quarantine).unwrap();
    let name = quarantine_name(11, 0);
    let facts = dir.look(&name).unwrap().unwrap();
    let manifest = dir.read(11).ok().flatten().unwrap();
    let line = Line {
        id: 21,
        result: Mark::Purged,
        ..manifest.line.clone()
    };
    crash.intend(Fate::Deletion, &line, ".lapsed/trash/11", &facts);
    let out = quarantine_name(21, 0);
    dir.move_to(&name, &crash.quarantine, &out).unwrap();
    if recorded {
        crash.record(&line);
    }
}

#[test]
fn on_its_way_out_of_the_trash_a_thing_goes_back_or_is_deleted() {
    for recorded in [RECORDED, !RECORDED] {
        for unit in ["file", "unit"] {
            let mut bench = trashing(Bench::files(), LONG_MS);
            bench.write("file", "1");
            bench.write("unit/x/y", "1");
            Crash::of(&bench).trash(11, unit, Step::InTrash);
            bench.start();
            bench.wait_for_trash();
            bench.reaper = None;
            bench.ledger = None;
            crash_in_purge(&bench, recorded);
            for _ in 0..2 {
                bench.start();
                bench.settle();
                bench.wait_for_trash();
                wait(|| bench.intents().is_empty());
                assert_eq!(bench.quarantined(), ["trash"]);
                let expected: &[&str] = if recorded { &[] } else { &["11", "11.json"] };
                assert_eq!(bench.in_trash(), expected, "{unit}");
            }
            if !recorded {
                assert!(bench.restore(&[11], false).remove(0).is_whole());
                assert!(bench.path(unit).exists());
            }
        }
    }
}

#[test]
fn what_came_into_a_directory_of_the_trash_outlives_a_deletion_that_was_cut_off() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    bench.write("unit/x/y", "1");
    Crash::of(&bench).trash(11, "unit", Step::InTrash);
    bench.start();
    bench.wait_for_trash();
    bench.reaper = None;
    bench.ledger = None;
    wait(|| clock::now().wall > bench.clock_of_trash().plus_ms(50));
    std::fs::write(bench.path(".lapsed/trash/11/late"), "late").unwrap();
    crash_in_purge(&bench, RECORDED);
    bench.start();
    bench.settle();
    let kept = ".lapsed/displaced-21-11/late";
    wait(|| bench.path(kept).exists());
    assert_eq!(bench.read(kept), "late");
}

impl Bench {
    fn clock_of_trash(&self) -> Timestamp {
        let things = self.world.trash.list(&TrashFilter::default(), None, 1);
        things[0].1.at
    }
}

#[test]
fn a_restoration_that_was_cut_off_is_pinned_and_recorded_and_goes_on() {
    // Parts that were moved: none, one, both.
    for moved in 0..=2 {
        let mut bench = trashing(Bench::dirs(), LONG_MS);
        bench.policy.rules[0].keep = Some(globs(&["**/*.log"]));
        for name in ["unit/keep.log", "unit/a", "unit/b"] {
            bench.write(name, name);
        }
        let outcome = bench.reap_one(Unit::Dir, "unit");
        let id = removed(&outcome).id;
        bench.wait_for_trash();
        bench.reaper = None;
        bench.ledger = None;
        // As a restoration without a daemon that was killed.
        let note = bench.note(id);
        std::fs::write(
            bench.path(&format!(".lapsed/trash/{id}.restored.json")),
            note,
        )
        .unwrap();
        for (number, name) in [(0, "unit/a"), (1, "unit/b")].iter().take(moved) {
            let thing = String::from_utf8(quarantine_name(id, *number).to_vec()).unwrap();
            bench.rename(&format!(".lapsed/trash/{thing}"), name);
        }
        for _ in 0..2 {
            bench.start();
            bench.settle();
            bench.wait_for_trash();
            let lines = bench.lines();
            let restored = lines.iter().filter(|line| line.result == Mark::Restored);
            assert_eq!(restored.map(|line| line.files).sum::<u64>(), moved as u64);
            assert_eq!(bench.trash_ids().len(), usize::from(moved < 2));
            let pins = bench.world.ordered_pins.lock();
            assert_eq!(pins.len(), usize::from(moved > 0), "{moved}");
            assert_eq!(
                bench.in_trash().len(),
                if moved < 2 { 3 - moved } else { 0 }
            );
        }
        if moved < 2 {
            let rest = bench.restore(&[id], false).remove(0);
            assert_eq!(rest.restored.len(), 2 - moved);
        }
        assert_eq!(
            (bench.read("unit/a"), bench.read("unit/b")),
            ("unit/a".into(), "unit/b".into())
        );
        assert_eq!(bench.in_trash(), [""; 0]);
    }
}

impl Bench {
    /// The note of a restoration of the whole thing `id`.
    fn note(&self, id: u64) -> Vec<u8> {
        use crate::reap::trash::restore::{Order, Restorer};
        let crash = Crash::of(self);
        let dir = TrashDir::make(&crash.quarantine).unwrap();
        let at = clock::now().wall;
        let order = Order {
            beside: false,
            by: crate::core::principal::Principal::Rule,
            at,
            until: at.plus_ms(LONG_MS),
        };
        let restorer = Restorer::new(&crash.root, &dir, &order);
        let plan = restorer.plan(id).unwrap();
        serde_json::to_vec(&plan.note).unwrap()
    }
}

#[test]
fn purges_and_restorations_at_once_lose_nothing() {
    let mut bench = trashing(Bench::files(), LONG_MS);
    let names: Vec<String> = (0..40).map(|at| format!("dir/{at}")).collect();
    for name in &names {
        bench.write(name, name);
    }
    let claims: Vec<Claim> = names
        .iter()
        .map(|name| bench.claim(Unit::File, name))
        .collect();
    bench.reap(&claims);
    bench.wait_for_trash();
    let ids = bench.trash_ids();
    let reaper = bench.reaper.as_ref().unwrap();
    let (purged, restored) = std::thread::scope(|scope| {
        let by = crate::core::principal::Principal::Rule;
        let filter = TrashFilter::default();
        let policy = &bench.policy;
        let purge = scope.spawn(move || reaper.empty_trash(policy, &filter, &by));
        let order = crate::core::trash::RestoreOrder {
            ids: ids.iter().copied().collect(),
            ..Default::default()
        };
        let restore = scope.spawn(move || reaper.restore(&order));
        (purge.join().unwrap(), restore.join().unwrap())
    });
    let restored = restored.unwrap_or_default();
    let back: usize = restored.iter().map(|one| one.restored.len()).sum();
    let there = names
        .iter()
        .filter(|name| bench.path(name).exists())
        .count();
    let lines = bench.lines();
    let purged_files: u64 = lines
        .iter()
        .filter(|line| line.result == Mark::Purged)
        .map(|line| line.files)
        .sum();
    assert_eq!(there, back);
    assert_eq!(there as u64 + purged_files, 40);
    let told = purged.iter().map(|one| match one.outcome {
        PurgeOutcome::Gone { files, .. } => files,
        PurgeOutcome::Displaced | PurgeOutcome::Held(_) => 0,
    });
    assert_eq!(told.sum::<u64>(), purged_files);
    assert_eq!(bench.in_trash(), [""; 0]);
}

#[test]
fn without_a_daemon_things_come_back_once_the_root_is_free() {
    use crate::core::trash::RestoreOrder;
    use crate::reap::{OfflineError, OfflineTrash};
    let mut bench = trashing(Bench::files(), LONG_MS);
    for name in ["one", "two", "three"] {
        bench.write(name, name);
    }
    let claims = ["one", "two", "three"].map(|name| bench.claim(Unit::File, name));
    let ids: Vec<u64> = bench
        .reap(&claims)
        .iter()
        .map(|one| removed(one).id)
        .collect();
    let path = bench.base.join("root");
    let order = RestoreOrder {
        ids: BTreeSet::from([ids[0]]),
        ..RestoreOrder::default()
    };
    let refused = OfflineTrash::open(&path).unwrap_err();
    let me = std::process::id();
    assert!(matches!(refused, OfflineError::InUse { pid: Some(pid), .. } if pid == me));
    let all = TrashFilter::default();
    let offline = OfflineTrash::open_to_read(&path).unwrap();
    assert_eq!(offline.page(&all, None, 2).unwrap().items.len(), 2);
    assert_eq!(offline.page(&all, Some(ids[1]), 9).unwrap().items.len(), 1);
    bench.reaper = None;
    bench.ledger = None;
    let offline = OfflineTrash::open(&path).unwrap();
    let restored = offline.restore(&order).unwrap().remove(0);
    assert_eq!(restored.restored, [bench.path("one")]);
    assert!(offline.restore(&order).is_err(), "it is not there any more");
    let two = TrashFilter {
        path: Some(bench.path("two")),
        ..all
    };
    assert_eq!(offline.end_windows(&two).unwrap(), 1);
    drop(offline);
    bench.start();
    bench.wait_for_trash();
    assert_eq!(bench.lines().pop().unwrap().result, Mark::Restored);
    let pins = bench.world.ordered_pins.lock().clone();
    assert_eq!(pins.len(), 1);
    assert_eq!(bench.trash_ids(), [ids[1], ids[2]]);
    let done = bench.purge(&ids[1..], false);
    assert!(
        matches!(done[0].outcome, PurgeOutcome::Gone { .. }),
        "its window was ended"
    );
    assert!(matches!(done[1].outcome, PurgeOutcome::Held(_)));
}
