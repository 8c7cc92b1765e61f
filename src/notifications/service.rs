//! The outboxes of all receivers, and orders about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::failure::Failure;
use super::heartbeat::{self, AskEngine, Beat, SIGNALS_MAX};
use super::notification::Notification;
use super::settings::{Channel, Heartbeat, Receiver};
use super::worker::{Wakeup, Worker};
use crate::clock;
use crate::core::time::Timestamp;
use crate::registry::{
    DeliveryFilter, NewDelivery, QueueName, Registry, RegistryError, WAITING_MAX,
};
use crate::remote::Tls;

/// State of a way to a receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelStatus {
    /// Its outbox.
    pub queue: QueueName,
    /// Its destination, without secrets.
    pub destination: String,
    /// Instant of the next attempt.
    pub next: Option<Timestamp>,
    /// Error of the last heartbeat.
    pub error: Option<String>,
}

/// Result of an attempt by order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestResult {
    /// The way to the receiver.
    pub queue: QueueName,
    /// Time that it took.
    pub took: Duration,
    /// Reason of a failure.
    pub error: Option<String>,
}

/// All receivers.
pub struct Notifications {
    registry: Arc<Registry>,
    /// Runtime of the workers; `None`: nothing is sent.
    runtime: Option<Handle>,
    host: Arc<str>,
    receivers: RwLock<Arc<[Receiver]>>,
    running: Mutex<BTreeMap<QueueName, Running>>,
    hearts: Mutex<BTreeMap<String, Heart>>,
    /// The way to the engine, for heartbeats.
    engine: watch::Sender<Option<Arc<AskEngine>>>,
}

/// A task that sends heartbeats.
struct Heart {
    heartbeat: Heartbeat,
    beats: mpsc::Sender<Beat>,
    error: Arc<RwLock<Option<String>>>,
    task: JoinHandle<()>,
}

/// A worker that runs.
struct Running {
    receiver: Receiver,
    channel: Channel,
    wakeup: Arc<Wakeup>,
    next: Arc<RwLock<Option<Timestamp>>>,
    task: JoinHandle<()>,
}

impl Notifications {
    /// No receivers yet; their workers run on `runtime`, if there is one.
    #[must_use]
    pub fn new(registry: Arc<Registry>, runtime: Option<Handle>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
        let host = host.map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned());
        Self {
            registry,
            runtime,
            host: host.into(),
            receivers: RwLock::new(Arc::new([])),
            running: Mutex::default(),
            hearts: Mutex::default(),
            engine: watch::Sender::new(None),
        }
    }

    /// Says how to ask the engine for a sign of life: before that no heartbeat says that the daemon
    /// lives.
    pub fn set_engine(&self, ask: Arc<AskEngine>) {
        self.engine.send_replace(Some(ask));
    }

    /// The receivers.
    #[must_use]
    pub fn receivers(&self) -> Arc<[Receiver]> {
        Arc::clone(&self.receivers.read())
    }

    /// Puts other receivers in force. Workers of those that are as before go on. Waits for the
    /// disk.
    pub fn set(&self, receivers: Vec<Receiver>) {
        let receivers: Arc<[Receiver]> = receivers.into();
        *self.receivers.write() = Arc::clone(&receivers);
        let Some(runtime) = &self.runtime else {
            return;
        };
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        let mut tls = None;
        for receiver in receivers.iter() {
            for channel in &receiver.channels {
                let queue = QueueName {
                    receiver: receiver.name.clone(),
                    channel: channel.as_str().to_owned(),
                };
                let is_same = |one: &Running| {
                    one.receiver.give_up == receiver.give_up && one.channel == *channel
                };
                let worker = match before.remove(&queue) {
                    Some(worker) if is_same(&worker) => worker,
                    changed => {
                        end(changed);
                        let tls = tls.get_or_insert_with(Tls::of_host).clone();
                        self.start(runtime, &queue, receiver, channel, tls)
                    }
                };
                running.insert(queue, worker);
            }
        }
        for worker in before.into_values() {
            end(Some(worker));
        }
        self.set_hearts(runtime, &receivers, &mut tls);
    }

    fn set_hearts(&self, runtime: &Handle, receivers: &[Receiver], tls: &mut Option<Tls>) {
        let mut hearts = self.hearts.lock();
        let mut before = std::mem::take(&mut *hearts);
        for receiver in receivers {
            let Some(heartbeat) = &receiver.heartbeat else {
                continue;
            };
            let name = receiver.name.clone();
            let same = before.remove(&name);
            let heart = match same {
                Some(heart) if heart.heartbeat == *heartbeat => heart,
                changed => {
                    if let Some(heart) = changed {
                        heart.task.abort();
                    }
                    let tls = tls.get_or_insert_with(Tls::of_host).clone();
                    let (beats, signals) = mpsc::channel(SIGNALS_MAX);
                    let error = Arc::default();
                    let heartbeat = heartbeat.clone();
                    let told = Arc::clone(&error);
                    let inlets = (signals, self.engine.subscribe());
                    let task = heartbeat::run(name.clone(), heartbeat.clone(), tls, inlets, told);
                    Heart {
                        heartbeat,
                        beats,
                        error,
                        task: runtime.spawn(task),
                    }
                }
            };
            hearts.insert(name, heart);
        }
        for heart in before.into_values() {
            heart.task.abort();
        }
    }

    /// Sends a heartbeat to all receivers that have one. Waits for nobody.
    pub fn beat(&self, beat: Beat) {
        for heart in self.hearts.lock().values() {
            // A server that is slow needs no older signals.
            let _ = heart.beats.try_send(beat);
        }
    }

    fn start(
        &self,
        runtime: &Handle,
        queue: &QueueName,
        receiver: &Receiver,
        channel: &Channel,
        tls: Tls,
    ) -> Running {
        let (wakeup, next) = (Arc::<Wakeup>::default(), Arc::default());
        let worker = self.worker(queue, receiver, channel, tls);
        let worker = Worker {
            wakeup: Arc::clone(&wakeup),
            next: Arc::clone(&next),
            ..worker
        };
        Running {
            receiver: receiver.clone(),
            channel: channel.clone(),
            wakeup,
            next,
            task: runtime.spawn(worker.run()),
        }
    }

    fn worker(
        &self,
        queue: &QueueName,
        receiver: &Receiver,
        channel: &Channel,
        tls: Tls,
    ) -> Worker {
        Worker {
            registry: Arc::clone(&self.registry),
            queue: queue.clone(),
            channel: channel.clone(),
            give_up: receiver.give_up,
            host: Arc::clone(&self.host),
            tls,
            wakeup: Arc::default(),
            next: Arc::default(),
        }
    }

    /// Puts each of `notifications` into the outboxes of the receivers that want it, and saves the
    /// `positions` of what was told with them. Waits for the disk.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing was put then.
    pub fn put(
        &self,
        notifications: &[Notification],
        positions: &[(String, String)],
    ) -> Result<(), RegistryError> {
        let receivers = self.receivers();
        let wanted = notifications.iter().flat_map(|notification| {
            let wants = move |receiver: &&Receiver| receiver.wants(notification);
            let receivers = receivers.iter().filter(wants);
            receivers.flat_map(|receiver| deliveries(receiver, notification))
        });
        let wanted: Vec<_> = wanted.collect();
        self.put_deliveries(&wanted, positions)
    }

    /// As [`Self::put`], for one receiver, whatever it wants.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing was put then.
    pub fn put_for(
        &self,
        receiver: &Receiver,
        notifications: &[Notification],
        positions: &[(String, String)],
    ) -> Result<(), RegistryError> {
        let of_one = |notification| deliveries(receiver, notification);
        let all: Vec<_> = notifications.iter().flat_map(of_one).collect();
        self.put_deliveries(&all, positions)
    }

    fn put_deliveries(
        &self,
        deliveries: &[NewDelivery],
        positions: &[(String, String)],
    ) -> Result<(), RegistryError> {
        self.registry.put_deliveries(deliveries, positions)?;
        let running = self.running.lock();
        for delivery in deliveries {
            if let Some(worker) = running.get(&delivery.queue) {
                worker.wakeup.on_put();
            }
        }
        Ok(())
    }

    /// Returns true if all outboxes of `receiver` have room for `count` more. Waits for the disk.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn has_room(&self, receiver: &Receiver, count: u64) -> Result<bool, RegistryError> {
        for queue in queues(receiver) {
            if self.registry.waiting_deliveries(&queue)? + count > WAITING_MAX {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// State of the ways to all receivers.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let (receivers, running) = (self.receivers(), self.running.lock());
        let ways = receivers.iter().flat_map(|receiver| {
            let queues = queues(receiver).zip(&receiver.channels);
            queues.map(|(queue, channel)| ChannelStatus {
                destination: channel.destination(),
                next: running.get(&queue).and_then(|worker| *worker.next.read()),
                queue,
                error: None,
            })
        });
        let hearts = self.hearts.lock();
        let hearts = hearts.iter().map(|(name, heart)| ChannelStatus {
            queue: QueueName {
                receiver: name.clone(),
                channel: "heartbeat".to_owned(),
            },
            destination: heart.heartbeat.url.to_string(),
            next: None,
            error: heart.error.read().clone(),
        });
        ways.chain(hearts).collect()
    }

    /// Has the deliveries that `filter` means tried at once. Returns their number. Waits for the
    /// disk.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn retry(&self, filter: &DeliveryFilter) -> Result<u64, RegistryError> {
        let count = self.registry.retry_deliveries(filter, clock::now().wall)?;
        for worker in self.running.lock().values() {
            if filter
                .receiver
                .as_ref()
                .is_none_or(|name| *name == worker.receiver.name)
            {
                worker.wakeup.on_retry();
            }
        }
        Ok(count)
    }

    /// Drops the deliveries that `filter` means. Returns their number. Waits for the disk.
    ///
    /// # Errors
    /// When the registry cannot be written.
    pub fn drop_deliveries(&self, filter: &DeliveryFilter) -> Result<u64, RegistryError> {
        let count = self.registry.drop_deliveries(filter)?;
        for worker in self.running.lock().values() {
            worker.wakeup.on_put();
        }
        Ok(count)
    }

    /// Sends `notification` to the receiver `name` at once, by each way, beside its outbox; `None`:
    /// there is no such receiver.
    pub async fn test(&self, name: &str, notification: &Notification) -> Option<Vec<TestResult>> {
        let receivers = self.receivers();
        let receiver = receivers.iter().find(|receiver| receiver.name == name)?;
        let tls = tokio::task::spawn_blocking(Tls::of_host).await.ok()?;
        let mut results = Vec::new();
        for (queue, channel) in queues(receiver).zip(&receiver.channels) {
            let worker = self.worker(&queue, receiver, channel, tls.clone());
            let start = clock::now().boot;
            let sent = worker.attempt(std::slice::from_ref(notification)).await;
            results.push(TestResult {
                queue,
                took: clock::now().boot.saturating_sub(start),
                error: sent.err().map(|failure| match failure {
                    Failure::Retry { why, .. } | Failure::Final(why) => why,
                }),
            });
        }
        Some(results)
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        for worker in std::mem::take(&mut *self.running.lock()).into_values() {
            end(Some(worker));
        }
        for heart in self.hearts.lock().values() {
            heart.task.abort();
        }
    }
}

fn end(worker: Option<Running>) {
    if let Some(worker) = worker {
        worker.task.abort();
    }
}

fn queues(receiver: &Receiver) -> impl Iterator<Item = QueueName> {
    receiver.channels.iter().map(|channel| QueueName {
        receiver: receiver.name.clone(),
        channel: channel.as_str().to_owned(),
    })
}

fn deliveries<'r>(
    receiver: &'r Receiver,
    notification: &'r Notification,
) -> impl Iterator<Item = NewDelivery> + 'r {
    queues(receiver).map(move |queue| NewDelivery {
        queue,
        id: notification.id.clone(),
        kind: notification.kind.as_str().to_owned(),
        title: notification.title.clone(),
        at: notification.at.0,
        body: serde_json::json!(notification).to_string(),
    })
}
