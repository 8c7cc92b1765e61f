//! The question to the policy, and to the openers, about one thing.
//!
//! **Invariant:** a clock that jumped forward after the claim was made lets nothing go: time counts
//! as it really passed.

use std::time::Duration;

use crate::clock;
use crate::core::claim::Claim;
use crate::core::facts::{Facts, Kind, RootId};
use crate::core::hold::Hold;
use crate::core::path::RelPath;
use crate::core::policy::{Policy, SkipOpen, Verdict};
use crate::core::time::{Now, Timestamp};
use crate::fs::Dir;
use crate::fs::error::reason;
use crate::fs::lease::{Lease, LeaseError, OpenFile, WhenBusy};
use crate::ledger::line::pack;
use crate::ledger::{Line, LineUnit};

/// Wall clock, capped by the monotonic time that elapsed since the claims were issued, so that a
/// forward jump cannot make anything due.
#[derive(Clone, Copy, Debug)]
pub(super) struct BoundedClock(pub(super) Now);

impl BoundedClock {
    /// Now; not later than the time that really passed allows.
    pub(super) fn now(self) -> Timestamp {
        let now = clock::now();
        let passed = now.boot.saturating_sub(self.0.boot);
        now.wall.min(self.0.wall.after(passed))
    }

    /// The one of the two that lets less time have passed.
    pub(super) fn stricter(self, other: Self) -> Self {
        let boot = self.0.boot.max(other.0.boot);
        let bound = |clock: Self| clock.0.wall.after(boot.saturating_sub(clock.0.boot));
        if bound(self) <= bound(other) {
            self
        } else {
            other
        }
    }
}

/// The policy's answer about what a claim names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Recheck {
    /// It lapses now.
    Due(Due),
    /// It does not lapse, or not yet.
    NotDue,
    /// The rule needs a fact that is missing.
    Hold(Hold),
}

/// The deadline of what lapses, and the timestamp that it counts from.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Due {
    pub(super) deadline: Timestamp,
    pub(super) basis: Timestamp,
}

/// Compares a verdict with a claim: its rule, its timestamp, and its deadline at `now`.
pub(super) fn judge(claim: &Claim, verdict: Verdict, now: Timestamp) -> Recheck {
    match verdict {
        Verdict::Lapse { at, basis, rule } if rule == claim.rule => {
            let deadline = claim.retention_ms.map_or(at, |ms| basis.plus_ms(ms));
            // What is newer than the engine knew is for the engine to judge: it knows how far the
            // clock can be believed.
            if deadline <= now && basis == claim.known {
                Recheck::Due(Due { deadline, basis })
            } else {
                Recheck::NotDue
            }
        }
        Verdict::Hold { rule, why } if rule == claim.rule => Recheck::Hold(why),
        Verdict::Keep | Verdict::Lapse { .. } | Verdict::Hold { .. } => Recheck::NotDue,
    }
}

/// Answer to the question if a file is open.
#[derive(Debug)]
pub(super) enum OpenState {
    /// It is not, or the rule does not ask. While the lease is held no process opens it unnoticed.
    Closed(Option<Lease>),
    /// It is, or that cannot be known.
    Held(Hold),
    /// Another file has its name.
    Replaced,
    /// This process itself has a lease on it, through another name.
    Busy,
}

/// Asks, as the rule's `skip_open` wants it, whether the file `name` in `dir` is open.
pub(super) fn ask(
    skip_open: SkipOpen,
    dir: &Dir,
    name: &[u8],
    facts: &Facts,
    when_busy: WhenBusy,
) -> OpenState {
    if skip_open == SkipOpen::Never || facts.kind != Kind::File {
        return OpenState::Closed(None);
    }
    let lease = OpenFile::open(dir, name, facts.key, when_busy).and_then(|file| {
        if file.facts().is_same_content(facts) {
            file.lease()
        } else {
            Err(LeaseError::Replaced)
        }
    });
    open_state(skip_open, lease)
}

/// Returns what an attempt to take a lease shows.
pub(super) fn open_state(skip_open: SkipOpen, lease: Result<Lease, LeaseError>) -> OpenState {
    match lease {
        Ok(lease) => OpenState::Closed(Some(lease)),
        Err(LeaseError::Open) => OpenState::Held(Hold::Open { path: None }),
        Err(LeaseError::Unknown(_)) if skip_open == SkipOpen::IfKnown => OpenState::Closed(None),
        Err(LeaseError::Unknown(errno) | LeaseError::Failed(errno)) => {
            let error = reason(errno);
            OpenState::Held(Hold::OpenUnknown { error })
        }
        Err(LeaseError::Replaced) => OpenState::Replaced,
        Err(LeaseError::Busy) => OpenState::Busy,
    }
}

/// Asks again for a while when the file seems to be open: what a process that was killed had open,
/// the kernel closes a moment after its end. For what that process has recorded as removed.
pub(super) fn ask_after_crash(
    skip_open: SkipOpen,
    dir: &Dir,
    name: &[u8],
    facts: &Facts,
) -> OpenState {
    /// Number of tries, and the pause between them: a second in all.
    const TRIES: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..TRIES {
        match ask(skip_open, dir, name, facts, WhenBusy::Wait) {
            OpenState::Held(Hold::Open { .. }) => std::thread::sleep(PAUSE),
            asked => return asked,
        }
    }
    ask(skip_open, dir, name, facts, WhenBusy::Wait)
}

/// The ledger line of a removal, as it stands before the thing is moved. `place`: where it is;
/// nowhere, when a job has no files.
pub(super) fn line(
    policy: &Policy,
    claim: &Claim,
    owner: Option<String>,
    id: u64,
    due: Due,
    place: Option<(RootId, &RelPath)>,
    unit: LineUnit,
) -> Line {
    let rule = policy.rule(claim.rule);
    let (root, (path, path_b64)) = place.map_or_else(Default::default, |(root, path)| {
        let root = &policy.roots[&root];
        let path = path.below(&root.path);
        let path = pack(path.as_os_str().as_encoded_bytes());
        (root.name.clone(), path)
    });
    Line {
        id,
        at: clock::now().wall,
        root,
        path,
        path_b64,
        unit,
        owner,
        rule: rule.name.clone(),
        since: rule.since.as_str().to_owned(),
        basis: due.basis,
        deadline: due.deadline,
        by: claim.actor.principal.clone(),
        run: claim.actor.run,
        limit: claim
            .limit
            .map(|of| of.key.ledger_word(of.scope).to_owned()),
        ..Line::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_jump_of_the_clock_is_not_the_passing_of_time() {
        let now = clock::now();
        // Seen from a claim that came in an hour "ago" on the wall clock but just now in real time,
        // it jumped by an hour.
        let wall = now.wall.before(Duration::from_hours(1));
        let since = BoundedClock(Now { wall, ..now });
        assert!(since.now() < wall.after(Duration::from_mins(1)));
        let wall = now.wall.after(Duration::from_hours(1));
        let since = BoundedClock(Now { wall, ..now });
        assert!(since.now() < wall);
    }

    #[test]
    fn of_two_clocks_the_one_before_a_jump_forward_and_the_one_after_a_jump_back_count() {
        let early = clock::now();
        let passed = Duration::from_secs(5);
        let (wall, boot) = (early.wall.after(passed), early.boot + passed);
        let hour = Duration::from_hours(1);
        for (wall, is_early) in [(wall.after(hour), true), (wall.before(hour), false)] {
            let late = Now { wall, boot };
            let clocks = [BoundedClock(early), BoundedClock(late)];
            let expected = if is_early { early.boot } else { late.boot };
            for [a, b] in [clocks, [clocks[1], clocks[0]]] {
                assert_eq!(a.stricter(b).0.boot, expected);
            }
        }
    }
}
