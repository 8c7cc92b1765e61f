//! Checks of queries, for all kinds of databases.

use std::collections::BTreeSet;

use super::error::Fault;
use super::options::Queries;

/// Most tables, and columns of a table, that a message lists.
const LISTED_MAX: usize = 20;

/// Parameters that `mark` and `forget` may name besides the columns of `select`.
const PARAMETERS: [&str; 3] = ["job", "now", "summary"];

/// Columns that decide: `changed` must not leave out one that `select` has, or its rows would say
/// another thing.
const DECIDING: [&str; 9] = [
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
pub(super) fn columns(query: &str, has: &BTreeSet<String>, queries: &Queries) -> Result<(), Fault> {
    let missing = |what: &str, mend: &str| Err(Fault::query(query, what.to_owned(), mend));
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

/// A connection by which queries are checked. It writes nothing.
pub(super) trait QueryChecks {
    /// Returns the parameters that a statement names, each with its sign.
    ///
    /// # Errors
    /// When it is no statement.
    fn parameters(&self, query: &str, sql: &str) -> Result<Vec<String>, Fault>;

    /// Returns the columns that a query has, in lower case.
    ///
    /// # Errors
    /// When it is no query, or lacks a column.
    fn columns(&self, query: &str, sql: &str) -> Result<BTreeSet<String>, Fault>;

    /// Checks a statement that writes.
    ///
    /// # Errors
    /// When it does not fit.
    fn check_write(&self, name: &str, sql: &str) -> Result<(), Fault>;
}

/// Checks that `queries` fit the database behind `connection`.
///
/// # Errors
/// When one does not fit, with what would mend it.
pub(super) fn check(connection: &dyn QueryChecks, queries: &Queries) -> Result<(), Fault> {
    let unknown = |query: &str, name: &str, mend: &str| {
        Err(Fault::query(
            query,
            format!("unknown parameter {name}"),
            mend,
        ))
    };
    if let Some(name) = connection.parameters("select", &queries.select)?.first() {
        return unknown("select", name, "it may name none");
    }
    let known = connection.columns("select", &queries.select)?;
    if let Some(sql) = &queries.changed {
        let names = connection.parameters("changed", sql)?;
        if let Some(other) = names.iter().find(|name| *name != ":since") {
            return unknown("changed", other, "it may name :since");
        }
        let has = connection.columns("changed", sql)?;
        let mut needed = DECIDING
            .into_iter()
            .filter(|name| known.contains(*name))
            .chain(["changed_at"]);
        if let Some(name) = needed.find(|name| !has.contains(*name)) {
            let mend = "it needs the columns of select, and changed_at";
            let what = format!("no column \"{name}\"");
            return Err(Fault::query("changed", what, mend));
        }
        if names.is_empty() {
            let mend = "without it, all jobs would be read each time: ask for those that changed at :since or later";
            let what = "it does not name :since".to_owned();
            return Err(Fault::query("changed", what, mend));
        }
    }
    for (list, statements) in [("mark", &queries.mark), ("forget", &queries.forget)] {
        for (at, sql) in statements.iter().enumerate() {
            let query = statement_name(list, at, statements.len());
            for name in connection.parameters(&query, sql)? {
                let bare = &name[1..];
                if !PARAMETERS.contains(&bare) && !known.contains(&bare.to_lowercase()) {
                    let known = known.iter().map(String::as_str);
                    let may: Vec<String> = PARAMETERS
                        .into_iter()
                        .chain(known)
                        .map(|name| format!(":{name}"))
                        .collect();
                    let mend = format!("it may name {}", may.join(", "));
                    return unknown(&query, &name, &mend);
                }
            }
            connection.check_write(&query, sql)?;
        }
    }
    Ok(())
}

/// Returns what a database with `tables` has of what a query names: `table jobs has id, status, …`.
pub(super) fn what_there_is(tables: &[(String, Vec<String>)], sql: &str) -> String {
    let words: BTreeSet<String> = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .collect();
    let named: Vec<String> = tables
        .iter()
        .filter(|(table, _)| words.contains(&table.to_lowercase()))
        .map(|(table, columns)| format!("table {table} has {}", listed(columns)))
        .collect();
    if tables.is_empty() {
        "the database has no tables yet".to_owned()
    } else if named.is_empty() {
        let all: Vec<String> = tables.iter().map(|(table, _)| table.clone()).collect();
        format!("the database has the tables {}", listed(&all))
    } else {
        named.join("; ")
    }
}

/// `mark`; `mark 2` of several.
pub(super) fn statement_name(list: &str, at: usize, of: usize) -> String {
    if of == 1 {
        list.to_owned()
    } else {
        format!("{list} {}", at + 1)
    }
}

/// Names for a message.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(LISTED_MAX)].join(", ");
    if names.len() > LISTED_MAX {
        format!("{shown}, …")
    } else {
        shown
    }
}
