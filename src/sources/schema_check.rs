//! Checks of queries, for all kinds of databases.

use std::collections::BTreeSet;

use super::error::QueryError;
use super::options::Queries;

/// Most tables, and columns of a table, that a message lists.
const LISTED_MAX: usize = 20;

/// Parameters that `mark` and `forget` may name besides the columns of `select`.
pub(super) const PARAMETERS: [&str; 3] = ["job", "now", "summary"];

/// Columns that decide: `changed` must not leave out one that `select` has, or its rows would say
/// another thing.
pub(super) const DECIDING: [&str; 9] = [
    "id",
    "status",
    "kind",
    "created_at",
    "completed_at",
    "last_activity",
    "expires_at",
    "cleaned_at",
    "files",
];

/// Returns whether a query's answers have the columns that they need.
pub(super) fn columns(
    query: &str,
    has: &BTreeSet<String>,
    queries: &Queries,
) -> Result<(), QueryError> {
    let missing = |what: &str, mend: &str| Err(wrong(query, what.to_owned(), mend));
    if !has.contains("id") {
        return missing("no column \"id\"", "name it with AS id");
    }
    if !has.contains("status") && queries.constant_status.is_none() {
        return missing(
            "no column \"status\"",
            "name it with AS status, or give the source one status for all jobs",
        );
    }
    Ok(())
}

/// `mark`; `mark 2` of several.
pub(super) fn statement_name(list: &str, at: usize, of: usize) -> String {
    if of == 1 {
        list.to_owned()
    } else {
        format!("{list} {}", at + 1)
    }
}

/// Returns what is wrong with a query, and what would mend it.
pub(super) fn wrong(query: &str, what: String, mend: &str) -> QueryError {
    QueryError::Query {
        query: query.to_owned(),
        what,
        mend: mend.to_owned(),
    }
}

/// Names for a message.
pub(super) fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(LISTED_MAX)].join(", ");
    if names.len() > LISTED_MAX {
        format!("{shown}, …")
    } else {
        shown
    }
}
