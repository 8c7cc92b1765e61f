//! Recent events, for subscribers.
//!
//! The hub is a ring that followers read at their own pace, by number. Telling costs the daemon one
//! push, however many follow and however slow they are.
//!
//! **Invariant:** numbers only grow, also over restarts (as far as the clock does): they begin at
//! the start's wall time.
//! **Invariant:** a follower gets every event in order, or is told that some are missing. Nothing
//! is left out silently.
//! **Invariant:** memory is bounded by the rings, whoever follows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::rate::Rate;
use crate::app::error::AppError;
use crate::clock;
use crate::core::effect::Event;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;

/// Events kept for followers that come back: some minutes of a busy host, in about 500 KiB.
pub const DELIVERIES_MAX: usize = 2048;

/// Observed files kept for followers that are a little behind: a fifth of a second at 20,000 events
/// a second.
pub const OBSERVED_MAX: usize = 4096;

/// Events other than removals and holds, kept for whoever tells people of them: a burst of removals
/// pushes none of them out.
pub const NOTABLE_MAX: usize = 1024;

/// Followers at once: each holds a connection for as long as it likes, and the others shall have
/// some, too.
pub const FOLLOWERS_MAX: usize = 64;

/// Events handed out at once.
const BATCH_MAX: usize = 256;

/// Numbers for each millisecond of the daemon's start: more events than that in one are not told
/// for years.
const NUMBERS_PER_MS: u64 = 1000;

/// One event with its number.
#[derive(Debug)]
pub struct NumberedEvent {
    /// Its number.
    pub id: u64,
    /// Instant of its publication.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
    /// The roots and rules then in force: what its ids mean.
    pub policy: Arc<Policy>,
}

/// Events that a follower gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followed {
    /// All but [`Event::Observed`].
    Told,
    /// All.
    WithObserved,
    /// Those that are not of single files, nor of single claims.
    Notable,
}

/// The hub.
#[derive(Debug)]
pub struct Events {
    rings: Mutex<Rings>,
    latest: watch::Sender<u64>,
    followers: AtomicUsize,
    observers: AtomicUsize,
    told_max: usize,
    observed_max: usize,
}

#[derive(Debug)]
struct Rings {
    last: u64,
    told: Ring,
    observed: Ring,
    notable: Ring,
    removals: Rate,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Arc<NumberedEvent>>,
    /// The number of the last event that was here and is not any more (or of the last one before
    /// our start).
    gone: u64,
}

impl Events {
    /// A hub of a daemon that started at `started`.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self::with_capacity(started, DELIVERIES_MAX, OBSERVED_MAX)
    }

    /// A hub that keeps other numbers of events.
    #[must_use]
    pub fn with_capacity(started: Timestamp, told_max: usize, observed_max: usize) -> Self {
        let ms = u64::try_from(started.unix_ms()).unwrap_or_default();
        let last = ms.saturating_mul(NUMBERS_PER_MS);
        let ring = || Ring {
            events: VecDeque::new(),
            gone: last,
        };
        let rings = Rings {
            last,
            told: ring(),
            observed: ring(),
            notable: ring(),
            removals: Rate::default(),
        };
        Self {
            rings: Mutex::new(rings),
            latest: watch::Sender::new(last),
            followers: AtomicUsize::new(0),
            observers: AtomicUsize::new(0),
            told_max,
            observed_max,
        }
    }

    /// Publishes `event`, which happened at `at` under `policy`. Never waits for a follower.
    pub fn publish(&self, at: Timestamp, event: &Event, policy: &Arc<Policy>) {
        let is_observed = matches!(event, Event::Observed { .. });
        if is_observed && !self.wants_observed() {
            return;
        }
        let mut rings = self.rings.lock();
        if let Event::Lapsed { files, .. } = event {
            rings.removals.record(clock::now().boot, *files);
        }
        rings.last += 1;
        let id = rings.last;
        let told = Arc::new(NumberedEvent {
            id,
            at,
            event: event.clone(),
            policy: Arc::clone(policy),
        });
        if is_observed {
            rings.observed.push(told, self.observed_max);
        } else {
            if event.is_notable() {
                rings.notable.push(Arc::clone(&told), NOTABLE_MAX);
            }
            rings.told.push(told, self.told_max);
        }
        drop(rings);
        self.latest.send_replace(id);
    }

    /// Files that are removed a second, over the last minute or since the removals began.
    #[must_use]
    pub fn removals_per_second(&self) -> f64 {
        self.rings.lock().removals.per_second(clock::now().boot)
    }

    /// Returns true if a client follows [`Event::Observed`].
    #[must_use]
    pub fn wants_observed(&self) -> bool {
        self.observers.load(Ordering::Relaxed) > 0
    }

    /// Follows from now on, or from what came `after` that number.
    ///
    /// # Errors
    /// 503 when too many follow.
    pub fn follow(
        self: &Arc<Self>,
        after: Option<u64>,
        followed: Followed,
    ) -> Result<Follower, AppError> {
        let admitted = self
            .followers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < FOLLOWERS_MAX).then_some(count + 1)
            });
        if admitted.is_err() {
            return Err(AppError::unavailable(format!(
                "{FOLLOWERS_MAX} clients already follow events"
            )));
        }
        if followed == Followed::WithObserved {
            self.observers.fetch_add(1, Ordering::Relaxed);
        }
        let last = self.rings.lock().last;
        // A number from the future is of a daemon whose clock ran ahead: what it missed cannot be
        // known.
        let after = after.map_or(last, |after| after.min(last));
        Ok(Follower {
            latest: self.latest.subscribe(),
            hub: Arc::clone(self),
            after,
            followed,
        })
    }
}

impl Ring {
    fn push(&mut self, told: Arc<NumberedEvent>, max: usize) {
        if self.events.len() >= max
            && let Some(oldest) = self.events.pop_front()
        {
            self.gone = oldest.id;
        }
        self.events.push_back(told);
    }

    fn after(&self, id: u64) -> impl Iterator<Item = &Arc<NumberedEvent>> {
        let from = self.events.partition_point(|told| told.id <= id);
        self.events.range(from..)
    }
}

/// One who follows.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Events>,
    latest: watch::Receiver<u64>,
    after: u64,
    followed: Followed,
}

/// Delivery to a follower.
#[derive(Debug)]
pub enum Delivery {
    /// These, in order; never empty.
    Events(Vec<Arc<NumberedEvent>>),
    /// Some of the events after this number are no longer there. The follower goes on with the
    /// oldest that is.
    Missing {
        /// The last number that the follower has.
        after: u64,
        /// The last number that is gone.
        until: u64,
    },
}

impl Follower {
    /// Waits for what comes next. May be dropped while waiting; nothing is lost by that.
    pub async fn next(&mut self) -> Delivery {
        loop {
            self.latest.mark_unchanged();
            if let Some(heard) = self.take() {
                return heard;
            }
            // The hub lives as long as we do, and the sender with it.
            let _ = self.latest.changed().await;
        }
    }

    /// The number of the last event that was handed out, or that this began after.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.after
    }

    fn take(&mut self) -> Option<Delivery> {
        let rings = self.hub.rings.lock();
        let has_observed = self.followed == Followed::WithObserved;
        let ring = match self.followed {
            Followed::Told | Followed::WithObserved => &rings.told,
            Followed::Notable => &rings.notable,
        };
        let mut until = ring.gone;
        if has_observed {
            until = until.max(rings.observed.gone);
        }
        if until > self.after {
            let after = std::mem::replace(&mut self.after, until);
            return Some(Delivery::Missing { after, until });
        }
        let mut events: Vec<Arc<NumberedEvent>> =
            ring.after(self.after).take(BATCH_MAX).cloned().collect();
        if has_observed {
            events.extend(rings.observed.after(self.after).take(BATCH_MAX).cloned());
            events.sort_unstable_by_key(|told| told.id);
            events.truncate(BATCH_MAX);
        }
        drop(rings);
        self.after = events.last()?.id;
        Some(Delivery::Events(events))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.hub.followers.fetch_sub(1, Ordering::Relaxed);
        if self.followed == Followed::WithObserved {
            self.hub.observers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::app::ErrorKind;
    use crate::core::facts::RootId;
    use crate::core::path::RelPath;

    const START: Timestamp = Timestamp::from_unix_ms(5);

    fn hub() -> Arc<Events> {
        Arc::new(Events::with_capacity(START, 4, 4))
    }

    fn tell(hub: &Events, by_ms: i64) {
        let event = Event::ClockJumped { by_ms };
        hub.publish(START, &event, &Arc::new(Policy::default()));
    }

    fn observe(hub: &Events, size: u64) {
        let event = Event::Observed {
            root: RootId(0),
            path: RelPath::root(),
            size: Some(size),
        };
        hub.publish(START, &event, &Arc::new(Policy::default()));
    }

    /// Available events, as the numbers after the hub's first; `None` if there are none.
    fn received(follower: &mut Follower) -> Option<Vec<u64>> {
        match follower.next().now_or_never()? {
            Delivery::Events(events) => Some(events.iter().map(|told| told.id - 5000).collect()),
            Delivery::Missing { after, until } => panic!("missing {after}..={until}"),
        }
    }

    #[test]
    fn a_follower_gets_what_happens_from_now_on() {
        let hub = hub();
        tell(&hub, 1);
        let mut follower = hub.follow(None, Followed::Told).unwrap();
        assert_eq!(received(&mut follower), None);
        tell(&hub, 2);
        tell(&hub, 3);
        assert_eq!(received(&mut follower), Some(vec![2, 3]));
        assert_eq!(received(&mut follower), None);
    }

    #[tokio::test]
    async fn a_waiting_follower_wakes() {
        let hub = hub();
        let mut follower = hub.follow(None, Followed::Told).unwrap();
        let waiting = tokio::spawn(async move { follower.next().await });
        tokio::task::yield_now().await;
        tell(&hub, 1);
        assert!(matches!(waiting.await.unwrap(), Delivery::Events(events) if events.len() == 1));
    }

    #[test]
    fn who_comes_back_gets_what_was_missed() {
        let hub = hub();
        for n in 1..=4 {
            tell(&hub, n);
        }
        let mut follower = hub.follow(Some(5002), Followed::Told).unwrap();
        assert_eq!(received(&mut follower), Some(vec![3, 4]));
        let mut ahead = hub.follow(Some(u64::MAX), Followed::Told).unwrap();
        tell(&hub, 5);
        assert_eq!(received(&mut ahead), Some(vec![5]));
    }

    #[test]
    fn a_follower_that_is_too_far_behind_learns_so() {
        let hub = hub();
        let mut follower = hub.follow(None, Followed::Told).unwrap();
        for n in 1..=6 {
            tell(&hub, n);
        }
        let missing = follower.next().now_or_never();
        let Some(Delivery::Missing { after, until }) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!((after, until), (5000, 5002));
        assert_eq!(received(&mut follower), Some(vec![3, 4, 5, 6]));
        // A number of an earlier daemon: nobody knows what came between.
        let mut earlier = hub.follow(Some(17), Followed::Told).unwrap();
        assert!(matches!(
            earlier.next().now_or_never(),
            Some(Delivery::Missing { after: 17, .. })
        ));
    }

    #[test]
    fn observed_files_are_kept_only_for_their_followers_and_push_nothing_else_out() {
        let hub = hub();
        observe(&hub, 1);
        assert!(!hub.wants_observed());
        let mut plain = hub.follow(None, Followed::Told).unwrap();
        let mut observer = hub.follow(None, Followed::WithObserved).unwrap();
        assert!(hub.wants_observed());
        tell(&hub, 1);
        for size in 0..3 {
            observe(&hub, size);
        }
        tell(&hub, 2);
        assert_eq!(received(&mut observer), Some(vec![1, 2, 3, 4, 5]));
        for size in 0..9 {
            observe(&hub, size);
        }
        assert!(matches!(
            observer.next().now_or_never(),
            Some(Delivery::Missing { .. })
        ));
        assert_eq!(received(&mut plain), Some(vec![1, 5]));
        drop(observer);
        assert!(!hub.wants_observed());
    }

    #[test]
    fn followers_are_limited() {
        let hub = hub();
        let all: Vec<_> = (0..FOLLOWERS_MAX)
            .map(|_| hub.follow(None, Followed::Told).unwrap())
            .collect();
        assert_eq!(
            hub.follow(None, Followed::Told).unwrap_err().kind,
            ErrorKind::Unavailable
        );
        drop(all);
        hub.follow(None, Followed::Told).unwrap();
    }
}
