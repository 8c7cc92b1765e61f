//! Running totals of removals by root and rule.
//!
//! **Invariant:** a line of the ledger is counted once, however often the totals are asked for.

use parking_lot::Mutex;

use crate::core::totals::{Cursor, TotalKey, Totals};
use crate::ledger::Ledger;
use crate::registry::{Registry, RegistryError};

/// Totals of all days together, with an empty day, up to a position in the ledger.
#[derive(Default)]
pub(crate) struct RunningTotals(Mutex<(Totals, Option<Cursor>)>);

impl RunningTotals {
    /// Returns the totals up to now: what was known, and the lines that were appended since.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub(crate) fn up_to_now(
        &self,
        registry: &Registry,
        ledger: &Ledger,
    ) -> Result<Totals, RegistryError> {
        let mut known = self.0.lock();
        // Segments whose lines are counted may have been dropped.
        if registry.counted()? > known.1 {
            *known = registry.totals_of_all_days()?;
        }
        let (totals, until) = &mut *known;
        for stretch in ledger.stretches(*until) {
            for (key, sum) in stretch.totals().sums {
                let day = String::new();
                totals.add(TotalKey { day, ..key }, sum);
            }
            *until = Some(stretch.end());
        }
        Ok(totals.clone())
    }
}
