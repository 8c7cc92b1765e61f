//! `POST /v1/clean`: the order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::core::claim::Unit;

/// Body of `POST /v1/clean`. A list that is left out means all; an empty one names nothing, so that
/// nothing is removed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"dry_run": true}), json!({"dry_run": false, "rules": ["old"], "retention": {"old": "7d"}, "limit": 100})))]
pub struct CleanOrder {
    /// Only list what would be removed. Required: an order that leaves it out removes nothing.
    pub dry_run: bool,
    /// Names of roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
    /// Names of rules; left out: all but those with the schedule `named`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<String>>,
    /// Ids of jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<Vec<String>>,
    /// Patterns of paths from the root, as the `glob` of a rule: of files, of the names of
    /// directories that lapse as a whole; a job is removed only if they match all that it owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Only these things, such as those that a dry run listed: at most 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub things: Option<Vec<CleanThing>>,
    /// Only orphans.
    #[serde(default)]
    pub orphans_only: bool,
    /// Another time to live than the rule's: rule to duration, such as `7d`. `*`: every rule that
    /// is not named, apart from those of orphans.
    #[serde(default)]
    pub retention: BTreeMap<String, String>,
    /// Maximum number of files, directories and jobs to remove, those with the oldest deadlines
    /// first; left out: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Maximum number of held things that the answer lists; left out: all. Their numbers are in
    /// `holds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_limit: Option<u64>,
    /// Release the breaker of these roots first, as `POST /v1/breaker/release` does, and remove
    /// what `retention` makes due however much it is. Only admins may.
    #[serde(default)]
    pub release: bool,
    /// Word of the client's own, to find the run by in `GET /v1/runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A thing in a [`CleanOrder`], by what `removed` of a report tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CleanThing {
    /// Its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path's bytes in base64, where they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Its unit.
    pub unit: Unit,
    /// Id of the job, for a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_with_unknown_keys_or_without_dry_run_are_refused() {
        let order: CleanOrder = serde_json::from_str(r#"{"dry_run":false}"#).unwrap();
        assert_eq!(order, CleanOrder::default());
        let error = serde_json::from_str::<CleanOrder>("{}").unwrap_err();
        assert!(
            error.to_string().contains("missing field `dry_run`"),
            "{error}"
        );
        let error = serde_json::from_str::<CleanOrder>(r#"{"dry":true}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `dry`"), "{error}");
    }
}
