//! Context that the thread of a source and those who ask it share.

use std::sync::Arc;

use parking_lot::Mutex;

use super::change_signal::ChangeSignal;
use super::decode::Decoder;
use super::error::QueryError;
use super::options::Queries;
use super::stats::SourceStats;
use crate::core::jobs::SourceId;

/// Context that the thread of a source and those who ask it share.
pub(super) struct SourceContext {
    pub(super) id: SourceId,
    /// Its name, for people.
    pub(super) name: String,
    pub(super) queries: Queries,
    pub(super) decoder: Decoder,
    pub(super) stats: Mutex<SourceStats>,
    /// Wakes the thread.
    pub(super) signal: Arc<ChangeSignal>,
}

impl SourceContext {
    /// Of a source that was not asked yet.
    ///
    /// # Errors
    /// When a time zone is unknown.
    pub(super) fn new(id: SourceId, name: &str, queries: &Queries) -> Result<Self, QueryError> {
        Ok(Self {
            id,
            name: name.to_owned(),
            queries: queries.clone(),
            decoder: Decoder::new(name, queries)?,
            stats: Mutex::default(),
            signal: Arc::default(),
        })
    }
}
