//! The values of a row, as SQLite gives them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

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

/// A value that outlives its query, exactly as it is in the database. `rusqlite`'s own panics at text that is not UTF-8.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Owned {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text; not always UTF-8.
    Text(Vec<u8>),
    /// Bytes that mean nothing to us.
    Blob(Vec<u8>),
}

impl Owned {
    /// The value as it is.
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(number) => Cell::Integer(*number),
            Self::Real(number) => Cell::Real(*number),
            Self::Text(text) => Cell::Text(text),
            Self::Blob(bytes) => Cell::Bytes(bytes),
        }
    }
}

impl From<ValueRef<'_>> for Owned {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Owned {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Copies all values of `row`, in order.
///
/// # Errors
/// When SQLite fails.
pub(super) fn owned(row: &Row<'_>) -> rusqlite::Result<Vec<Owned>> {
    (0..row.as_ref().column_count())
        .map(|at| row.get_ref(at).map(Owned::from))
        .collect()
}
