//! Retention of segments (`ledger.keep`).
//!
//! **Invariant:** only whole closed segments are dropped, and never one that something unfinished
//! needs.
//! **Invariant:** ages are always counted back from the latest removal, never from the clock: a
//! jump of the clock must not cost the record.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::Arc;

use super::error::LedgerError;
use super::journal::Ledger;
use super::newest::NewestFirst;
use super::segment::Segment;
use crate::core::totals::Cursor;

/// Closed segment beyond the limits of retention.
#[derive(Debug)]
pub struct Surplus(Arc<Segment>);

/// Lines that are still needed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// Removals whose lines decide about something unfinished: contents of a quarantine, records to
    /// write to a source.
    pub ids: BTreeSet<u64>,
    /// Position up to which the lines are counted.
    pub counted: Option<Cursor>,
}

impl Needs {
    /// Returns true if the segment is needed, or cannot be read.
    fn include(&self, segment: &Segment) -> bool {
        let end = Cursor {
            segment: segment.floor,
            offset: segment.len,
        };
        let mut is_named = false;
        self.counted.is_none_or(|counted| counted < end)
            || segment
                .scan(true, |id| is_named |= self.ids.contains(&id))
                .is_err()
            || is_named
    }
}

impl Ledger {
    /// Returns the closed segments beyond the limits, oldest first. The caller must determine
    /// afterwards what is needed: what begins later has its lines in later segments.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn surplus(&self) -> Result<Vec<Surplus>, LedgerError> {
        let options = self.options();
        if options.keep_bytes.is_none() && options.keep_age.is_none() {
            return Ok(Vec::new());
        }
        let mut closed = self.segments();
        let active = closed.pop();
        // The others were moved away.
        closed.retain(|segment| segment.path.exists());
        let segments = closed.iter().chain(&active);
        let mut bytes: u64 = segments.map(|segment| segment.len).sum();
        let oldest = options.keep_age.zip(self.last_at());
        let oldest = oldest.map(|(age, last)| last.before(age));
        let mut surplus = Vec::new();
        for segment in closed {
            let is_more = options.keep_bytes.is_some_and(|most| bytes > most);
            let is_older = match oldest {
                Some(oldest) if !is_more => {
                    let mut lines = NewestFirst::new(vec![Arc::clone(&segment)], None);
                    let newest = lines.find_map(Result::ok);
                    newest.is_some_and(|line| line.at < oldest)
                }
                Some(_) | None => false,
            };
            if !is_more && !is_older {
                break;
            }
            bytes -= segment.len;
            surplus.push(Surplus(segment));
        }
        Ok(surplus)
    }

    /// Removes those of `surplus` that are not needed.
    ///
    /// # Errors
    /// When a segment cannot be removed. The later ones are kept as well.
    pub fn drop_surplus(&self, surplus: &[Surplus], needs: &Needs) -> Result<(), LedgerError> {
        for Surplus(segment) in surplus {
            if needs.include(segment) {
                tracing::info!(
                    segment = %segment.path.display(),
                    "a segment of the ledger stays beyond ledger.keep: something unfinished needs its lines"
                );
                continue;
            }
            remove(segment)?;
            self.forget(segment);
            tracing::info!(
                segment = %segment.path.display(),
                bytes = segment.len,
                "a segment of the ledger was dropped, as ledger.keep says"
            );
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "these are the ledger's own files, in the state directory"
)]
fn remove(segment: &Segment) -> Result<(), LedgerError> {
    std::fs::remove_file(&segment.path).map_err(LedgerError::io("remove", &segment.path))?;
    let Some(dir) = segment.path.parent() else {
        return Ok(());
    };
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(LedgerError::io("synchronize", dir))
}
