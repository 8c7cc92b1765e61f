//! Errors as clients see them: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Refusal of a request, or failure to carry it out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"type": "about:blank", "title": "Not Found", "status": 404, "code": "not-found", "detail": "no root has \"/etc\"", "allowed": ["/srv"]})))]
pub struct Problem {
    /// Always `about:blank`: the status tells the kind (RFC 9457, 4.2.1).
    #[serde(rename = "type", default = "about_blank")]
    pub kind: String,
    /// The status in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Stable code of the error, such as `not-found`.
    #[serde(default)]
    pub code: String,
    /// Description that names the thing.
    pub detail: String,
    /// Advice on how to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Accepted values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// Number of the run that is in progress (`run-in-progress`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}

impl std::fmt::Display for Problem {
    /// Writes the detail; accepted values and advice follow on lines of their own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)?;
        if !self.allowed.is_empty() {
            write!(f, "\n  allowed: {}", self.allowed.join(", "))?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
