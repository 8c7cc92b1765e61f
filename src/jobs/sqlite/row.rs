//! The values of a row, as SQLite gives them.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::jobs::cell::Cell;

/// All values of `row`, in order.
///
/// # Errors
/// When SQLite fails.
pub(super) fn cells<'a>(row: &'a Row<'_>) -> rusqlite::Result<Vec<Cell<'a>>> {
    (0..row.as_ref().column_count())
        .map(|at| row.get_ref(at).map(cell))
        .collect()
}

/// A value as it is.
pub(super) fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(text),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
    }
}
