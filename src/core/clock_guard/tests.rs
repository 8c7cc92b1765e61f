//! The guard by example, and against a world that knows the true time.

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const START: i64 = 1_700_000_000_000;

/// A machine whose true time is known to the test, and whose wall clock can be set.
struct World {
    elapsed: i64,
    offset: i64,
    guard: ClockGuard,
}

impl World {
    fn new(recorded: Option<Timestamp>) -> Self {
        let now = reading(0, START);
        Self {
            elapsed: 0,
            offset: START,
            guard: ClockGuard::new(now, recorded),
        }
    }

    fn now(&self) -> Now {
        reading(self.elapsed, self.offset)
    }

    fn wall(&self) -> Timestamp {
        self.now().wall
    }

    fn observe(&mut self) -> Option<ClockEvent> {
        self.guard.observe(self.now())
    }

    /// Lets time pass, with a reading before and after.
    fn pass(&mut self, ms: i64) {
        assert_eq!(self.observe(), None);
        self.elapsed += ms;
        assert_eq!(self.observe(), None);
    }

    /// Sets the clock, with a reading right before and after.
    fn set(&mut self, by: i64) -> Option<ClockEvent> {
        assert_eq!(self.observe(), None);
        self.offset += by;
        self.observe()
    }

    /// Returns true if what was stamped at `basis` goes now, by a rule of `ttl` ms.
    fn goes(&self, basis: Timestamp, ttl: i64) -> bool {
        let deadline = basis.plus_ms(ttl);
        let hold = self.guard.hold(basis, deadline, self.now());
        let effective = self.guard.effective(basis, deadline);
        assert!(effective >= deadline);
        let goes = effective <= self.wall();
        assert_eq!(goes, deadline <= self.wall() && hold.is_none());
        goes
    }
}

fn reading(elapsed: i64, offset: i64) -> Now {
    Now {
        wall: Timestamp::from_unix_ms(offset.saturating_add(elapsed)),
        boot: Duration::from_millis(elapsed.unsigned_abs()),
    }
}

fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

#[test]
fn after_a_jump_forward_an_older_entry_waits_for_real_time() {
    let mut world = World::new(None);
    let basis = world.wall();
    world.pass(HOUR);
    assert_eq!(world.set(DAY), Some(ClockEvent::Jumped { by: hours(24) }));
    assert_eq!(world.guard.shift_ms(basis), DAY);
    let deadline = basis.plus_ms(2 * HOUR);
    assert_eq!(
        world.guard.hold(basis, deadline, world.now()),
        Some(Hold::ClockJumped { by: hours(24) })
    );
    world.pass(HOUR - 1);
    assert!(!world.goes(basis, 2 * HOUR));
    world.pass(1);
    assert!(world.goes(basis, 2 * HOUR));
}

#[test]
fn an_entry_stamped_after_the_jump_waits_for_nothing() {
    let mut world = World::new(None);
    world.set(DAY);
    world.pass(STEP_MS);
    let basis = world.wall();
    assert_eq!(world.guard.shift_ms(basis), 0);
    world.pass(HOUR);
    assert!(world.goes(basis, HOUR));
}

#[test]
fn a_timestamp_that_the_jump_skipped_counts_from_the_jump() {
    let mut world = World::new(None);
    world.set(10 * DAY);
    let basis = world.wall().plus_ms(-3 * DAY);
    world.pass(HOUR);
    assert!(!world.goes(basis, 2 * HOUR));
    world.pass(HOUR + STEP_MS);
    assert!(world.goes(basis, 2 * HOUR));
}

#[test]
fn a_jump_back_takes_an_earlier_jump_forward_back() {
    let mut world = World::new(None);
    let old = world.wall();
    world.pass(HOUR);
    world.set(DAY);
    world.pass(HOUR);
    assert!(!world.goes(old, 3 * HOUR));
    assert_eq!(world.set(-DAY), Some(ClockEvent::SetBack { by: hours(24) }));
    assert_eq!(world.guard.shift_ms(old), 0);
    world.pass(HOUR);
    assert!(world.goes(old, 3 * HOUR));
    // Half of a jump taken back leaves the other half.
    world.set(DAY);
    world.set(-DAY / 2);
    assert_eq!(world.guard.shift_ms(old), DAY / 2);
}

#[test]
fn what_was_stamped_while_the_clock_was_behind_waits_when_it_returns() {
    let mut world = World::new(None);
    let old = world.wall();
    world.pass(30 * DAY);
    assert_eq!(
        world.set(-10 * DAY),
        Some(ClockEvent::SetBack { by: hours(240) })
    );
    let within = world.wall();
    world.pass(HOUR);
    world.set(10 * DAY);
    assert!(!world.goes(within, 2 * HOUR));
    // The clock showed nothing as old as this again.
    assert_eq!(world.guard.shift_ms(old), 0);
    assert!(world.goes(old, DAY));
    // A file that was created before, and written to while the clock was behind, shows the time of
    // its creation as its newest: it counts from the return.
    let created = world.wall().plus_ms(-2 * HOUR);
    assert!(!world.goes(created, 2 * HOUR));
    world.pass(HOUR + STEP_MS);
    assert!(world.goes(within, 2 * HOUR) && !world.goes(created, 2 * HOUR));
    world.pass(HOUR);
    assert!(world.goes(created, 2 * HOUR));
}

#[test]
fn a_clock_before_a_recorded_instant_holds_everything_until_it_gets_there() {
    let recorded = Timestamp::from_unix_ms(START + HOUR);
    let mut world = World::new(Some(recorded));
    let basis = world.wall().plus_ms(-DAY);
    let deadline = basis.plus_ms(HOUR);
    assert_eq!(
        world.guard.hold(basis, deadline, world.now()),
        Some(Hold::ClockBehind { recorded })
    );
    assert_eq!(world.guard.effective(basis, deadline), recorded);
    world.pass(HOUR - 1);
    assert!(!world.goes(basis, HOUR));
    world.elapsed += 1;
    assert_eq!(world.observe(), Some(ClockEvent::CaughtUp { recorded }));
    assert!(world.goes(basis, HOUR));
    assert_eq!(world.guard.recorded(), None);
    assert_eq!(
        ClockGuard::new(world.now(), Some(recorded)).recorded(),
        None
    );
}

#[test]
fn a_release_believes_the_clock() {
    let mut world = World::new(Some(Timestamp::from_unix_ms(START + 10 * DAY)));
    let basis = world.wall();
    world.set(DAY);
    assert!(!world.goes(basis, HOUR));
    world.guard.release();
    assert!(world.goes(basis, HOUR));
    assert_eq!(world.guard.jumps().len(), 0);
    world.pass(HOUR);
    assert_eq!(world.set(HOUR), Some(ClockEvent::Jumped { by: hours(1) }));
}

#[test]
fn a_slew_is_no_jump_however_often_the_clocks_are_read() {
    for interval in [7, 500, 60_000, 10 * DAY] {
        let mut world = World::new(None);
        for count in 1..=20_000 {
            world.elapsed = interval * count;
            // 500 ppm; over ten days that is more than is believed of a sleep so long, were it all
            // at once.
            world.offset = START
                + if interval < DAY {
                    world.elapsed / 2_000
                } else {
                    0
                };
            assert_eq!(world.observe(), None, "{interval} × {count}");
        }
    }
}

#[test]
fn small_steps_add_up_to_a_jump() {
    let mut world = World::new(None);
    let noticed = (0..3).find_map(|_| {
        world.elapsed += 1_000;
        world.offset += 900;
        world.observe()
    });
    let by = Duration::from_millis(1_800 - 1);
    assert_eq!(noticed, Some(ClockEvent::Jumped { by }));
}

#[test]
fn a_long_sleep_does_not_hide_a_jump() {
    let mut world = World::new(None);
    world.elapsed += 60 * DAY;
    world.offset += SLEW_MAX_MS + STEP_MS + 1;
    assert!(world.observe().is_some());
}

#[test]
fn a_small_step_back_right_after_a_jump_takes_no_protection_from_the_next_one() {
    let mut world = World::new(None);
    assert!(world.set(-9 * HOUR).is_some());
    // So little that it counts as slew when it is read, 25 minutes later.
    world.offset -= 2_475;
    let basis = world.wall();
    world.elapsed += 1_475_000;
    assert_eq!(world.observe(), None);
    assert!(world.set(HOUR / 6).is_some());
    let shift = world.guard.shift_ms(basis);
    assert!(shift >= HOUR / 6 - STEP_MS, "{shift}");
}

#[test]
fn more_jumps_than_are_remembered_err_to_the_safe_side() {
    let mut world = World::new(None);
    let mut stamps = Vec::new();
    for _ in 0..10 * JUMPS_MAX {
        stamps.push((world.wall(), world.guard.level_ms));
        world.pass(60_000);
        world.set(HOUR);
    }
    assert_eq!(world.guard.jumps().len(), JUMPS_MAX);
    for (basis, level) in stamps {
        let exact = world.guard.level_ms - level;
        let shift = world.guard.shift_ms(basis);
        assert!(
            exact <= shift && shift <= exact + 20 * HOUR,
            "{exact} {shift}"
        );
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Time passes, slewed by so many ppm; then, perhaps, a reading.
    Pass { ms: i64, ppm: i64, read: bool },
    /// The clock is set, after `before` and `after` ms without a reading on either side. Files come
    /// in between.
    Set { by: i64, before: i64, after: i64 },
    /// A file comes.
    Create,
    /// The file is changed: its newest timestamp is the later of the two.
    Touch(prop::sample::Index),
}

fn span() -> impl Strategy<Value = i64> {
    prop_oneof![0..3_000i64, 0..HOUR, 0..3 * DAY]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (span(), -1_000..=1_000i64, any::<bool>()).prop_map(|(ms, ppm, read)| Op::Pass { ms, ppm, read }),
        3 => (prop_oneof![-5_000..5_000i64, -3 * HOUR..3 * HOUR, -5 * DAY..5 * DAY], span(), span())
            .prop_map(|(by, before, after)| Op::Set { by, before, after }),
        3 => Just(Op::Create),
        1 => any::<prop::sample::Index>().prop_map(Op::Touch),
    ]
}

/// A file: what its timestamp says, the true time of its last change, and the last reading of the
/// clocks before that.
#[derive(Clone, Copy, Debug)]
struct File {
    basis: Timestamp,
    changed: i64,
    read: i64,
}

fn file(world: &World, read: i64) -> File {
    File {
        basis: world.wall(),
        changed: world.elapsed,
        read,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn nothing_goes_before_its_time_has_really_passed(
        ops in prop::collection::vec(op(), 1..40),
        ttls in prop::collection::vec(prop_oneof![0..5_000i64, 0..2 * HOUR, 0..4 * DAY], 5),
    ) {
        let mut world = World::new(None);
        let mut files = vec![file(&world, 0)];
        let mut read = 0;
        for op in ops {
            let reads = match op {
                Op::Pass { ms, ppm, read } => {
                    world.elapsed += ms;
                    world.offset += ms * ppm / 1_000_000;
                    read
                }
                Op::Set { by, before, after } => {
                    world.elapsed += before;
                    files.push(file(&world, read));
                    world.offset += by;
                    files.push(file(&world, read));
                    world.elapsed += after;
                    files.push(file(&world, read));
                    true
                }
                Op::Create => {
                    files.push(file(&world, read));
                    false
                }
                Op::Touch(which) => {
                    let touched = file(&world, read);
                    let at = which.index(files.len());
                    files[at] = File { basis: files[at].basis.max(touched.basis), ..touched };
                    false
                }
            };
            if !reads {
                continue;
            }
            world.observe();
            read = world.elapsed;
            for file in &files {
                for &ttl in &ttls {
                    // The clock's error, and one ms for the rounding of each reading's slew. What
                    // is believed to be slew may follow upon as much slew the other way that nobody
                    // read.
                    let slewed = 2 * ((world.elapsed - file.read) / SLEW_PARTS);
                    let tolerance = 2 * STEP_MS + slewed + 50;
                    if world.goes(file.basis, ttl) {
                        let lived = world.elapsed - file.changed;
                        prop_assert!(lived >= ttl - tolerance, "{file:?} lived {lived} of {ttl}; {:?}", world.guard);
                    }
                }
            }
        }
    }

    #[test]
    fn jumps_forward_that_are_seen_at_once_cost_a_second_at_most(
        ops in prop::collection::vec((1..3 * HOUR, 2 * STEP_MS..5 * DAY), 1..=JUMPS_MAX),
        ttl in 0..2 * DAY,
    ) {
        let mut world = World::new(None);
        let mut files = Vec::new();
        for (ms, by) in ops {
            files.push(file(&world, 0));
            world.pass(ms);
            files.push(file(&world, 0));
            world.set(by);
            for file in &files {
                let lived = world.elapsed - file.changed;
                let goes = world.goes(file.basis, ttl);
                prop_assert!(!goes || lived >= ttl, "{file:?} goes early");
                // What came in the second after a jump is told from what came before it with a step
                // of caution.
                prop_assert!(goes || lived < ttl + STEP_MS, "{file:?} goes late");
            }
        }
    }

    #[test]
    fn a_later_timestamp_never_goes_earlier(
        jumps in prop::collection::vec((0..3 * HOUR, -5 * DAY..5 * DAY), 0..50),
        stamps in prop::collection::vec(-10 * DAY..10 * DAY, 20),
    ) {
        let mut world = World::new(None);
        for (ms, by) in jumps {
            world.elapsed += ms;
            world.offset += by;
            world.observe();
        }
        let mut stamps = stamps;
        stamps.sort_unstable();
        let effective = stamps.iter().map(|&ms| {
            let basis = Timestamp::from_unix_ms(START + ms);
            world.guard.effective(basis, basis.plus_ms(HOUR))
        });
        prop_assert!(effective.is_sorted());
    }

    #[test]
    fn no_reading_is_too_strange(
        readings in prop::collection::vec((any::<i64>(), any::<u64>()), 1..80),
        recorded in prop::option::of(any::<i64>()),
        (basis, deadline) in (any::<i64>(), any::<i64>()),
    ) {
        let readings: Vec<Now> = readings
            .into_iter()
            .map(|(wall, boot)| Now { wall: Timestamp::from_unix_ms(wall), boot: Duration::from_millis(boot) })
            .collect();
        let mut guard = ClockGuard::new(readings[0], recorded.map(Timestamp::from_unix_ms));
        let (basis, deadline) = (Timestamp::from_unix_ms(basis), Timestamp::from_unix_ms(deadline));
        for now in readings {
            guard.observe(now);
            prop_assert!(guard.shift_ms(basis) >= 0);
            prop_assert!(guard.effective(basis, deadline) >= deadline);
            prop_assert!(guard.jumps().len() <= JUMPS_MAX);
            let _ = guard.hold(basis, deadline, now);
        }
    }
}
