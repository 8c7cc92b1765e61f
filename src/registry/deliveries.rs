//! Deliveries: notifications that wait for their receivers, and positions of what was told.
//!
//! **Invariant:** a delivery is kept until its receiver has taken it, or until it is given up: it
//! may be delivered again after a crash, with the same id.
//! **Invariant:** deliveries of one queue are handed out in the order in which they were put there.

use rusqlite::{Row, Transaction, params};

use super::error::{Fault, RegistryError};
use super::handle::{Registry, number, stored};
use crate::core::time::Timestamp;

/// Deliveries that wait in one queue: ~10 MB. Further ones are left out and counted; the caller
/// reads removals from the ledger only while there is room.
pub const WAITING_MAX: u64 = 10_000;

/// Deliveries of one queue that were given up and are kept for `retry`; older ones are dropped.
pub const GIVEN_UP_MAX: u64 = 1000;

/// Receiver by one way: the name of the receiver, and `webhook` or `mail`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct QueueName {
    /// Name of the receiver.
    pub receiver: String,
    /// Way to it.
    pub channel: String,
}

/// Delivery to put into a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewDelivery {
    /// Its queue.
    pub queue: QueueName,
    /// Id of the notification; a second one of the same id is ignored.
    pub id: String,
    /// Kind of the notification.
    pub kind: String,
    /// Title, for lists.
    pub title: String,
    /// Instant.
    pub at: Timestamp,
    /// The notification as JSON.
    pub body: String,
}

/// Delivery that waits, or was given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Its number.
    pub number: u64,
    /// Delivery as it was put.
    pub put: NewDelivery,
    /// Number of attempts.
    pub attempts: u64,
    /// Instant of the last one.
    pub tried_at: Option<Timestamp>,
    /// Instant before which it is not tried again.
    pub due: Timestamp,
    /// Instant from which it counts when it is given up: it was put, or ordered to be retried.
    pub since: Timestamp,
    /// Error of the last attempt.
    pub error: Option<String>,
    /// True if it is not tried any more.
    pub is_given_up: bool,
}

/// Sums of a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueSums {
    /// The queue.
    pub queue: QueueName,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Instant of the oldest of them.
    pub since: Option<Timestamp>,
    /// Deliveries that were given up and are kept.
    pub given_up: u64,
    /// Deliveries that succeeded.
    pub delivered: u64,
    /// Instant of the last of them.
    pub delivered_at: Option<Timestamp>,
    /// Deliveries that were given up, those that are not kept any more included.
    pub given_up_ever: u64,
    /// Notifications for which there was no room.
    pub left_out: u64,
}

impl QueueSums {
    /// Sums of a queue that never had a delivery.
    #[must_use]
    pub const fn empty(queue: QueueName) -> Self {
        Self {
            queue,
            waiting: 0,
            since: None,
            given_up: 0,
            delivered: 0,
            delivered_at: None,
            given_up_ever: 0,
            left_out: 0,
        }
    }
}

/// Deliveries that an order means.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryFilter {
    /// Name of the receiver; `None`: all.
    pub receiver: Option<String>,
    /// Numbers; empty: all.
    pub numbers: Vec<u64>,
    /// True if only those are meant that were given up.
    pub is_given_up: bool,
}

const COLUMNS: &str = "number, receiver, channel, id, kind, title, at, body, attempts, tried_at, due, error, given_up, since";

/// Condition of a [`DeliveryFilter`], with the parameters of [`DeliveryFilter::parameters`].
const MEANT: &str = "(?1 IS NULL OR receiver = ?1) AND (?2 = 0 OR given_up)
    AND (?3 = '[]' OR number IN (SELECT value FROM json_each(?3)))";

impl DeliveryFilter {
    fn parameters(&self) -> Result<(Option<&str>, bool, String), Fault> {
        let numbers: Vec<i64> = self.numbers.iter().copied().map(stored).collect();
        Ok((
            self.receiver.as_deref(),
            self.is_given_up,
            serde_json::to_string(&numbers)?,
        ))
    }
}

impl Registry {
    /// Puts `deliveries` into their queues, as far as these have room, and saves the `positions` of
    /// what was told, in one transaction.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn put_deliveries(
        &self,
        deliveries: &[NewDelivery],
        positions: &[(String, String)],
    ) -> Result<(), RegistryError> {
        if deliveries.is_empty() && positions.is_empty() {
            return Ok(());
        }
        self.write("keep notifications", |changes| {
            for delivery in deliveries {
                put(changes, delivery)?;
            }
            for (key, value) in positions {
                changes
                    .prepare_cached(
                        "INSERT OR REPLACE INTO notify_position (key, value) VALUES (?1, ?2)",
                    )?
                    .execute([key, value])?;
            }
            Ok(())
        })
    }

    /// Returns the oldest deliveries that wait in `queue`, at most `limit`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn next_deliveries(
        &self,
        queue: &QueueName,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        self.read("read notifications", |connection| {
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM delivery WHERE receiver = ?1 AND channel = ?2 AND given_up = 0
                 ORDER BY number LIMIT ?3"
            ))?;
            let rows = query.query_map(params![queue.receiver, queue.channel, limit], delivery)?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Returns the numbers of the deliveries that wait in `queue` since `limit` or longer.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn deliveries_since(
        &self,
        queue: &QueueName,
        limit: Timestamp,
    ) -> Result<Vec<u64>, RegistryError> {
        self.read("read notifications", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT number FROM delivery WHERE receiver = ?1 AND channel = ?2 AND given_up = 0 AND since <= ?3",
            )?;
            let limit = limit.unix_ms();
            let rows = query.query_map(params![queue.receiver, queue.channel, limit], |row| {
                Ok(number(row.get(0)?))
            })?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Returns the number of deliveries that wait in `queue`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn waiting_deliveries(&self, queue: &QueueName) -> Result<u64, RegistryError> {
        self.read("read notifications", |connection| {
            let mut query = connection.prepare_cached(WAITING)?;
            Ok(number(
                query.query_row([&queue.receiver, &queue.channel], |row| row.get(0))?,
            ))
        })
    }

    /// Returns the deliveries that `filter` means, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn deliveries(
        &self,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<Delivery>, RegistryError> {
        self.read("read notifications", |connection| {
            let (receiver, given_up, numbers) = filter.parameters()?;
            let mut query = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM delivery WHERE {MEANT} ORDER BY number LIMIT ?4"
            ))?;
            let rows = query.query_map(params![receiver, given_up, numbers, limit], delivery)?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Removes deliveries of `queue` that its receiver has taken.
    ///
    /// # Errors
    /// When the registry cannot be written. They are delivered again then.
    pub fn delivered(
        &self,
        queue: &QueueName,
        numbers: &[u64],
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        self.write("forget what was delivered", |changes| {
            let mut delete = changes.prepare_cached("DELETE FROM delivery WHERE number = ?1")?;
            let mut count = 0;
            for &number in numbers {
                count += delete.execute([stored(number)])?;
            }
            add(changes, queue, (count, 0, 0))?;
            changes
                .prepare_cached(
                    "UPDATE receiver SET delivered_at = ?3 WHERE receiver = ?1 AND channel = ?2",
                )?
                .execute(params![queue.receiver, queue.channel, at.unix_ms()])?;
            Ok(())
        })
    }

    /// Saves that deliveries failed at `at`, and are tried again at `due`.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn delivery_failed(
        &self,
        numbers: &[u64],
        why: &str,
        at: Timestamp,
        due: Timestamp,
    ) -> Result<(), RegistryError> {
        self.write("note what could not be delivered", |changes| {
            let mut note = changes.prepare_cached(
                "UPDATE delivery SET attempts = attempts + 1, error = ?2, tried_at = ?3, due = ?4 WHERE number = ?1",
            )?;
            for &number in numbers {
                note.execute(params![stored(number), why, at.unix_ms(), due.unix_ms()])?;
            }
            Ok(())
        })
    }

    /// Gives deliveries of `queue` up, which failed at `at`. The newest [`GIVEN_UP_MAX`] are kept.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn give_up(
        &self,
        queue: &QueueName,
        numbers: &[u64],
        why: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        self.write("note what could not be delivered", |changes| {
            let mut note = changes.prepare_cached(
                "UPDATE delivery SET attempts = attempts + 1, error = ?2, tried_at = ?3, given_up = 1 WHERE number = ?1",
            )?;
            let mut count = 0;
            for &number in numbers {
                count += note.execute(params![stored(number), why, at.unix_ms()])?;
            }
            add(changes, queue, (0, count, 0))?;
            changes
                .prepare_cached(
                    "DELETE FROM delivery WHERE number IN (
                         SELECT number FROM delivery WHERE receiver = ?1 AND channel = ?2 AND given_up
                         ORDER BY number DESC LIMIT -1 OFFSET ?3)",
                )?
                .execute(params![queue.receiver, queue.channel, stored(GIVEN_UP_MAX)])?;
            Ok(())
        })
    }

    /// Has the deliveries that `filter` means tried again at once, in their order, those that were
    /// given up included; their `give_up` begins at `now`. Returns their number.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn retry_deliveries(
        &self,
        filter: &DeliveryFilter,
        now: Timestamp,
    ) -> Result<u64, RegistryError> {
        self.write("retry notifications", |changes| {
            let (receiver, given_up, numbers) = filter.parameters()?;
            let changed = changes
                .prepare_cached(&format!(
                    "UPDATE delivery SET given_up = 0, due = 0, since = ?4 WHERE {MEANT}"
                ))?
                .execute(params![receiver, given_up, numbers, now.unix_ms()])?;
            Ok(changed as u64)
        })
    }

    /// Drops the deliveries that `filter` means. Returns their number.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn drop_deliveries(&self, filter: &DeliveryFilter) -> Result<u64, RegistryError> {
        self.write("drop notifications", |changes| {
            let (receiver, given_up, numbers) = filter.parameters()?;
            let changed = changes
                .prepare_cached(&format!("DELETE FROM delivery WHERE {MEANT}"))?
                .execute(params![receiver, given_up, numbers])?;
            Ok(changed as u64)
        })
    }

    /// Returns the sums of all queues that ever had a delivery, by receiver.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn delivery_sums(&self) -> Result<Vec<QueueSums>, RegistryError> {
        self.read("read notifications", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT receiver, channel, delivered, delivered_at, given_up, left_out,
                     (SELECT count(*) FROM delivery AS d WHERE d.receiver = r.receiver AND d.channel = r.channel AND d.given_up = 0),
                     (SELECT min(at) FROM delivery AS d WHERE d.receiver = r.receiver AND d.channel = r.channel AND d.given_up = 0),
                     (SELECT count(*) FROM delivery AS d WHERE d.receiver = r.receiver AND d.channel = r.channel AND d.given_up)
                 FROM receiver AS r ORDER BY receiver, channel",
            )?;
            let rows = query.query_map([], |row| {
                let instant = |column: usize| -> rusqlite::Result<Option<Timestamp>> {
                    let at: Option<i64> = row.get(column)?;
                    Ok(at.map(Timestamp::from_unix_ms))
                };
                Ok(QueueSums {
                    queue: QueueName { receiver: row.get(0)?, channel: row.get(1)? },
                    delivered: number(row.get(2)?),
                    delivered_at: instant(3)?,
                    given_up_ever: number(row.get(4)?),
                    left_out: number(row.get(5)?),
                    waiting: number(row.get(6)?),
                    since: instant(7)?,
                    given_up: number(row.get(8)?),
                })
            })?;
            Ok(rows.collect::<Result<_, rusqlite::Error>>()?)
        })
    }
}

const WAITING: &str =
    "SELECT count(*) FROM delivery WHERE receiver = ?1 AND channel = ?2 AND given_up = 0";

fn put(changes: &Transaction<'_>, delivery: &NewDelivery) -> Result<(), Fault> {
    let QueueName { receiver, channel } = &delivery.queue;
    let waiting: i64 = changes
        .prepare_cached(WAITING)?
        .query_row([receiver, channel], |row| row.get(0))?;
    if number(waiting) >= WAITING_MAX {
        return add(changes, &delivery.queue, (0, 0, 1));
    }
    changes
        .prepare_cached(
            "INSERT OR IGNORE INTO delivery (receiver, channel, id, kind, title, at, since, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
        )?
        .execute(params![
            receiver,
            channel,
            delivery.id,
            delivery.kind,
            delivery.title,
            delivery.at.unix_ms(),
            delivery.body
        ])?;
    add(changes, &delivery.queue, (0, 0, 0))
}

/// Adds to the sums of a queue: deliveries that succeeded, were given up, and were left out.
fn add(
    changes: &Transaction<'_>,
    queue: &QueueName,
    (delivered, given_up, left_out): (usize, usize, usize),
) -> Result<(), Fault> {
    changes
        .prepare_cached(
            "INSERT INTO receiver (receiver, channel, delivered, given_up, left_out) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (receiver, channel) DO UPDATE SET delivered = delivered + ?3, given_up = given_up + ?4,
                 left_out = left_out + ?5",
        )?
        .execute(params![queue.receiver, queue.channel, delivered, given_up, left_out])?;
    Ok(())
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let tried_at: Option<i64> = row.get(9)?;
    Ok(Delivery {
        number: number(row.get(0)?),
        put: NewDelivery {
            queue: QueueName {
                receiver: row.get(1)?,
                channel: row.get(2)?,
            },
            id: row.get(3)?,
            kind: row.get(4)?,
            title: row.get(5)?,
            at: Timestamp::from_unix_ms(row.get(6)?),
            body: row.get(7)?,
        },
        attempts: number(row.get(8)?),
        tried_at: tried_at.map(Timestamp::from_unix_ms),
        due: Timestamp::from_unix_ms(row.get(10)?),
        error: row.get(11)?,
        is_given_up: row.get(12)?,
        since: Timestamp::from_unix_ms(row.get(13)?),
    })
}
