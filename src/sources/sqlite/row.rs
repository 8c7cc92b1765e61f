//! The values of a row, as SQLite gives them.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, ToSql};

use crate::sources::sql_value::SqlValue;

/// All values of `row`, in order.
///
/// # Errors
/// When SQLite fails.
pub(super) fn cells<'a>(row: &'a Row<'_>) -> rusqlite::Result<Vec<SqlValue<'a>>> {
    (0..row.as_ref().column_count())
        .map(|at| row.get_ref(at).map(cell))
        .collect()
}

/// A value as it is.
pub(super) fn cell(value: ValueRef<'_>) -> SqlValue<'_> {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => SqlValue::Text(text),
        ValueRef::Blob(bytes) => SqlValue::Bytes(bytes),
    }
}

/// A value that outlives its query, exactly as it is in the database. `rusqlite`'s own panics at
/// text that is not UTF-8.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum OwnedValue {
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

impl OwnedValue {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    /// The value as it is.
    pub(super) fn cell(&self) -> SqlValue<'_> {
        cell(self.value())
    }
}

impl From<ValueRef<'_>> for OwnedValue {
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

impl ToSql for OwnedValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.value()))
    }
}

/// Copies all values of `row`, in order.
///
/// # Errors
/// When SQLite fails.
pub(super) fn owned(row: &Row<'_>) -> rusqlite::Result<Vec<OwnedValue>> {
    (0..row.as_ref().column_count())
        .map(|at| row.get_ref(at).map(OwnedValue::from))
        .collect()
}
