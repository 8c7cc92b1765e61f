//! Runs.

use super::*;
use crate::core::run::RunStatus;
use crate::core::totals::Cursor;

fn run(id: u64) -> RunRow {
    RunRow {
        id,
        status: RunStatus::Running,
        started: NOW,
        finished: None,
        from: Cursor {
            segment: 2,
            offset: 7,
        },
        to: None,
        details: "{}".to_owned(),
    }
}

#[test]
fn runs_are_kept_and_ended() {
    let dir = scratch();
    let registry = open(&dir);
    assert_eq!(registry.last_run().unwrap(), 0);
    for id in 1..=3 {
        registry.put_run(&run(id)).unwrap();
    }
    let ended = RunRow {
        status: RunStatus::Errors,
        finished: Some(NOW.plus_ms(5)),
        to: Some(Cursor {
            segment: 3,
            offset: 0,
        }),
        ..run(2)
    };
    registry.put_run(&ended).unwrap();
    drop(registry);
    let registry = open(&dir);
    assert_eq!(registry.last_run().unwrap(), 3);
    assert_eq!(registry.run(2).unwrap(), Some(ended.clone()));
    assert_eq!(registry.run(4).unwrap(), None);
    assert_eq!(registry.runs(None, 2).unwrap(), [run(3), ended.clone()]);
    assert_eq!(registry.runs(Some(3), 9).unwrap(), [ended, run(1)]);
    assert_eq!(registry.unfinished_runs().unwrap(), [run(1), run(3)]);
}

#[test]
fn only_the_newest_runs_are_kept_and_numbers_go_on() {
    let dir = scratch();
    let registry = open(&dir);
    registry.put_run(&run(1)).unwrap();
    registry.put_run(&run(RUNS_MAX)).unwrap();
    assert!(registry.run(1).unwrap().is_some());
    registry.put_run(&run(RUNS_MAX + 1)).unwrap();
    assert_eq!(registry.run(1).unwrap(), None);
    assert_eq!(registry.last_run().unwrap(), RUNS_MAX + 1);
}
