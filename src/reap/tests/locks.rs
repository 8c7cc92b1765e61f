//! Two reapers on one root, as two processes are.

use super::*;

/// Starts a second reaper on the bench's root, as another process with a state directory of its own
/// would. Returns it with what it tells of the quarantine.
fn second_reaper(bench: &Bench) -> (Reaper, Receiver<Option<Hold>>) {
    let state = bench.base.join("second-state");
    std::fs::create_dir(&state).unwrap();
    let ledger = Ledger::open(&state.join("ledger"), ledger::Options::default()).unwrap();
    let (told, hears) = channel();
    let hooks = Hooks {
        recovered: Arc::new(move |_, hold| drop(told.send(hold))),
        ..bench.world.hooks(|_| {}, Arc::clone(&bench.asked))
    };
    let reaper = Reaper::start(&Options::new(state), Arc::new(ledger), hooks).unwrap();
    reaper.set_place(ROOT, Some(bench.place()));
    (reaper, hears)
}

#[test]
fn what_another_process_has_in_the_quarantine_is_left_alone_until_that_one_has_ended() {
    let mut bench = Bench::files();
    bench.write("gone", "gone");
    removed(&bench.reap_one(Unit::File, "gone"));
    // As while the first one is at work on it.
    bench.write(".lapsed/77", "in flight");
    let (second, hears) = second_reaper(&bench);
    let hold = hears.recv_timeout(patience()).unwrap().unwrap();
    let me = format!("process {}", std::process::id());
    assert_eq!(hold.code(), "root-in-use");
    assert!(hold.to_string().contains(&me), "{hold}");
    assert_eq!(bench.quarantined(), ["77"]);

    // A quarantine that is renamed stays locked; another one in its place is free.
    bench.rename(".lapsed", "elsewhere");
    second.set_place(ROOT, Some(bench.place()));
    assert_eq!(hears.recv_timeout(patience()).unwrap(), None);
    bench.rename("elsewhere", ".lapsed");
    second.set_place(ROOT, Some(bench.place()));
    assert!(hears.recv_timeout(patience()).unwrap().is_some());
    assert_eq!(bench.quarantined(), ["77"]);

    bench.reaper = None;
    second.set_place(ROOT, Some(bench.place()));
    assert_eq!(hears.recv_timeout(patience()).unwrap(), None);
    assert_eq!(bench.quarantined(), ["displaced-77-77"]);
}

#[test]
fn a_root_that_is_away_is_not_kept_open() {
    let mut bench = Bench::files();
    bench.write("gone", "gone");
    removed(&bench.reap_one(Unit::File, "gone"));
    let (second, hears) = second_reaper(&bench);
    assert!(hears.recv_timeout(patience()).unwrap().is_some());
    bench.reaper.as_ref().unwrap().set_place(ROOT, None);
    // The last batch may still be closing its descriptors.
    wait(|| {
        second.set_place(ROOT, Some(bench.place()));
        hears.recv_timeout(patience()).unwrap().is_none()
    });
}

#[test]
fn a_directory_that_is_two_roots_has_one_lock() {
    let mut bench = Bench::files();
    bench.start();
    bench.write("gone", "gone");
    removed(&bench.reap_one(Unit::File, "gone"));
    let reaper = bench.reaper.as_ref().unwrap();
    reaper.set_place(world::UPLOADS, Some(bench.place()));
    bench.write("gone", "again");
    let claim = Claim {
        root: world::UPLOADS,
        ..bench.claim(Unit::File, "gone")
    };
    let root = bench.policy.roots.remove(&ROOT).unwrap();
    bench.policy.roots.insert(world::UPLOADS, root);
    removed(&bench.reap(&[claim])[0]);
}
