//! Telling people: notifications, and their way to receivers.
//!
//! ```text
//! event → notification → outbox of each receiver that wants it → attempt,
//! until it succeeds or is given up
//! ```
//!
//! - `notification`: what is told, made from an event
//! - `settings`: receivers, as the configuration has them
//! - `service`: the outboxes, and orders about them
//! - `worker`: attempts of one outbox, in order, with backoff
//! - `heartbeat`: requests about runs
//! - `mail`: many notifications in one mail
//! - `webhook`: body, headers and signature of a request; `http`: the client
//!
//! **Invariant:** whoever tells never waits for a receiver, and no receiver waits for another.
//! **Invariant:** a delivery is at least once, in order for each receiver, and has one id for ever.
//! **Invariant:** secrets, and the paths of addresses, are in no log, answer or message.
#![doc = include_str!("DESIGN.md")]

mod failure;
mod heartbeat;
mod http;
mod mail;
mod notification;
mod service;
mod settings;
mod webhook;
mod worker;

pub use heartbeat::Beat;
pub use mail::check_mailbox;
pub use notification::{Kind, Notification, Severity};
pub use service::{ChannelStatus, Notifications, TestResult};
pub use settings::{Channel, Encryption, Format, Heartbeat, Mail, Receiver, Secret, Webhook};
