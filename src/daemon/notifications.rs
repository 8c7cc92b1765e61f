//! Announcer: makes notifications of events, of removals, and of errors of the log.
//!
//! **Invariant:** nothing that happens waits for it: events wait in the hub's ring, removals in the
//! ledger, errors in a bounded queue.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::callsite::Identifier;

use super::error_tap::{LoggedError, errors};
use super::removal_notifications::{set, tell_removals, wants_removals};
use crate::app::events::{Delivery, Followed, Follower, NumberedEvent};
use crate::app::{Events, event_line};
use crate::clock;
use crate::core::run::RunStatus;
use crate::core::time::Timestamp;
use crate::ledger::Ledger;
use crate::notifications::{Beat, Kind, Notification, Notifications, Receiver, Severity};
use crate::registry::Registry;
use crate::types::{Event, Moment};

/// From the first removal that is not told to its notification: those of a moment share one.
const GATHER: Duration = Duration::from_secs(1);

/// Pause after the registry could not be written, or while an outbox is full.
const PAUSE: Duration = Duration::from_mins(1);

/// Time for which an error of the same place in our code is not told again.
const SAME_ERROR: Duration = Duration::from_hours(1);

/// Keys of what is not as it should be; `root:`, `source:` or a threshold, and a name follow.
const DOWN: &str = "down:";

/// The running task.
pub(super) struct Announcer(JoinHandle<()>);

impl Announcer {
    /// Puts `receivers` in force, and starts on the current runtime, with a hub of events of a
    /// daemon that started at `now`. It must be called before anything is appended.
    ///
    /// # Errors
    /// If a new hub has no room for a follower.
    pub(super) fn start(
        receivers: Vec<Receiver>,
        registry: &Arc<Registry>,
        ledger: &Arc<Ledger>,
        now: Timestamp,
    ) -> anyhow::Result<(Arc<Events>, Arc<Notifications>, Self)> {
        let runtime = Handle::current();
        let notifications = Notifications::new(Arc::clone(registry), Some(runtime.clone()));
        let notifications = Arc::new(notifications);
        set(&notifications, registry, ledger, receivers);
        let events = Arc::new(Events::new(now));
        let follower = events.follow(None, Followed::Notable);
        let follower = follower.map_err(|error| anyhow::anyhow!("{error}"))?;
        let errors = errors();
        let appended = Arc::new(Notify::new());
        // What an earlier daemon did not tell.
        appended.notify_one();
        let signal = Arc::clone(&appended);
        ledger.on_append(Box::new(move || signal.notify_one()));
        let state = State {
            notifications: Arc::clone(&notifications),
            registry: Arc::clone(registry),
            ledger: Arc::clone(ledger),
            down: BTreeMap::new(),
            told_errors: HashMap::new(),
            errors: 0,
        };
        let task = runtime.spawn(state.run(follower, errors, appended));
        Ok((events, notifications, Self(task)))
    }

    /// Ends the task. What it did not tell of removals is told by the next start.
    pub(super) fn stop(&self) {
        self.0.abort();
    }
}

struct State {
    notifications: Arc<Notifications>,
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    /// Roots and sources that were told not to be available: keys with [`DOWN`], and titles.
    down: BTreeMap<String, String>,
    /// Instant of the last notification, and the number of errors since, by place in our code: the
    /// code bounds it.
    told_errors: HashMap<Identifier, (Timestamp, u64)>,
    errors: u64,
}

impl State {
    async fn run(
        mut self,
        mut follower: Follower,
        mut errors: mpsc::Receiver<LoggedError>,
        appended: Arc<Notify>,
    ) {
        let registry = Arc::clone(&self.registry);
        let known = spawn_blocking(move || registry.notify_positions(DOWN)).await;
        self.down = match known {
            Ok(Ok(known)) => known.into_iter().collect(),
            Ok(Err(_)) | Err(_) => BTreeMap::new(),
        };
        let mut has_backlog = false;
        loop {
            tokio::select! {
                delivery = follower.next() => self.on_events(delivery).await,
                Some(error) = errors.recv() => self.on_error(error).await,
                () = appended.notified() => {
                    tokio::time::sleep(GATHER).await;
                    has_backlog = self.tell_removals().await;
                }
                () = tokio::time::sleep(PAUSE), if has_backlog => {
                    has_backlog = self.tell_removals().await;
                }
            }
        }
    }

    async fn on_events(&mut self, delivery: Delivery) {
        let (mut notifications, mut positions) = (Vec::new(), Vec::new());
        match delivery {
            Delivery::Events(events) => {
                for event in events {
                    self.add_event(&event, &mut notifications, &mut positions);
                }
            }
            Delivery::Missing { after, until } => {
                let title = format!("up to {} events could not be told", until - after);
                let text = "The registry could not be written for a while; see the log.";
                notifications.push(self.error(clock::now().wall, title, text.to_owned()));
            }
        }
        self.put(notifications, positions).await;
    }

    /// Adds the notification of `event`. That something is available is told only after it was not.
    fn add_event(
        &mut self,
        event: &NumberedEvent,
        notifications: &mut Vec<Notification>,
        positions: &mut Vec<(String, String)>,
    ) {
        let line = event_line(event);
        if let Event::Run { status, .. } = &line.event {
            self.notifications.beat(match status {
                RunStatus::Running => Beat::Start,
                RunStatus::Done => Beat::Success,
                RunStatus::Errors | RunStatus::Failed | RunStatus::Interrupted => Beat::Fail,
            });
        }
        let Some(notification) = Notification::of_event(&line) else {
            return;
        };
        let root = line.root.as_deref().unwrap_or_default();
        let title = &*notification.title;
        // Key, and what was told of it last, unless all is well.
        let subject = match &line.event {
            Event::Root { is_available, .. } => {
                Some((format!("root:{root}"), (!is_available).then_some(title)))
            }
            Event::Source {
                source,
                is_available,
                ..
            } => Some((format!("source:{source}"), (!is_available).then_some(title))),
            // Its title has a value that changes all the time.
            Event::Space {
                is_crossed,
                measure,
            } => {
                let told = is_crossed.then_some("crossed");
                Some((format!("{}:{root}", measure.kind.as_str()), told))
            }
            _ => None,
        };
        if let Some((subject, told)) = subject {
            let (key, told) = (format!("{DOWN}{subject}"), told.unwrap_or_default());
            let before = self.down.get(&key).map_or("", String::as_str);
            if before == told {
                return;
            }
            positions.push((key.clone(), told.to_owned()));
            self.down.insert(key, told.to_owned());
        }
        notifications.push(notification);
    }

    async fn on_error(&mut self, error: LoggedError) {
        let told = self.told_errors.get_mut(&error.place);
        let more = match told {
            Some((at, more)) if error.at < at.after(SAME_ERROR) && error.at >= *at => {
                *more += 1;
                return;
            }
            Some((_, more)) => *more,
            None => 0,
        };
        self.told_errors.insert(error.place, (error.at, 0));
        let (title, text) = error
            .message
            .split_once('\n')
            .unwrap_or((&error.message, ""));
        let mut text: String = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        if more > 0 {
            let _ = write!(text, "\n{more} more of this kind were logged before.");
        }
        let notification = self.error(error.at, title.to_owned(), text.trim().to_owned());
        self.put(vec![notification], Vec::new()).await;
    }

    fn error(&mut self, at: Timestamp, title: String, text: String) -> Notification {
        self.errors += 1;
        Notification {
            id: format!("error-{}-{}", at.unix_ms(), self.errors),
            kind: Kind::Error,
            severity: Severity::Error,
            at: Moment(at),
            root: None,
            rule: None,
            title,
            text,
            details: serde_json::Value::Null,
        }
    }

    /// Puts what is to be told; while the registry cannot be written, it waits.
    async fn put(&self, notifications: Vec<Notification>, positions: Vec<(String, String)>) {
        let told = Arc::new((notifications, positions));
        loop {
            let (service, told) = (Arc::clone(&self.notifications), Arc::clone(&told));
            match spawn_blocking(move || service.put(&told.0, &told.1)).await {
                Ok(Ok(())) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::error!("notifications wait: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Tells removals. Returns true if some could not be told yet.
    async fn tell_removals(&self) -> bool {
        let (notifications, ledger) = (Arc::clone(&self.notifications), Arc::clone(&self.ledger));
        let registry = Arc::clone(&self.registry);
        let told = spawn_blocking(move || {
            let mut has_backlog = false;
            let receivers = notifications.receivers();
            for receiver in receivers.iter().filter(|receiver| wants_removals(receiver)) {
                has_backlog |= tell_removals(&notifications, &registry, &ledger, receiver)?;
            }
            anyhow::Ok(has_backlog)
        });
        match told.await {
            Ok(Ok(has_backlog)) => has_backlog,
            Ok(Err(error)) => {
                tracing::error!("removals are told later: {error:#}");
                true
            }
            Err(_) => true,
        }
    }
}
