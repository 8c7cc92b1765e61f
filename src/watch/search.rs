//! Schedule of the search for roots that are away.
//!
//! **Invariant:** a timer exists only while a root is away.

use std::time::Duration;

use super::roots::Standing;

/// The first try after a root was found to be away.
const FIRST: Duration = Duration::from_secs(1);

/// The longest time between two tries, and the time between two for a root that is known to be
/// missing: its return is an event, and the try is for what events miss.
const LONGEST: Duration = Duration::from_mins(1);

/// Schedule of looking for roots that are away: for those that cannot be opened with exponential
/// backoff from [`FIRST`] to [`LONGEST`].
#[derive(Debug)]
pub(super) struct Search {
    /// On the clock that counts from the machine's start.
    pub(super) due: Option<Duration>,
    wait: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            due: None,
            wait: FIRST,
        }
    }
}

impl Search {
    /// The roots were looked for at `now`.
    pub(super) fn schedule(&mut self, standing: Standing, now: Duration) {
        let after = match standing {
            Standing::Here => {
                self.due = None;
                return;
            }
            Standing::Missing => LONGEST,
            Standing::Unreachable => self.wait,
        };
        // Other reasons to look put nothing off.
        let due = self.due.filter(|due| *due > now);
        let next = now.saturating_add(after);
        if due.is_none_or(|due| due > next) {
            self.due = Some(next);
            if standing == Standing::Unreachable {
                self.wait = (self.wait * 2).min(LONGEST);
            }
        }
    }

    /// A pass is through: what was short is there again.
    pub(super) fn succeed(&mut self) {
        self.wait = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_grow_rarer_until_a_pass_is_through_and_end_when_nothing_is_away() {
        let mut search = Search::default();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..9 {
            search.schedule(Standing::Unreachable, now);
            search.schedule(Standing::Unreachable, now);
            search.schedule(Standing::Missing, now);
            let due = search.due.unwrap();
            waits.push(due.checked_sub(now).unwrap().as_secs());
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        search.schedule(Standing::Here, now);
        assert_eq!(search.due, None);
        search.succeed();
        search.schedule(Standing::Missing, now);
        assert_eq!(search.due, Some(now + LONGEST));
        search.schedule(Standing::Unreachable, now);
        assert_eq!(search.due, Some(now + FIRST));
    }
}
