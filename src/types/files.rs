//! `GET /v1/files`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{JsonPath, Trigger};
use crate::core::jobs::Status;

/// A file of the index.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its absolute path.
    #[serde(flatten)]
    pub path: JsonPath,
    /// Its root's name.
    pub root: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Last change of its content.
    pub mtime: Option<String>,
    /// The job that owns it; of several, the one that keeps it longest.
    pub job: Option<String>,
    /// That job's source.
    pub source: Option<String>,
    /// That job's status.
    pub status: Option<Status>,
    /// The rule that it falls under.
    pub rule: Option<String>,
    /// Deadline.
    pub deadline: Option<String>,
    /// Instant of the removal: the deadline, or the first instant of the rule's schedule after it.
    /// `null`: on request, or never.
    pub lapses_at: Option<String>,
    /// Trigger of the removal. `null`: it is never removed.
    pub reason: Option<Trigger>,
    /// Code of the hold that keeps it although it is due.
    pub hold: Option<String>,
    /// The pin that holds it, due or not.
    pub pin: Option<u64>,
}

/// `GET /v1/files`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Files {
    /// The entries.
    pub files: Vec<Entry>,
    /// Position of the next page; `null`: this is the last.
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_entry_has_exactly_its_fields() {
        let entry = Entry {
            path: JsonPath::new(Path::new("/srv/a")),
            root: "srv".to_owned(),
            size: Some(1),
            mtime: None,
            job: None,
            source: None,
            status: None,
            rule: None,
            deadline: None,
            lapses_at: None,
            reason: None,
            hold: None,
            pin: None,
        };
        insta::assert_snapshot!(serde_json::to_string(&entry).unwrap(), @r#"{"path":"/srv/a","root":"srv","size":1,"mtime":null,"job":null,"source":null,"status":null,"rule":null,"deadline":null,"lapses_at":null,"reason":null,"hold":null,"pin":null}"#);
    }
}
