//! Values that are texts on the wire: spans, sizes, instants, bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::Moment;
use crate::core::time::Timestamp;
use crate::core::{size, span};

/// Value of a parameter that need not be UTF-8.
#[derive(Clone, PartialEq, Eq, Debug, Default, ToSchema)]
#[schema(value_type = String)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Reader)
    }
}

/// Text form of a value, in parameters and bodies.
trait Text: Sized {
    /// Description for messages.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;
}

fn from_text<'de, T: Text, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    T::parse(&text).ok_or_else(|| de::Error::custom(format_args!("give {}", T::EXPECTED)))
}

/// Duration, such as `90s`, `15m`, `12h`, `7d` or `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ToSchema)]
#[schema(value_type = String)]
pub struct Span(pub Duration);

impl Text for Span {
    const EXPECTED: &'static str = "a duration such as 90s, 15m, 12h, 7d or 1h30m";

    fn parse(text: &str) -> Option<Self> {
        span::parse(text).ok().map(Self)
    }
}

/// Number of bytes, such as `1000`, `10kB`, `10M` or `1.5GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ToSchema)]
#[schema(value_type = String)]
pub struct Size(pub u64);

impl Text for Size {
    const EXPECTED: &'static str = "a size such as 1000, 10kB, 10M or 1.5GiB";

    fn parse(text: &str) -> Option<Self> {
        size::parse(text).ok().map(Self)
    }
}

/// Instant, or a duration before now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// Instant.
    At(Moment),
    /// Duration before now.
    Ago(Span),
}

impl Since {
    /// Returns the instant, seen from `now`.
    #[must_use]
    pub fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(Moment(at)) => at,
            Self::Ago(Span(ago)) => now.before(ago),
        }
    }
}

impl Text for Since {
    const EXPECTED: &'static str =
        "an instant such as 2024-05-06T07:08:09Z, or a duration such as 7d";

    fn parse(text: &str) -> Option<Self> {
        match Moment::parse(text) {
            Ok(at) => Some(Self::At(at)),
            Err(_) => Span::parse(text).map(Self::Ago),
        }
    }
}

/// Times to live by rule, such as `old=7d,*=12h`. A comma inside of a rule's name is part of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retention(pub BTreeMap<String, String>);

impl Text for Retention {
    const EXPECTED: &'static str = "rules with durations, such as old=7d or old=7d,*=12h";

    fn parse(text: &str) -> Option<Self> {
        let mut found = BTreeMap::new();
        let mut rule = String::new();
        for part in text.split(',') {
            rule.push_str(part);
            let (name, ttl) = rule.rsplit_once('=').unwrap_or((&rule, ""));
            if span::parse(ttl).is_ok() {
                found.insert(name.to_owned(), ttl.to_owned());
                rule.clear();
            } else {
                rule.push(',');
            }
        }
        rule.is_empty().then_some(Self(found))
    }
}

impl<'de> Deserialize<'de> for Retention {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl Serialize for Retention {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let pairs = self.0.iter().map(|(rule, ttl)| format!("{rule}={ttl}"));
        to.serialize_str(&pairs.collect::<Vec<_>>().join(","))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(self.0))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl Serialize for Since {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(at) => at.serialize(to),
            Self::Ago(span) => span.serialize(to),
        }
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_argument(text)
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_argument(text)
    }
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Moment::parse_argument(text) {
            Ok(at) => Ok(Self::At(at)),
            Err(_) => parse_argument(text),
        }
    }
}

fn parse_argument<T: Text>(text: &str) -> Result<T, String> {
    T::parse(text).ok_or_else(|| format!("give {}", T::EXPECTED))
}
