//! The time zone that a column's naive timestamps are in.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::error::QueryError;
use crate::core::time::Timestamp;

/// The time zones of columns; of others, UTC.
#[derive(Clone, Debug, Default)]
pub(super) struct Zones(BTreeMap<String, TimeZone>);

impl Zones {
    /// Reads their names.
    ///
    /// # Errors
    /// When there is no such zone.
    pub(super) fn parse(names: &BTreeMap<String, String>) -> Result<Self, QueryError> {
        let parse = |(column, zone): (&String, &String)| {
            find(zone)
                .map(|found| (column.to_lowercase(), found))
                .ok_or_else(|| QueryError::Zone {
                    column: column.clone(),
                    zone: zone.clone(),
                })
        };
        names.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The zone of `column`.
    pub(super) fn of(&self, column: &str) -> TimeZone {
        self.0.get(column).cloned().unwrap_or(TimeZone::UTC)
    }
}

fn find(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("utc") {
        Some(TimeZone::UTC)
    } else if name == "local" {
        TimeZone::try_system().ok()
    } else {
        TimeZone::get(name).ok()
    }
}

/// The instant at which clocks in `zone` show `shown`, in milliseconds; the later one of two, and
/// the later reading of one that they leave out: late is safe, early loses data.
pub(super) fn instant(zone: &TimeZone, shown: DateTime) -> Option<i64> {
    let at = zone.to_ambiguous_timestamp(shown).later().ok()?;
    Some(at.as_millisecond())
}

/// Returns what clocks in `zone` show at `at`, as SQLite writes it.
pub(super) fn shown(zone: &TimeZone, at: Timestamp) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(at.unix_ms()) else {
        return at.to_string();
    };
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}
