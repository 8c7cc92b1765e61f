//! The JSON of pins, and of orders about them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;
use crate::core::pins;
use crate::types::JsonPath;

/// A pin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pin {
    /// Its number: never given twice.
    pub id: u64,
    /// The absolute path that it holds with all below it; absent when it holds a job.
    #[serde(flatten)]
    #[schema(value_type = super::OptionalPath)]
    pub path: Option<JsonPath>,
    /// The job that it holds; `null` when it holds a path.
    pub job: Option<String>,
    /// That job's source.
    pub source: Option<String>,
    /// Name of the user who set it.
    pub who: String,
    /// Reason.
    pub why: String,
    /// Instant at which it was set.
    pub set_at: String,
    /// Instant at which it ends.
    pub until: String,
}

impl From<&pins::Pin> for Pin {
    fn from(pin: &pins::Pin) -> Self {
        let (path, source, job) = match &pin.target {
            pins::PinTarget::Path(path) => (Some(JsonPath::new(path)), None, None),
            pins::PinTarget::Job { source, id } => (None, Some(source.clone()), Some(id.clone())),
        };
        Self {
            id: pin.id,
            path,
            job,
            source,
            who: pin.who.clone(),
            why: pin.why.clone(),
            set_at: pin.set_at.to_string(),
            until: pin.until.to_string(),
        }
    }
}

/// `GET /v1/pins`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Pins {
    /// The pins that hold, by number.
    pub pins: Vec<Pin>,
}

/// Body of `POST /v1/pins`: either a path or a job, and either `for` or `until`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"path": "/srv/data/keep", "for": "7d", "why": "wanted"})))]
pub struct PinOrder {
    /// An absolute path beneath a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path's bytes in base64, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// A job's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The job's source, where several know the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Duration from now, such as `7d`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// Reason. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Body of `PATCH /v1/pins/{id}`: one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(examples(json!({"for": "7d"})))]
pub struct PinChange {
    /// Duration from now, such as `7d`.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
}
