//! The ends of undo windows, and the records that wait for them.

use std::time::Duration;

use super::trash::{LONG_MS, SHORT_MS, trashing};
use super::*;
use crate::core::jobs::Status;
use crate::core::pins::PinTarget;
use crate::core::policy::Record as JobRecord;
use crate::core::principal::Principal;
use crate::core::trash::{PurgeOutcome, TrashFilter};
use crate::ledger::Mark;

#[test]
fn nothing_is_deleted_before_its_window_ends_and_all_of_it_after() {
    let mut bench = trashing(Bench::dirs(), LONG_MS);
    bench.write("unit/a/file", "12345");
    bench.write("unit/other", "123");
    let outcome = bench.reap_one(Unit::Dir, "unit");
    let id = removed(&outcome).id;
    let early = bench.purge(&[id], false).remove(0);
    assert_eq!(early.outcome, PurgeOutcome::Held(Hold::RecheckMismatch));
    assert_eq!(bench.in_trash().len(), 2);
    let asked = bench.purge(&[id], true).remove(0);
    assert_eq!(asked.outcome, PurgeOutcome::Gone { files: 2, bytes: 8 });
    assert_eq!(
        (bench.in_trash(), bench.quarantined()),
        (vec![], vec!["trash".to_owned()])
    );
    assert_eq!(bench.marks(), [Mark::Trashed, Mark::Purged]);
    let line = bench.lines().remove(1);
    assert_eq!((line.files, line.bytes, line.trash.unwrap().id), (2, 8, id));
    bench.assert_no_intents();
    assert!(bench.world.trash.is_empty());
}

#[test]
fn what_changed_in_the_trash_or_is_open_is_displaced() {
    let mut bench = trashing(Bench::dirs(), SHORT_MS);
    for unit in ["touched", "opened", "whole"] {
        bench.write(&format!("{unit}/file"), "1");
        bench.write(&format!("{unit}/other"), "1");
    }
    let claims = ["touched", "opened", "whole"].map(|unit| bench.claim(Unit::Dir, unit));
    let ids: Vec<u64> = bench
        .reap(&claims)
        .iter()
        .map(|one| removed(one).id)
        .collect();
    let inside = |id: u64, name: &str| bench.path(&format!(".lapsed/trash/{id}/{name}"));
    std::fs::write(inside(ids[0], "file"), "changed").unwrap();
    let open = std::fs::File::open(inside(ids[1], "file")).unwrap();
    let done = bench.purge(&ids, false);
    let outcomes: Vec<&PurgeOutcome> = done.iter().map(|one| &one.outcome).collect();
    assert!(matches!(
        outcomes[..2],
        [PurgeOutcome::Displaced, PurgeOutcome::Displaced]
    ));
    assert_eq!(outcomes[2], &PurgeOutcome::Gone { files: 2, bytes: 2 });
    drop(open);
    let displaced: Vec<String> = bench.quarantined();
    let displaced: Vec<&String> = displaced.iter().filter(|name| *name != "trash").collect();
    assert_eq!(displaced.len(), 2, "{displaced:?}");
    assert_eq!(bench.in_trash(), [""; 0]);
    for name in displaced {
        assert!(bench.path(&format!(".lapsed/{name}/file")).exists());
        assert!(!bench.path(&format!(".lapsed/{name}/other")).exists());
    }
}

#[test]
fn a_file_that_was_written_to_in_the_trash_is_displaced() {
    let mut bench = trashing(Bench::files(), SHORT_MS);
    bench.write("file", "1");
    let outcome = bench.reap_one(Unit::File, "file");
    let id = removed(&outcome).id;
    std::fs::write(bench.path(&format!(".lapsed/trash/{id}")), "changed").unwrap();
    let done = bench.purge(&[id], false).remove(0);
    assert_eq!(done.outcome, PurgeOutcome::Displaced);
    assert_eq!(
        bench.read(&format!(".lapsed/displaced-trash-{id}")),
        "changed"
    );
    assert_eq!(bench.in_trash(), [""; 0]);
}

#[test]
fn a_pin_holds_what_is_in_the_trash() {
    let mut bench = trashing(Bench::files(), SHORT_MS);
    bench.write("file", "1");
    let outcome = bench.reap_one(Unit::File, "file");
    let id = removed(&outcome).id;
    let until = clock::now().wall.after(Duration::from_hours(1));
    bench.world.pins.set(crate::core::pins::Pin {
        id: 9,
        target: PinTarget::Path(bench.path("file")),
        who: "ada".into(),
        why: "wanted".into(),
        set_at: clock::now().wall,
        until,
    });
    let held = bench.purge(&[id], false).remove(0);
    assert!(matches!(
        held.outcome,
        PurgeOutcome::Held(Hold::Pinned { pin: 9, .. })
    ));
    assert_eq!(bench.in_trash().len(), 2);
}

#[test]
fn a_thing_without_a_manifest_is_displaced_and_one_taken_out_is_forgotten() {
    let mut bench = trashing(Bench::files(), SHORT_MS);
    for name in ["lost", "damaged", "taken", "whole"] {
        bench.write(name, name);
    }
    let claims = ["lost", "damaged", "taken", "whole"].map(|name| bench.claim(Unit::File, name));
    let ids: Vec<u64> = bench
        .reap(&claims)
        .iter()
        .map(|one| removed(one).id)
        .collect();
    let at = |name: String| bench.path(&format!(".lapsed/trash/{name}"));
    std::fs::remove_file(at(format!("{}.json", ids[0]))).unwrap();
    std::fs::write(at(format!("{}.json", ids[1])), "{\"version\":1").unwrap();
    std::fs::rename(at(ids[2].to_string()), bench.path("taken")).unwrap();
    for _ in 0..2 {
        bench.start();
        bench.wait_for_trash();
        assert_eq!(bench.trash_ids(), [ids[3]]);
        assert_eq!(
            bench.in_trash(),
            [ids[3].to_string(), format!("{}.json", ids[3])]
        );
        let kept = |id: u64| bench.read(&format!(".lapsed/displaced-trash-{id}"));
        assert_eq!(
            (kept(ids[0]), kept(ids[1])),
            ("lost".into(), "damaged".into())
        );
    }
    assert_eq!(bench.read("taken"), "taken");
}

#[test]
fn the_record_of_a_job_waits_until_nothing_of_it_can_come_back() {
    let mut bench = trashing(Bench::jobs(vec![world::job_rule()]), LONG_MS);
    bench.policy.rules[0].record = JobRecord::Forget;
    bench.world.has(world::row("j1", Status::Completed));
    bench.write("out/j1/file", "1");
    bench.write("../uploads/in.tif", "22");
    bench.world.gives(ROOT, "out/j1", "j1");
    bench.world.gives(world::UPLOADS, "in.tif", "j1");
    bench.wait_for_trash();
    let outcome = bench.reap_job("j1", &[(ROOT, "out/j1"), (world::UPLOADS, "in.tif")]);
    let id = removed(&outcome).id;
    assert!(removed(&outcome).trashed.is_some());
    assert_eq!((removed(&outcome).files, removed(&outcome).bytes), (2, 3));
    assert_eq!(*bench.world.noted.lock(), []);
    // In the same process, and in the next.
    for _ in 0..2 {
        let outcome = bench.reap_job("j1", &[]);
        assert!(
            matches!(held(&outcome), Hold::InTrash { until: Some(_) }),
            "{outcome:?}"
        );
        bench.start();
        bench.wait_for_trash();
    }
    bench.purge(&[id], true);
    let outcome = bench.reap_job("j1", &[]);
    assert!(
        matches!(held(&outcome), Hold::InTrash { .. }),
        "the other root has a part"
    );
    let purged =
        bench
            .reaper()
            .empty_trash(&bench.policy, &TrashFilter::default(), &Principal::Uid(7));
    assert_eq!(purged.len(), 1);
    assert_eq!(
        bench
            .reaper()
            .trash_sums()
            .iter()
            .map(|of| of.things)
            .sum::<u64>(),
        0
    );
    removed(&bench.reap_job("j1", &[]));
    assert_eq!(bench.world.noted.lock().len(), 1);
    let purged: Vec<Line> = bench.lines();
    let purged = purged.iter().filter(|line| line.result == Mark::Purged);
    let shares: Vec<bool> = purged.map(|line| line.trash.unwrap().share).collect();
    assert_eq!(
        shares.iter().filter(|share| !**share).count(),
        1,
        "one line counts the job"
    );
}

#[test]
fn records_wait_while_the_trash_of_a_root_was_not_read() {
    let mut bench = Bench::jobs(vec![world::job_rule()]);
    bench.policy.rules[0].record = JobRecord::Mark;
    bench.world.has(world::row("j1", Status::Completed));
    bench.wait_for_trash();
    bench.world.trash.forget(world::UPLOADS);
    let outcome = bench.reap_job("j1", &[]);
    assert_eq!(*held(&outcome), Hold::InTrash { until: None });
}
