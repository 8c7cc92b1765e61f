//! The trash: when what is in it goes, and the records that wait for it.

use std::sync::Mutex;

use super::*;
use crate::core::policy::Disposal;
use crate::core::principal::Principal;
use crate::core::report::{CleanReport, CleanRequest};
use crate::core::trash::{JobName, PurgeOutcome, Purged, TrashNews, Trashed};

const UNDO: i64 = 24 * HOUR;

fn trashing(rule: Rule) -> Rule {
    Rule {
        disposal: Disposal::Trash { undo_ms: UNDO },
        ..rule
    }
}

fn names(job: Option<&str>) -> Box<[JobName]> {
    let name = |id: &str| JobName {
        source: "db".to_owned(),
        id: id.to_owned(),
    };
    job.map(name).into_iter().collect()
}

/// Something came into the trash of `root` now.
fn put(place: &mut Place, root: RootId, id: u64, job: Option<&str>) {
    let thing = Trashed {
        id,
        at: place.now.wall,
        until: place.now.wall.plus_ms(UNDO),
        files: 1,
        bytes: 10,
        run: None,
        jobs: names(job),
    };
    place.engine.trash().insert(root, thing);
    place.step(Input::Trash(TrashNews::Read(root)));
}

/// The numbers of all that was ordered to be deleted since the last asking.
fn ordered(place: &mut Place) -> Vec<u64> {
    let orders = std::mem::take(&mut place.purges);
    assert!(orders.iter().all(|order| !order.is_early));
    orders.into_iter().flat_map(|order| order.ids).collect()
}

fn answer(place: &mut Place, root: RootId, id: u64, outcome: PurgeOutcome) {
    let is_gone = !matches!(outcome, PurgeOutcome::Held(_));
    let known = place.engine.trash().get(root, id);
    if is_gone {
        place.engine.trash().remove(root, id);
    }
    let purged = Purged {
        root,
        id,
        outcome,
        jobs: known.map(|known| known.jobs).unwrap_or_default(),
    };
    place.step(Input::Trash(TrashNews::Purged(vec![purged])));
    place.settle_down();
}

const GONE: PurgeOutcome = PurgeOutcome::Gone {
    files: 1,
    bytes: 10,
};

/// The reaper moves all that was claimed to the trash.
fn trash_claimed(place: &mut Place) -> Vec<String> {
    let claims = std::mem::take(&mut place.claims);
    let paths = claims.iter().flat_map(paths_of).collect();
    for (claim, id) in claims.into_iter().zip(70..) {
        let job = claim.owners.first().map(|key| key.id.clone());
        let until = place.now.wall.plus_ms(UNDO);
        let thing = Trashed {
            id,
            at: place.now.wall,
            until,
            files: 1,
            bytes: 10,
            run: None,
            jobs: names(job.as_deref()),
        };
        place.engine.trash().insert(claim.root, thing);
        let removal = Removal {
            at: place.now.wall,
            deadline: claim.due,
            files: 1,
            bytes: 10,
            id,
            pruned: Vec::new(),
            partial: false,
            share: None,
            trashed: Some(until),
        };
        let outcome = Outcome::Removed(removal);
        place.step(Input::Reaped(vec![Reaped { claim, outcome }]));
    }
    paths
}

#[test]
fn what_is_in_the_trash_goes_when_its_window_ends_and_counts_then() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    place.file(OTHER, "x");
    place.pass_until(HOUR);
    assert_eq!(trash_claimed(&mut place), ["other/x"]);
    assert_eq!(place.engine.status(place.now).removed_files, 0);
    place.pass_until(HOUR + UNDO - 1);
    assert_eq!(ordered(&mut place), [0; 0]);
    place.pass_until(HOUR + UNDO);
    assert_eq!(ordered(&mut place), [70]);
    // It is under way.
    place.pass_until(2 * HOUR + UNDO);
    assert_eq!(ordered(&mut place), [0; 0]);
    answer(&mut place, OTHER, 70, GONE);
    let status = place.engine.status(place.now);
    assert_eq!((status.removed_files, status.removed_bytes), (1, 10));
    assert_eq!(place.engine.wake_at(), None, "nothing is left to do");
}

#[test]
fn a_clock_that_jumps_deletes_nothing_early() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    put(&mut place, OTHER, 1, None);
    place.pass_until(HOUR);
    let jumped = |ms: i64| Now {
        wall: at(ms + 30 * UNDO).wall,
        boot: at(ms).boot,
    };
    place.now = jumped(HOUR + 1);
    place.step(Input::Tick);
    for hours in 1..24 {
        place.now = jumped(hours * HOUR);
        place.step(Input::Tick);
        assert_eq!(ordered(&mut place), [0; 0], "after {hours} hours");
    }
    place.now = jumped(UNDO + 2);
    place.step(Input::Tick);
    assert_eq!(ordered(&mut place), [1]);
}

#[test]
fn what_cannot_go_yet_is_tried_again_and_a_pin_is_waited_for() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    put(&mut place, OTHER, 1, None);
    put(&mut place, OTHER, 2, None);
    place.pass_until(UNDO);
    assert_eq!(ordered(&mut place), [1, 2]);
    let error = "of the disk".to_owned();
    answer(
        &mut place,
        OTHER,
        1,
        PurgeOutcome::Held(Hold::Unreadable { error }),
    );
    let pin = Hold::Pinned {
        pin: 7,
        who: "ann".to_owned(),
        why: "wanted".to_owned(),
        until: at(UNDO + 5 * HOUR).wall,
    };
    answer(&mut place, OTHER, 2, PurgeOutcome::Held(pin));
    place.pass_until(UNDO + 1000);
    assert_eq!(ordered(&mut place), [1]);
    answer(&mut place, OTHER, 1, GONE);
    place.pass_until(UNDO + 5 * HOUR - 1);
    assert_eq!(ordered(&mut place), [0; 0]);
    place.pass_until(UNDO + 5 * HOUR);
    assert_eq!(ordered(&mut place), [2]);
}

#[test]
fn in_a_pause_nothing_is_deleted() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    put(&mut place, OTHER, 1, None);
    let pause = crate::core::pauses::Pause {
        root: None,
        who: "ann".to_owned(),
        why: "an audit".to_owned(),
        since: place.now.wall,
        until: at(UNDO + HOUR).wall,
    };
    let ask = move |engine: &mut Engine, now| engine.pause(vec![pause], now);
    place.step(Input::Ask(Box::new(ask)));
    place.pass_until(UNDO + HOUR - 1);
    assert_eq!(ordered(&mut place), [0; 0]);
    assert_eq!(place.engine.purge_oldest(OTHER, 1, &Principal::Rule), 0);
    place.pass_until(UNDO + HOUR);
    assert_eq!(ordered(&mut place), [1]);
}

#[test]
fn many_things_are_ordered_as_the_reaper_can_follow() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    for id in 1..=1500 {
        put(&mut place, OTHER, id, None);
    }
    place.pass_until(UNDO);
    let first = ordered(&mut place);
    assert_eq!(first.len(), 1024);
    answer(&mut place, OTHER, first[0], GONE);
    assert_eq!(ordered(&mut place).len(), 1);
    assert_eq!(place.engine.purges_under_way(), 1024);
}

#[test]
fn a_record_waits_until_nothing_of_its_job_can_come_back() {
    let forget = Rule {
        record: Record::Forget,
        ..trashing(job_rule())
    };
    let mut place = Place::new(vec![forget]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    assert_eq!(trash_claimed(&mut place), [format!("results/{A}")]);
    assert_eq!(place.recorded, [0; 0]);
    place.pass_until(HOUR + UNDO);
    assert_eq!(place.claimed(), [""; 0]);
    assert_eq!(ordered(&mut place), [70]);
    answer(&mut place, RESULTS, 70, GONE);
    assert_eq!(place.reap(), [format!("job {A}")]);
    assert_eq!(place.recorded.len(), 1);
}

#[test]
fn the_record_of_what_came_back_waits_for_it_to_be_seen() {
    let forget = Rule {
        record: Record::Forget,
        ..trashing(job_rule())
    };
    let mut place = Place::new(vec![forget]);
    place.file(RESULTS, &format!("{A}/x"));
    place.loaded(vec![completed(A, 0)]);
    place.pass_until(HOUR);
    trash_claimed(&mut place);
    place.is_deaf = true;
    let jobs = names(Some(A)).into_vec();
    place.step(Input::Trash(TrashNews::Restored(jobs.clone())));
    place.engine.trash().remove(RESULTS, 70);
    place.step(Input::Trash(TrashNews::Restored(jobs)));
    place.settle_down();
    assert_eq!(place.claimed(), [""; 0], "no barrier has come through");
    place.file(RESULTS, &format!("{A}/x"));
    place.is_deaf = false;
    place.step(Input::Synced(JOBS));
    place.settle_down();
    assert_eq!(trash_claimed(&mut place), [format!("results/{A}")]);
}

#[test]
fn without_a_daemon_a_clean_deletes_what_is_past_its_window_and_waits_for_it() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    place.engine.mode = Mode::OnRequest;
    put(&mut place, OTHER, 1, None);
    place.pass_until(2 * UNDO);
    put(&mut place, OTHER, 2, None);
    assert_eq!(ordered(&mut place), [0; 0]);
    let report = Arc::<Mutex<Option<CleanReport>>>::default();
    let told = Arc::clone(&report);
    let done = Box::new(move |given| *told.lock().unwrap() = Some(given));
    let policy = place.engine.policy();
    let request = CleanRequest::due_under(None);
    place.step(Input::Clean(policy, request, done));
    place.settle_down();
    assert_eq!(ordered(&mut place), [1]);
    assert!(report.lock().unwrap().is_none());
    answer(&mut place, OTHER, 1, GONE);
    assert!(report.lock().unwrap().is_some());
    assert_eq!(ordered(&mut place), [0; 0]);
}

#[test]
fn a_dry_run_deletes_nothing() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    place.engine.mode = Mode::DryRun;
    put(&mut place, OTHER, 1, None);
    place.pass_until(2 * UNDO);
    assert_eq!(ordered(&mut place), [0; 0]);
    assert_eq!(place.engine.purge_oldest(OTHER, 1, &Principal::Rule), 0);
}

#[test]
fn the_oldest_make_room_before_their_time() {
    let mut place = Place::new(vec![trashing(rule("everything"))]);
    for id in 1..=3 {
        put(&mut place, OTHER, id, None);
    }
    let freed = Arc::<Mutex<u64>>::default();
    let told = Arc::clone(&freed);
    let ask = move |engine: &mut Engine, _| {
        *told.lock().unwrap() = engine.purge_oldest(OTHER, 15, &Principal::Rule);
    };
    place.step(Input::Ask(Box::new(ask)));
    assert_eq!(*freed.lock().unwrap(), 20);
    let order = place.purges.remove(0);
    assert_eq!((order.ids, order.is_early), (vec![1, 2], true));
}
