//! Every state in which a crash can leave a quarantine.

use super::*;
use crate::core::jobs::Status;
use crate::core::policy::Record as JobRecord;
use crate::ledger::{LineUnit, Mark};
use crate::reap::intent::{Intent, PartLine, QuarantineId, Record};
use crate::reap::names::quarantine_name;

pub(super) const RECORDED: bool = true;

/// Puts `path` where a crash would have left it: in the quarantine as `id`, with an intent, and
/// perhaps a line.
fn crash(bench: &Bench, path: &str, number: (u64, u32), recorded: bool) {
    crash_with(bench, path, number, recorded, intend);
}

pub(super) type Intend = fn(&Bench, &str, &str, u32, &Line);

pub(super) fn crash_with(
    bench: &Bench,
    path: &str,
    number: (u64, u32),
    recorded: bool,
    intend: Intend,
) {
    let unit = if bench.path(path).is_dir() {
        LineUnit::Dir
    } else {
        LineUnit::File
    };
    let line = line(number.0, bench.path(path).to_str().unwrap(), unit);
    intend(bench, "root", path, number.1, &line);
    take_out(bench, "root", path, number);
    if recorded {
        record(bench, &line);
    }
}

fn line(id: u64, path: &str, unit: LineUnit) -> Line {
    Line {
        id,
        at: clock::now().wall.plus_ms(100),
        root: "results".into(),
        path: path.into(),
        unit,
        rule: "old".into(),
        since: "newest".into(),
        basis: Timestamp::MIN,
        deadline: Timestamp::MIN,
        files: 1,
        bytes: 1,
        ..Line::default()
    }
}

fn quarantine(root: &RootDir) -> crate::fs::Dir {
    match crate::fs::quarantine::find(root).unwrap() {
        Some(quarantine) => quarantine,
        None => crate::fs::quarantine::make(root).unwrap(),
    }
}

/// Writes the intent of a part, which stands in its place still.
pub(super) fn intend(bench: &Bench, dir: &str, path: &str, part: u32, line: &Line) {
    append_intents(bench, &record_of(bench, dir, path, part, line));
}

/// The record of that intent.
fn record_of(bench: &Bench, dir: &str, path: &str, part: u32, line: &Line) -> Vec<u8> {
    let rel = RelPath::parse(path.as_bytes()).unwrap();
    let root = RootDir::open(&bench.place_of(dir).path).unwrap();
    let (parent, name) = rel.split().unwrap();
    let facts = root.dir(&parent).unwrap().look(name).unwrap().unwrap();
    let name = if dir == "root" { "results" } else { dir };
    let intent = Intent {
        id: line.id,
        part,
        root: root.path().as_os_str().as_encoded_bytes(),
        root_ino: root.key().ino,
        quarantine: Some(QuarantineId::of(&quarantine(&root).facts().unwrap())),
        path: rel.as_bytes(),
        dir: facts.kind == Kind::Dir,
        key: facts.key,
        size: facts.size,
        mtime: facts.mtime,
        btime: facts.btime,
        skip_open: true,
        line: PartLine::of(line, name),
    };
    let mut bytes = Vec::new();
    Record::Intent(intent).encode(&mut bytes);
    bytes
}

pub(super) fn append_intents(bench: &Bench, more: &[u8]) {
    let file = bench.base.join("state/intents");
    let mut bytes = std::fs::read(&file).unwrap_or_default();
    bytes.extend(more);
    std::fs::write(&file, bytes).unwrap();
}

fn take_out(bench: &Bench, dir: &str, path: &str, (id, part): (u64, u32)) {
    let rel = RelPath::parse(path.as_bytes()).unwrap();
    let root = RootDir::open(&bench.place_of(dir).path).unwrap();
    let quarantine = quarantine(&root);
    let (parent, name) = rel.split().unwrap();
    let home = root.dir(&parent).unwrap();
    home.move_to(name, &quarantine, &quarantine_name(id, part))
        .unwrap();
}

fn record(bench: &Bench, line: &Line) {
    let ledger = Ledger::open(&bench.base.join("ledger"), ledger::Options::default()).unwrap();
    ledger.append([line]).unwrap();
}

#[test]
fn before_the_line_it_comes_back_and_after_it_it_goes() {
    let mut bench = Bench::files();
    for name in [
        "sub/back",
        "sub/gone",
        "unit-back/a/b",
        "unit-gone/a/b",
        "part-back/x",
        "part-back/y",
    ] {
        bench.write(name, name);
    }
    crash(&bench, "sub/back", (11, 0), !RECORDED);
    crash(&bench, "sub/gone", (12, 0), RECORDED);
    crash(&bench, "unit-back", (13, 0), !RECORDED);
    crash(&bench, "unit-gone", (14, 0), RECORDED);
    crash(&bench, "part-back/x", (15, 0), !RECORDED);
    crash(&bench, "part-back/y", (15, 1), !RECORDED);
    bench.start();
    bench.settle();
    wait(|| bench.quarantined().is_empty());
    for name in ["sub/back", "unit-back/a/b", "part-back/x", "part-back/y"] {
        assert_eq!(bench.read(name), name);
    }
    assert!(!bench.path("sub/gone").exists() && !bench.path("unit-gone").exists());
    assert_eq!(bench.lines().len(), 2, "nothing is recorded twice");
    assert!(bench.ledger.as_ref().unwrap().next_id() > 15);
    wait(|| bench.intents().is_empty());
    // Once more: nothing to do.
    bench.start();
    bench.settle();
    assert_eq!(bench.read("sub/back"), "sub/back");
}

#[test]
fn what_cannot_go_back_or_is_not_known_is_displaced_and_kept() {
    let mut bench = Bench::files();
    for name in ["taken", "sub/orphaned", "changed", "unknown"] {
        bench.write(name, name);
    }
    crash(&bench, "taken", (11, 0), !RECORDED);
    crash(&bench, "sub/orphaned", (12, 0), !RECORDED);
    crash(&bench, "changed", (13, 0), RECORDED);
    crash(&bench, "unknown", (14, 0), RECORDED);
    bench.write("taken", "somebody else's");
    std::fs::remove_dir(bench.path("sub")).unwrap();
    std::fs::write(bench.path(".lapsed/13"), "written to after the crash").unwrap();
    let intents = bench.intents();
    let torn = &intents[..intents.len() - 20]; // the last record, of 14
    std::fs::write(bench.base.join("state/intents"), torn).unwrap();
    for _ in 0..2 {
        bench.start();
        bench.settle();
        let expected = [
            "displaced-11-taken",
            "displaced-12-orphaned",
            "displaced-13-13",
            "displaced-14-14",
        ];
        assert_eq!(bench.quarantined(), expected);
        assert_eq!(bench.reaper.as_ref().unwrap().displaced(), 4);
    }
    assert_eq!(bench.read("taken"), "somebody else's");
    let kept = |name: &str| bench.read(&format!(".lapsed/displaced-{name}"));
    assert_eq!(kept("11-taken") + &kept("12-orphaned"), "takensub/orphaned");
    assert_eq!(kept("13-13"), "written to after the crash");
}

#[test]
fn a_unit_cut_off_in_its_removal_is_finished_but_for_what_came_later() {
    let mut bench = Bench::files();
    bench.write("unit/a/b", "1");
    bench.write("unit/c/d", "1");
    crash(&bench, "unit", (21, 0), RECORDED);
    wait(|| clock::now().wall > bench.line_time_of().plus_ms(50));
    std::fs::write(bench.path(".lapsed/21/c/late"), "late").unwrap();
    bench.start();
    bench.settle();
    wait(|| bench.reaper.as_ref().unwrap().displaced() == 1);
    assert_eq!(bench.quarantined(), ["displaced-21-unit"]);
    assert_eq!(bench.read(".lapsed/displaced-21-unit/c/late"), "late");
    assert!(!bench.path(".lapsed/displaced-21-unit/c/d").exists());
}

#[test]
fn intents_of_a_root_that_is_not_there_wait_for_it() {
    let mut bench = Bench::files();
    bench.write("file", "1");
    crash(&bench, "file", (11, 0), !RECORDED);
    let away = bench.base.join("away");
    rustix::fs::rename(bench.path(""), &away).unwrap();
    std::fs::create_dir(bench.path("")).unwrap();
    bench.start();
    bench.settle(); // an empty mount point
    bench.reaper.as_ref().unwrap().set_place(ROOT, None);
    bench.reaper = None;
    assert_eq!(bench.quarantined(), [".lapsed"; 0]);
    std::fs::remove_dir_all(bench.path("")).unwrap();
    rustix::fs::rename(&away, bench.path("")).unwrap();
    bench.start();
    bench.settle();
    wait(|| bench.path("file").exists());
    assert_eq!(bench.quarantined(), Vec::<String>::new());
}

/// The parts of a job in two roots: where, and a file of it.
const PARTS: [(&str, &str, &str); 4] = [
    ("root", "out/j1", "a/b"),
    ("root", "out/single", ""),
    ("uploads", "in.tif", ""),
    ("uploads", "deep/er/dir", "x"),
];

/// A job of which the intents were written and the first `moved` parts were moved, when the machine
/// stopped.
fn crash_in_a_job(moved: usize, recorded: bool) -> Bench {
    let bench = Bench::jobs(vec![world::job_rule()]);
    let file = |dir: &str, path: &str, below: &str| {
        let path = format!("../{dir}/{path}/{below}");
        path.trim_end_matches('/').to_owned()
    };
    for (dir, path, below) in PARTS {
        bench.write(&file(dir, path, below), path);
    }
    let line = line(31, "/of/the/job", LineUnit::Job);
    for (number, (dir, path, _)) in (0..).zip(PARTS) {
        intend(&bench, dir, path, number, &line);
    }
    for (number, (dir, path, _)) in (0..).zip(&PARTS[..moved]) {
        take_out(&bench, dir, path, (31, number));
    }
    if recorded {
        record(&bench, &line);
    }
    bench
}

impl Bench {
    fn parts_there(&self) -> [bool; 4] {
        PARTS.map(|(dir, path, below)| {
            let path = self.base.join(dir).join(path);
            let file = if below.is_empty() {
                path
            } else {
                path.join(below)
            };
            file.exists()
        })
    }

    fn wait_for_recovery(&self) {
        wait(|| self.quarantined().is_empty());
        wait(|| self.intents().is_empty());
    }

    pub(super) fn intents(&self) -> Vec<u8> {
        std::fs::read(self.base.join("state/intents")).unwrap()
    }
}

#[test]
fn a_job_that_was_cut_off_at_any_step_is_there_or_gone_as_a_whole() {
    for moved in 0..=PARTS.len() {
        let mut bench = crash_in_a_job(moved, !RECORDED);
        bench.start();
        bench.wait_for_recovery();
        assert_eq!(bench.parts_there(), [true; 4], "{moved} were moved");
        assert_eq!(bench.lines(), []);
    }
    for swept in 0..=PARTS.len() {
        let mut bench = crash_in_a_job(PARTS.len(), RECORDED);
        for (number, (dir, ..)) in (0..).zip(&PARTS[..swept]) {
            let name = String::from_utf8(quarantine_name(31, number).to_vec()).unwrap();
            let quarantined = bench.base.join(dir).join(".lapsed").join(name);
            let _ = std::fs::remove_dir_all(&quarantined);
            let _ = std::fs::remove_file(&quarantined);
        }
        bench.start();
        bench.wait_for_recovery();
        assert_eq!(bench.parts_there(), [false; 4], "{swept} were swept");
        assert_eq!(bench.lines().len(), 1, "nothing is recorded twice");
    }
}

#[test]
fn the_parts_of_a_job_that_lie_in_one_quarantine_are_finished_together() {
    const FILES: u32 = 3000;
    let mut bench = Bench::jobs(vec![world::job_rule()]);
    let line = line(41, "/of/the/job", LineUnit::Job);
    let mut bytes = Vec::new();
    for part in 0..FILES {
        let name = format!("j_{part}");
        bench.write(&name, &name);
        bytes.extend(record_of(&bench, "root", &name, part, &line));
        take_out(&bench, "root", &name, (41, part));
    }
    append_intents(&bench, &bytes);
    record(&bench, &line);
    // Somebody wrote into one of them: it is another file than the one that was recorded.
    std::fs::write(bench.path(".lapsed/41.2999"), "changed").unwrap();
    bench.start();
    wait(|| bench.quarantined() == ["displaced-41.2999-41.2999"]);
    wait(|| bench.lines().len() == 2);
}

#[test]
fn a_part_of_a_job_in_a_root_that_is_away_waits_for_that_root() {
    for recorded in [RECORDED, !RECORDED] {
        let mut bench = crash_in_a_job(PARTS.len(), recorded);
        let (here, away) = (bench.base.join("uploads"), bench.base.join("away"));
        rustix::fs::rename(&here, &away).unwrap();
        bench.start();
        wait(|| bench.quarantined().is_empty());
        bench.policy = Policy::default();
        bench.settle();
        wait(|| {
            let (intents, away) = (bench.intents(), b"deep/er/dir");
            recorded == RECORDED || intents.windows(away.len()).any(|part| part == away)
        });
        let there = recorded != RECORDED;
        assert_eq!(bench.parts_there(), [there, there, false, false]);
        assert_eq!(std::fs::read_dir(away.join(".lapsed")).unwrap().count(), 2);
        rustix::fs::rename(&away, &here).unwrap();
        // To the same reaper, and to the next.
        if there {
            let place = bench.place_of("uploads");
            let reaper = bench.reaper.as_ref().unwrap();
            reaper.set_place(world::UPLOADS, Some(place));
        } else {
            bench.start();
        }
        bench.wait_for_recovery();
        assert_eq!(bench.parts_there(), [there; 4]);
    }
}

#[test]
fn the_intents_of_a_job_lead_each_part_home_or_tell_where_it_was() {
    let mut bench = crash_in_a_job(0, !RECORDED);
    bench.policy.rules[0].record = JobRecord::Mark;
    bench.world.has(world::row("j1", Status::Completed));
    for (dir, path, _) in PARTS {
        let root = if dir == "root" { ROOT } else { world::UPLOADS };
        bench.world.gives(root, path, "j1");
    }
    let pieces = PARTS.map(|(dir, path, _)| {
        let root = if dir == "root" { ROOT } else { world::UPLOADS };
        (root, path)
    });
    std::fs::remove_file(bench.base.join("state/intents")).unwrap();
    // Everything is out of its place when it is to be recorded: the machine stops there.
    *bench.world.copies.lock() = Some(bench.base.join("state/intents"));
    *bench.world.refuses.lock() = Some("no room".to_owned());
    held(&bench.reap_job("j1", &pieces));
    bench.assert_untouched();
    bench.reaper = None;
    bench.ledger = None;
    let intents = bench.world.copied.lock().clone();
    let Some((Record::Intent(Intent { id, .. }), _)) = Record::decode(&intents) else {
        panic!("no intent");
    };
    std::fs::write(bench.base.join("state/intents"), &intents).unwrap();
    for (number, (dir, path, _)) in (0..).zip(PARTS) {
        take_out(&bench, dir, path, (id, number));
    }
    bench.write("../uploads/in.tif", "somebody else's");
    bench.start();
    let aside = format!("displaced-{id}.2-in.tif");
    wait(|| bench.quarantined() == [aside.clone()]);
    wait(|| bench.lines().len() == 1);
    assert_eq!(bench.read("../uploads/in.tif"), "somebody else's");
    assert_eq!(bench.parts_there(), [true; 4]);
    let line = bench.lines().remove(0);
    assert_eq!((line.result, &*line.root), (Mark::Displaced, "uploads"));
    let upload = bench.base.join("uploads/in.tif");
    assert_eq!(line.path, upload.to_str().unwrap());
    assert_eq!((line.owner.as_deref(), line.job), (Some("j1"), None));
}

impl Bench {
    fn line_time_of(&self) -> Timestamp {
        let ledger = Ledger::open(&self.base.join("ledger"), ledger::Options::default()).unwrap();
        ledger.last_at().unwrap()
    }
}
