//! Context that the threads of a source share.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::Fault;
use super::listener::NotificationListener;
use crate::sources::decode::Decoder;
use crate::sources::options::{Queries, bare};
use crate::sources::postgres_options::PostgresOptions;
use crate::sources::stats::SourceStats;

use super::names::{self, Numbered};
use super::shape::Asked;

/// Context that the threads of a source share.
pub(super) struct SourceContext {
    pub(super) options: PostgresOptions,
    pub(super) decoder: Decoder,
    pub(super) stats: Mutex<SourceStats>,
    /// `select`, and `changed` with its parameters numbered.
    select: String,
    changed: Option<Numbered>,
    /// Listener of the connection that reads, while there is one and everything was read.
    pub(super) listener: Mutex<Option<Arc<NotificationListener>>>,
    /// Snapshot of the database when everything was read last; `None`: it is not known.
    pub(super) snapshot: Mutex<Option<String>>,
    /// True if notifications of changes arrive.
    pub(super) listens: Mutex<bool>,
    /// Everything is to be read again.
    pub(super) asked: Notify,
}

impl SourceContext {
    /// Of a source that was not asked yet.
    pub(super) fn new(options: PostgresOptions, decoder: Decoder) -> Self {
        let changed = options.queries.changed.as_deref();
        Self {
            select: bare(&options.queries.select).to_owned(),
            changed: changed.map(|sql| names::number(bare(sql))),
            options,
            decoder,
            stats: Mutex::default(),
            listener: Mutex::default(),
            snapshot: Mutex::default(),
            listens: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// To ask all jobs.
    pub(super) fn select(&self) -> Asked<'_> {
        self.asked_of("select", &self.select, 0)
    }

    /// To ask what changed.
    pub(super) fn changed(&self) -> Option<Asked<'_>> {
        let numbered = self.changed.as_ref()?;
        Some(self.asked_of("changed", &numbered.sql, numbered.names.len()))
    }

    /// The parameters that `changed` names.
    pub(super) fn changed_names(&self) -> &[String] {
        self.changed
            .as_ref()
            .map(|numbered| numbered.names.as_slice())
            .unwrap_or_default()
    }

    fn asked_of<'a>(&'a self, query: &'a str, sql: &'a str, parameters: usize) -> Asked<'a> {
        Asked {
            query,
            sql,
            parameters,
            queries: self.queries(),
            decoder: &self.decoder,
            user: self.options.user(),
        }
    }

    /// Returns what is asked.
    pub(super) fn queries(&self) -> &Queries {
        &self.options.queries
    }

    /// The message for people.
    pub(super) fn about(&self, fault: &Fault) -> String {
        fault.about(&self.options.place())
    }
}
