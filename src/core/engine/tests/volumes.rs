//! Limits on free space: when a file system is asked, what is claimed, and when that ends.

use super::*;
use crate::core::claim::LimitKey;
use crate::core::facts::{BLOCK_BYTES, Space};
use crate::core::policy::{Amount, Limit};
use crate::core::report::LimitPhase;

const BLOCK: u64 = 8 * BLOCK_BYTES;
const GIB: u64 = 1 << 30;

/// Ten blocks are to be free, and two of ours stay.
fn free() -> Limit {
    Limit {
        min_free: Some(Amount::Number(10 * BLOCK)),
        keep_at_least: 2 * BLOCK,
        ..Limit::default()
    }
}

fn begin(limit: Limit) -> Place {
    Place::new(vec![Rule {
        roots: Some(vec![OTHER]),
        expire_ms: None,
        limit: Some(limit),
        ..rule("cache")
    }])
}

impl Place {
    /// Answers a question for the space; there must be one.
    fn tell_space(&mut self, available_blocks: u64) {
        assert_eq!(std::mem::take(&mut self.volumes), [OTHER]);
        let space = Space {
            size_bytes: GIB,
            available_bytes: available_blocks * BLOCK,
            inodes: 0,
            available_inodes: 0,
        };
        self.step(Input::Space(OTHER, Some(space)));
    }

    fn write(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.now = at(self.now.wall.ms_since(at(0).wall) + 1);
            self.file(OTHER, &format!("f{number}"));
        }
    }

    fn is_futile(&self) -> bool {
        let phase = &self.engine.limit_status()[0].phase;
        matches!(
            phase,
            LimitPhase::Held {
                hold: Hold::LimitFutile { .. }
            }
        )
    }
}

#[test]
fn what_lacks_is_freed_in_order_and_the_file_system_is_asked_again() {
    let mut place = begin(free());
    place.tell_space(100);
    place.write(0..8);
    assert!(place.volumes.is_empty(), "far from the limit");
    place.pass_until(60_000);
    place.tell_space(7);
    assert_eq!(place.claims.len(), 3);
    assert!(
        place
            .claims
            .iter()
            .all(|claim| claim.limit.unwrap().key == LimitKey::MinFree)
    );
    assert_eq!(place.reap(), ["other/f0", "other/f1", "other/f2"]);
    place.tell_space(10);
    assert!(place.claims.is_empty());
    // Near the limit it is asked from time to time.
    place.pass_until(71_000);
    place.tell_space(10);
    place.volumes.clear();
    place.pass_until(72_000);
    assert!(place.volumes.is_empty());
}

#[test]
fn far_from_the_limit_nothing_wakes_it() {
    let mut place = begin(free());
    place.tell_space(100);
    place.pass_until(10 * HOUR);
    assert!(place.volumes.is_empty());
    assert_eq!(place.engine.wake_at(), None);
}

#[test]
fn a_neighbour_that_fills_faster_than_is_freed_costs_one_batch() {
    let mut place = begin(free());
    place.write(0..8);
    place.tell_space(7);
    assert_eq!(place.reap().len(), 3);
    for look in 1..=6 {
        assert!(!place.is_futile());
        // What was freed is gone again.
        place.tell_space(7);
        place.pass_until(1000 * look);
    }
    assert!(place.is_futile());
    assert!(place.claims.is_empty());
    let told = place.told.iter().filter(|event| {
        matches!(
            event,
            Event::Held {
                hold: Hold::LimitFutile { .. },
                ..
            }
        )
    });
    assert_eq!(told.count(), 1);
    // It is asked once a minute, and goes on when there is room, or after ten minutes.
    place.volumes.clear();
    place.pass_until(70_000);
    place.tell_space(7);
    assert!(place.claims.is_empty());
    place.pass_until(20 * 60_000);
    place.tell_space(7);
    assert_eq!(place.claims.len(), 3);
}

#[test]
fn what_is_written_here_meanwhile_is_no_neighbours() {
    let mut place = begin(free());
    place.write(0..8);
    place.tell_space(7);
    place.write(8..11);
    assert_eq!(place.reap().len(), 3);
    // The three that came took the three that went.
    place.tell_space(7);
    assert!(!place.is_futile());
    assert_eq!(place.reap(), ["other/f3", "other/f4", "other/f5"]);
}

#[test]
fn what_is_written_here_before_the_claim_is_no_neighbours() {
    let mut place = begin(free());
    place.write(0..8);
    place.is_deaf = true;
    place.tell_space(7);
    assert!(place.claims.is_empty(), "no barrier has come through");
    place.write(8..12);
    place.is_deaf = false;
    place.step(Input::Synced(JOBS));
    assert_eq!(place.reap().len(), 3);
    // The four that came since the answer took more than the three that went.
    place.tell_space(6);
    assert!(!place.is_futile());
    assert_eq!(place.reap().len(), 4);
}

#[test]
fn what_is_to_stay_stays_however_full_the_file_system_is() {
    let mut place = begin(free());
    place.write(0..5);
    place.tell_space(0);
    assert_eq!(place.reap().len(), 3);
    place.tell_space(3);
    assert!(place.claims.is_empty());
    let LimitPhase::Unmet { passed } = &place.engine.limit_status()[0].phase else {
        panic!("{:?}", place.engine.limit_status());
    };
    assert_eq!(passed.get("keep-at-least"), Some(&1));
}

#[test]
fn a_file_system_that_cannot_be_asked_is_asked_later() {
    let mut place = begin(free());
    place.write(0..5);
    assert_eq!(std::mem::take(&mut place.volumes), [OTHER]);
    place.step(Input::Space(OTHER, None));
    assert!(place.claims.is_empty() && place.volumes.is_empty());
    place.pass_until(11_000);
    place.tell_space(9);
    assert_eq!(place.reap(), ["other/f0"]);
}
