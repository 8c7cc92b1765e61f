//! Figures of a ledger, for people and monitoring.

/// Figures of a ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LedgerStats {
    /// Number of segments.
    pub segments: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Number of appends that failed.
    pub errors: u64,
    /// Error of the last append, if it failed.
    pub failing: Option<String>,
}
