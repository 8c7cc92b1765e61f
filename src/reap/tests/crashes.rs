//! Every state in which a crash can leave a quarantine.

use super::*;
use crate::ledger::{By, LineUnit, Mark};
use crate::reap::intents::{Intent, lain_name};

const RECORDED: bool = true;

/// Puts `path` where a crash would have left it: in the quarantine as `id`, with an intent, and perhaps a line.
fn crash(bench: &Bench, path: &str, (id, part): (u64, u32), recorded: bool) {
    let facts = bench.facts(path);
    let unit = if bench.path(path).is_dir() {
        LineUnit::Dir
    } else {
        LineUnit::File
    };
    let line = Line {
        id,
        at: clock::now().wall.plus_ms(100),
        root: "results".into(),
        path: bench.path(path).to_str().unwrap().into(),
        path_b64: None,
        unit,
        owner: None,
        rule: "old".into(),
        since: "newest".into(),
        basis: Timestamp::MIN,
        deadline: Timestamp::MIN,
        late_ms: 0,
        files: 1,
        bytes: 1,
        result: Mark::Removed,
        by: By::Rule,
    };
    let rel = RelPath::parse(path.as_bytes()).unwrap();
    let root = RootDir::open(&bench.place().path).unwrap();
    let intent = Intent::new(&root, &rel, part, &facts, true, line.clone());
    let mut bytes = std::fs::read(bench.base.join("state/intents")).unwrap_or_default();
    bytes.extend(serde_json::to_vec(&intent).unwrap());
    bytes.push(b'\n');
    std::fs::write(bench.base.join("state/intents"), bytes).unwrap();
    let quarantine = crate::fs::quarantine::open(&root).unwrap();
    let (parent, name) = rel.split().unwrap();
    let home = root.dir(&parent).unwrap();
    home.move_to(name, &quarantine, &lain_name(id, part))
        .unwrap();
    if recorded {
        let ledger = Ledger::open(&bench.base.join("ledger"), ledger::Options::default()).unwrap();
        ledger.append(&[line]).unwrap();
    }
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
    wait(|| bench.lain().is_empty());
    for name in ["sub/back", "unit-back/a/b", "part-back/x", "part-back/y"] {
        assert_eq!(bench.read(name), name);
    }
    assert!(!bench.path("sub/gone").exists() && !bench.path("unit-gone").exists());
    assert_eq!(bench.lines().len(), 2, "nothing is recorded twice");
    assert!(bench.ledger.as_ref().unwrap().next_id() > 15);
    wait(|| {
        std::fs::read(bench.base.join("state/intents"))
            .unwrap()
            .is_empty()
    });
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
    let intents = std::fs::read_to_string(bench.base.join("state/intents")).unwrap();
    let torn = &intents[..intents.len() - 20]; // the last line, of 14
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
        assert_eq!(bench.lain(), expected);
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
    wait(|| clock::now().wall > bench.lain_line_at().plus_ms(50));
    std::fs::write(bench.path(".lapsed/21/c/late"), "late").unwrap();
    bench.start();
    bench.settle();
    wait(|| bench.reaper.as_ref().unwrap().displaced() == 1);
    assert_eq!(bench.lain(), ["displaced-21-unit"]);
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
    assert_eq!(bench.lain(), [".lapsed"; 0]);
    std::fs::remove_dir_all(bench.path("")).unwrap();
    rustix::fs::rename(&away, bench.path("")).unwrap();
    bench.start();
    bench.settle();
    wait(|| bench.path("file").exists());
    assert_eq!(bench.lain(), Vec::<String>::new());
}

impl Bench {
    fn lain_line_at(&self) -> Timestamp {
        let ledger = Ledger::open(&self.base.join("ledger"), ledger::Options::default()).unwrap();
        ledger.last_at().unwrap()
    }
}
