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

/// A value that outlives its query.
pub(super) enum Owned {
    /// A number, or nothing.
    Plain(Cell<'static>),
    /// Text; not always UTF-8.
    Text(Vec<u8>),
    /// Bytes that mean nothing to us.
    Blob(Vec<u8>),
}

impl Owned {
    /// The value as it is.
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Plain(cell) => *cell,
            Self::Text(text) => Cell::Text(text),
            Self::Blob(bytes) => Cell::Bytes(bytes),
        }
    }
}

/// Copies all values of `row`, in order.
///
/// # Errors
/// When SQLite fails.
pub(super) fn owned(row: &Row<'_>) -> rusqlite::Result<Vec<Owned>> {
    let owned = |value| match value {
        ValueRef::Null => Owned::Plain(Cell::Null),
        ValueRef::Integer(number) => Owned::Plain(Cell::Integer(number)),
        ValueRef::Real(number) => Owned::Plain(Cell::Real(number)),
        ValueRef::Text(text) => Owned::Text(text.to_vec()),
        ValueRef::Blob(bytes) => Owned::Blob(bytes.to_vec()),
    };
    (0..row.as_ref().column_count())
        .map(|at| row.get_ref(at).map(owned))
        .collect()
}
