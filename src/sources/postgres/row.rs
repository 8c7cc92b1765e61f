//! The values of a row, as PostgreSQL sends them.
//!
//! **Invariant:** nothing depends on the settings of a session: instants and numbers come in
//! binary, everything else as the text that the server itself would read as the same value.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Kind, Type};

use crate::sources::sql_value::SqlValue;

/// From 1970 to 2000, which instants are counted from, in microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;

/// Form in which a column is asked for and its values are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Bool,
    Integer,
    Real,
    /// A number of any size, as text.
    Number,
    Text,
    Bytes,
    Json,
    Instant,
    Shown,
    Date,
}

impl Form {
    /// Of a column's type.
    pub(super) fn of(kind: &Type) -> Self {
        if let Kind::Array(_) = kind.kind() {
            return Self::Json;
        }
        match *kind {
            Type::BOOL => Self::Bool,
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Self::Integer,
            Type::FLOAT4 | Type::FLOAT8 => Self::Real,
            Type::NUMERIC => Self::Number,
            Type::BYTEA => Self::Bytes,
            Type::JSON | Type::JSONB => Self::Json,
            Type::TIMESTAMPTZ => Self::Instant,
            Type::TIMESTAMP => Self::Shown,
            Type::DATE => Self::Date,
            _ => Self::Text,
        }
    }

    /// Returns what of `column`, which is of type `kind`, is asked for.
    pub(super) fn asked(self, column: &str, kind: &Type) -> String {
        match self {
            Self::Bool | Self::Bytes | Self::Instant | Self::Shown | Self::Date => {
                column.to_owned()
            }
            Self::Integer => format!("{column}::int8"),
            Self::Real => format!("{column}::float8"),
            Self::Json if matches!(kind.kind(), Kind::Array(_)) => {
                format!("to_json({column})::text")
            }
            Self::Number | Self::Text | Self::Json => format!("{column}::text"),
        }
    }

    /// The type in which values of this form come.
    pub(super) fn comes_as(self) -> Type {
        match self {
            Self::Bool => Type::BOOL,
            Self::Integer => Type::INT8,
            Self::Real => Type::FLOAT8,
            Self::Number | Self::Text | Self::Json => Type::TEXT,
            Self::Bytes => Type::BYTEA,
            Self::Instant => Type::TIMESTAMPTZ,
            Self::Shown => Type::TIMESTAMP,
            Self::Date => Type::DATE,
        }
    }

    fn read(self, value: Option<&[u8]>) -> Option<SqlValue<'_>> {
        let Some(bytes) = value else {
            return Some(SqlValue::Null);
        };
        let integer = || Some(i64::from_be_bytes(bytes.try_into().ok()?));
        Some(match self {
            Self::Bool => SqlValue::Bool(bytes.first()? != &0),
            Self::Integer => SqlValue::Integer(integer()?),
            Self::Real => SqlValue::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            Self::Number => number(bytes)?,
            Self::Text => SqlValue::Text(bytes),
            Self::Bytes => SqlValue::Bytes(bytes),
            Self::Json => SqlValue::Json(bytes),
            Self::Instant | Self::Shown => match integer()? {
                i64::MAX => SqlValue::Infinite { is_past: false },
                i64::MIN => SqlValue::Infinite { is_past: true },
                us if self == Self::Instant => SqlValue::Instant(us.saturating_add(EPOCH_US)),
                us => SqlValue::Shown(us.saturating_add(EPOCH_US)),
            },
            Self::Date => match i32::from_be_bytes(bytes.try_into().ok()?) {
                i32::MAX => SqlValue::Infinite { is_past: false },
                i32::MIN => SqlValue::Infinite { is_past: true },
                days => SqlValue::Shown((i64::from(days) * DAY_US).saturating_add(EPOCH_US)),
            },
        })
    }
}

fn number(text: &[u8]) -> Option<SqlValue<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    Some(match text.parse::<i64>() {
        Ok(number) => SqlValue::Integer(number),
        Err(_) => SqlValue::Real(text.parse().ok()?),
    })
}

/// The values of `row` from its begin, which were asked for as `forms`; one that is no such value
/// is text that cannot be read.
pub(super) fn cells<'a>(row: &'a Row, forms: &[Form]) -> Vec<SqlValue<'a>> {
    let values = forms.iter().enumerate().map(|(at, form)| {
        let value = bytes(row, at);
        form.read(value)
            .unwrap_or(SqlValue::Bytes(value.unwrap_or_default()))
    });
    values.collect()
}

/// The text at a place; `None`: nothing, or no text.
pub(super) fn text(row: &Row, at: usize) -> Option<&str> {
    std::str::from_utf8(bytes(row, at)?).ok()
}

fn bytes(row: &Row, at: usize) -> Option<&[u8]> {
    row.try_get::<_, Option<Raw<'_>>>(at)
        .ok()
        .flatten()
        .map(|Raw(bytes)| bytes)
}

/// A value as it came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _kind: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_never_come_are_distinguished() {
        let at = |us: i64| us.to_be_bytes();
        let zero = at(0);
        assert_eq!(
            Form::Instant.read(Some(&zero)),
            Some(SqlValue::Instant(EPOCH_US))
        );
        assert_eq!(
            Form::Shown.read(Some(&at(i64::MAX))),
            Some(SqlValue::Infinite { is_past: false })
        );
        assert_eq!(
            Form::Date.read(Some(&i32::MIN.to_be_bytes())),
            Some(SqlValue::Infinite { is_past: true })
        );
        assert_eq!(
            Form::Date.read(Some(&1_i32.to_be_bytes())),
            Some(SqlValue::Shown(EPOCH_US + DAY_US))
        );
        assert_eq!(Form::Instant.read(Some(b"short")), None);
    }

    #[test]
    fn numbers_of_any_size_stay_numbers() {
        assert_eq!(Form::Number.read(Some(b"7")), Some(SqlValue::Integer(7)));
        assert_eq!(Form::Number.read(Some(b"7.5")), Some(SqlValue::Real(7.5)));
        assert_eq!(Form::Number.read(Some(b"x")), None);
        assert_eq!(Form::Number.read(None), Some(SqlValue::Null));
    }
}
