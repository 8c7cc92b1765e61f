//! Paths in JSON.
//!
//! **Invariant:** no path is lost on the way. One that is not UTF-8 stands lossy in `path`, with
//! its bytes in `path_b64` beside it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A path in JSON: to be flattened into what it belongs to.
#[derive(
    Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, ToSchema,
)]
pub struct JsonPath {
    /// The path as text; lossy when `path_b64` is there.
    pub path: String,
    /// The path's bytes in base64, when they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
}

/// Members of a path that may be absent, for the `OpenAPI` document: an optional [`JsonPath`] that
/// is flattened leaves its members out.
#[derive(Clone, Debug, ToSchema)]
pub struct OptionalPath {
    /// The path; bytes that are not UTF-8 are replaced.
    pub path: Option<String>,
    /// The path in base64, where it is not UTF-8.
    pub path_b64: Option<String>,
}

impl JsonPath {
    /// `path` for JSON.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => Self {
                path: text.to_owned(),
                path_b64: None,
            },
            Cow::Owned(path) => Self {
                path,
                path_b64: Some(STANDARD.encode(bytes)),
            },
        }
    }

    /// The path that this stands for; `None` when its base64 is none.
    #[must_use]
    pub fn decode(&self) -> Option<PathBuf> {
        match &self.path_b64 {
            None => Some(PathBuf::from(&self.path)),
            Some(coded) => {
                let bytes = STANDARD.decode(coded).ok()?;
                Some(PathBuf::from(OsString::from_vec(bytes)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn paths_that_are_not_utf_8_come_back_as_they_were() {
        for bytes in [&b"/srv/a"[..], b"/srv/\xff\xfe", b"/\xc3\xa4"] {
            let path = Path::new(OsStr::from_bytes(bytes));
            let json = JsonPath::new(path);
            assert_eq!(json.decode().unwrap(), path);
            assert_eq!(json.path_b64.is_some(), std::str::from_utf8(bytes).is_err());
        }
    }
}
