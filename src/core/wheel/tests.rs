//! The wheel against a sorted set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const YEAR_MS: i64 = 365 * 24 * 3_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn advance(wheel: &mut Wheel<u32>, ms: i64) -> Vec<(i64, u32)> {
    let mut fired = Vec::new();
    wheel.advance(at(ms), &mut fired);
    fired
        .iter()
        .map(|&(at, item)| (at.unix_ms(), item))
        .collect()
}

#[test]
fn fires_at_its_instant_and_not_a_millisecond_before() {
    let mut wheel = Wheel::new(at(1_000));
    wheel.insert(at(1_000 + YEAR_MS), 7);
    assert_eq!(wheel.next(), Some(at(1_000 + YEAR_MS)));
    assert_eq!(advance(&mut wheel, 999 + YEAR_MS), []);
    assert_eq!(wheel.next(), Some(at(1_000 + YEAR_MS)));
    assert_eq!(advance(&mut wheel, 1_000 + YEAR_MS), [(1_000 + YEAR_MS, 7)]);
    assert!(wheel.is_empty());
    assert_eq!(wheel.next(), None);
}

#[test]
fn what_is_late_fires_next_with_the_same_time() {
    let mut wheel = Wheel::new(at(50));
    wheel.insert(at(50), 1);
    wheel.insert(at(-7), 2);
    assert_eq!(wheel.next(), Some(at(-7)));
    assert_eq!(advance(&mut wheel, 50), [(-7, 2), (50, 1)]);
}

#[test]
fn when_the_clock_is_set_back_nothing_fires_before_its_instant() {
    let mut wheel = Wheel::new(at(10_000));
    wheel.insert(at(12_000), 1);
    wheel.insert(at(6_000), 2);
    assert_eq!(advance(&mut wheel, 5_000), []);
    wheel.insert(at(7_000), 3);
    assert_eq!(wheel.next(), Some(at(6_000)));
    assert_eq!(advance(&mut wheel, 6_999), [(6_000, 2)]);
    assert_eq!(advance(&mut wheel, 11_999), [(7_000, 3)]);
    assert_eq!(advance(&mut wheel, 12_000), [(12_000, 1)]);
}

#[test]
fn the_ends_of_time_have_their_place() {
    let mut wheel = Wheel::new(at(0));
    wheel.insert(Timestamp::MAX, 1);
    wheel.insert(Timestamp::MIN, 2);
    assert_eq!(advance(&mut wheel, 0), [(i64::MIN, 2)]);
    assert_eq!(advance(&mut wheel, i64::MAX - 1), []);
    assert_eq!(advance(&mut wheel, i64::MIN), []);
    assert_eq!(wheel.next(), Some(Timestamp::MAX));
    assert_eq!(advance(&mut wheel, i64::MAX), [(i64::MAX, 1)]);
}

#[test]
fn a_burst_gives_its_memory_back() {
    let mut wheel = Wheel::new(at(0));
    for item in 0..100_000 {
        wheel.insert(at(i64::from(item % 5_000) + 1), item);
    }
    assert_eq!(wheel.len(), 100_000);
    assert_eq!(advance(&mut wheel, 5_000).len(), 100_000);
    let kept: usize = wheel.slots.iter().map(|slot| slot.items.capacity()).sum();
    assert_eq!(kept + wheel.due.items.capacity(), 0);
}

#[test]
fn a_wake_up_a_year_long_touches_an_item_once_a_level() {
    let mut wheel = Wheel::new(at(0));
    wheel.insert(at(YEAR_MS), 1);
    let mut wakes = 0;
    while let Some(next) = wheel.next() {
        let _ = advance(&mut wheel, next.unix_ms());
        wakes += 1;
    }
    assert_eq!(wakes, 1);
}

#[derive(Clone, Debug)]
enum Op {
    Insert(i64),
    InsertFromNow(i64),
    Advance(i64),
    AdvanceBy(i64),
    AdvanceToNext,
}

/// Distances of every size, the edges of the digits among them.
fn distance() -> impl Strategy<Value = i64> {
    prop_oneof![
        -3..70i64,
        -5_000..5_000i64,
        (0..63u32, -2..3i64).prop_map(|(bit, off)| (1i64 << bit).saturating_add(off)),
        (0..63u32, -2..3i64).prop_map(|(bit, off)| (-1i64 << bit).saturating_add(off)),
    ]
}

fn instant_of_any_size() -> impl Strategy<Value = i64> {
    prop_oneof![
        distance(),
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        (1_700_000_000_000..1_700_000_300_000i64)
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => instant_of_any_size().prop_map(Op::Insert),
        8 => distance().prop_map(Op::InsertFromNow),
        1 => instant_of_any_size().prop_map(Op::Advance),
        4 => distance().prop_map(Op::AdvanceBy),
        2 => Just(Op::AdvanceToNext),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn is_a_priority_queue(start in instant_of_any_size(), ops in prop::collection::vec(op(), 1..120)) {
        let mut wheel = Wheel::new(at(start));
        let mut model: BTreeSet<(i64, u32)> = BTreeSet::new();
        let mut now = start;
        for (op, item) in ops.into_iter().zip(0u32..) {
            let to = match op {
                Op::Insert(ms) => Err(ms),
                Op::InsertFromNow(by) => Err(now.saturating_add(by)),
                Op::Advance(ms) => Ok(ms),
                Op::AdvanceBy(by) => Ok(now.saturating_add(by)),
                Op::AdvanceToNext => Ok(wheel.next().map_or(now, Timestamp::unix_ms)),
            };
            match to {
                Err(due) => {
                    wheel.insert(at(due), item);
                    model.insert((due, item));
                }
                Ok(to) => {
                    now = to;
                    let later = model.split_off(&(now, u32::MAX));
                    let expected: Vec<_> = model.into_iter().collect();
                    model = later;
                    prop_assert_eq!(advance(&mut wheel, now), expected);
                }
            }
            prop_assert_eq!(wheel.next(), model.first().map(|&(ms, _)| at(ms)));
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}
