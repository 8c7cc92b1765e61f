//! Query parameters as pairs of names and bytes, from and to the structs of `query`.
//!
//! **Invariant:** a refusal names the parameter, its value and what would be accepted.

use std::fmt;

use serde::de::{self, DeserializeOwned, Visitor};
use serde::{Deserializer, Serialize};

/// Returns the parameters of `query` that are set, by name.
///
/// # Panics
/// If `query` is not a struct of texts, numbers, flags and bytes.
#[must_use]
pub fn to_query(query: &impl Serialize) -> Vec<(String, Vec<u8>)> {
    use serde_json::Value;
    let value = serde_json::to_value(query).expect("invariant: queries are plain structs");
    let Value::Object(fields) = value else {
        panic!("invariant: queries are structs");
    };
    let set = fields.into_iter().filter_map(|(name, value)| {
        let bytes = match value {
            Value::Null | Value::Bool(false) => return None,
            Value::Bool(true) => b"true".to_vec(),
            Value::Number(number) => number.to_string().into_bytes(),
            Value::String(text) => text.into_bytes(),
            Value::Array(bytes) => {
                let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
                bytes.iter().filter_map(byte).collect()
            }
            Value::Object(_) => panic!("invariant: queries are flat"),
        };
        Some((name, bytes))
    });
    set.collect()
}

/// Parses the parameters `pairs`; each name occurs at most once.
///
/// # Errors
/// [`QueryError`], which names the parameter.
pub fn from_query<T: DeserializeOwned>(pairs: Vec<(String, Vec<u8>)>) -> Result<T, QueryError> {
    T::deserialize(de::value::MapDeserializer::<_, QueryError>::new(
        pairs.into_iter().map(|(name, bytes)| {
            let value = ParameterValue {
                name: name.clone(),
                bytes,
            };
            (name, value)
        }),
    ))
}

/// Refusal of a parameter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueryError {
    /// Description that names the parameter.
    pub detail: String,
    /// Advice on how to fix it.
    pub hint: Option<String>,
    /// Accepted names or values.
    pub allowed: Vec<String>,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for QueryError {}

impl de::Error for QueryError {
    /// Refusal of a value by its type: the text is the advice.
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self {
            hint: Some(text.to_string()),
            ..Self::default()
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self {
            detail: format!("unknown query parameter \"{field}\""),
            allowed: expected.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self {
            allowed: expected.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

/// Value of one parameter.
struct ParameterValue {
    name: String,
    bytes: Vec<u8>,
}

impl ParameterValue {
    fn text(&self) -> Result<&str, QueryError> {
        std::str::from_utf8(&self.bytes).map_err(|_| QueryError {
            detail: format!("query parameter \"{}\" is not UTF-8", self.name),
            ..QueryError::default()
        })
    }

    /// Adds name and value to an error of the value's type.
    fn refusal(&self, error: QueryError) -> QueryError {
        if !error.detail.is_empty() {
            return error;
        }
        let text = String::from_utf8_lossy(&self.bytes);
        QueryError {
            detail: format!("query parameter \"{}\" cannot be \"{text}\"", self.name),
            ..error
        }
    }
}

impl de::IntoDeserializer<'_, QueryError> for ParameterValue {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ParameterValue {
    type Error = QueryError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        let text = self.text()?;
        visitor.visit_str(text).map_err(|error| self.refusal(error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        let (name, bytes) = (self.name.clone(), self.bytes.clone());
        let refusal = |error| Self { name, bytes }.refusal(error);
        visitor.visit_some(self).map_err(refusal)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        visitor.visit_bytes(&self.bytes)
    }

    /// A parameter without a value is true.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.text()? {
            "true" | "" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.refusal(de::Error::unknown_variant("", &["true", "false"]))),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, QueryError> {
        match self.text()?.parse() {
            Ok(number) => visitor.visit_u64(number),
            Err(_) => Err(self.refusal(de::Error::custom("give a whole number"))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, QueryError> {
        let text = self.text()?.to_owned();
        let variant = de::IntoDeserializer::<QueryError>::into_deserializer(text);
        visitor
            .visit_enum(variant)
            .map_err(|error| self.refusal(error))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::jobs::Status;
    use crate::types::{By, Bytes, FilesQuery, Since, Size, SortBy, SortOrder, Span, StatsQuery};

    fn files(pairs: &[(&str, &[u8])]) -> Result<FilesQuery, QueryError> {
        let owned = |&(name, value): &(&str, &[u8])| (name.to_owned(), value.to_vec());
        from_query(pairs.iter().map(owned).collect())
    }

    #[test]
    fn what_the_client_writes_the_server_reads() {
        let query = FilesQuery {
            job: Some(Bytes(b"/a b\xff".to_vec())),
            status: Some(Status::Failed),
            pinned: true,
            expiring_within: Some(Span(Duration::from_mins(90))),
            min_size: Some(Size(3 << 29)),
            sort: Some(SortBy::Age),
            order: Some(SortOrder::Desc),
            limit: Some(7),
            ..FilesQuery::default()
        };
        assert_eq!(from_query(to_query(&query)), Ok(query));
        for since in ["2024-05-06T07:08:09.000Z", "7days"] {
            let query = StatsQuery {
                by: Some(By::Day),
                since: Some(since.parse::<Since>().unwrap()),
            };
            assert_eq!(from_query(to_query(&query)), Ok(query));
        }
        assert!(files(&[("sync", b"")]).unwrap().sync);
    }

    #[test]
    fn refusals_name_the_parameter_and_what_is_allowed() {
        let error = files(&[("rot", b"1")]).unwrap_err();
        assert_eq!(error.detail, "unknown query parameter \"rot\"");
        assert_eq!(error.allowed.len(), 16);
        for (name, value, allowed, hint) in [
            ("sort", "x", "age, size, deadline, path", ""),
            ("order", "up", "asc, desc", ""),
            ("orphan", "1", "true, false", ""),
            (
                "status",
                "done",
                "pending, running, completed, failed, cancelled",
                "",
            ),
            ("limit", "-1", "", "whole number"),
            ("older_than", "soon", "", "1h30m"),
            ("min_size", "1x", "", "1.5GiB"),
        ] {
            let error = files(&[(name, value.as_bytes())]).unwrap_err();
            assert_eq!(
                error.detail,
                format!("query parameter \"{name}\" cannot be \"{value}\"")
            );
            assert_eq!(error.allowed.join(", "), allowed);
            assert!(error.hint.unwrap_or_default().contains(hint), "{name}");
        }
        let error = files(&[("root", b"\xff")]).unwrap_err();
        assert_eq!(error.detail, "query parameter \"root\" is not UTF-8");
    }
}
