//! Paths of the API, with their queries.

use std::fmt::Write as _;

use serde::Serialize;

use crate::types::to_query;

/// A path of the API, with its query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target(String);

impl Target {
    /// The path `path`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// The same with one more segment of the path, whatever is in it.
    #[must_use]
    pub fn below(mut self, segment: &str) -> Self {
        self.0.push('/');
        // A segment of dots alone means another one.
        let plain: &[u8] = if segment.bytes().all(|byte| byte == b'.') {
            b""
        } else {
            b"-._~:"
        };
        self.encode(segment.as_bytes(), plain);
        self
    }

    /// Appends the parameters of `query` that are set.
    #[must_use]
    pub fn query(mut self, query: &impl Serialize) -> Self {
        for (place, (name, value)) in to_query(query).into_iter().enumerate() {
            self.0.push(if place == 0 { '?' } else { '&' });
            self.0.push_str(&name);
            self.0.push('=');
            self.encode(&value, b"-._~/:");
        }
        self
    }

    fn encode(&mut self, bytes: &[u8], plain: &[u8]) {
        for &byte in bytes {
            if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
