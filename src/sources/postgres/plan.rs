//! Plans of queries: whether everything can be read in pages, and of which tables.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::catalog::Relation;
use super::connection::Connection;
use super::error::ServerError;
use super::row::text;
use super::shape::Shape;
use crate::sources::snapshot_diff::ScanStrategy;

/// Rows of one page: some ten milliseconds.
pub(super) const PAGE: usize = 5000;

/// Plan of a reading of everything.
pub(super) struct Plan {
    /// Page by page, or all in one.
    pub(super) strategy: ScanStrategy,
    /// Relations that are read.
    pub(super) relations: BTreeSet<Relation>,
}

/// Returns how the server would give the first page of `shape`.
///
/// # Errors
/// Those of the server.
pub(super) fn plan(link: &Connection, shape: &Shape) -> Result<Plan, ServerError> {
    let (list, table, id) = (shape.list(), shape.table(), shape.id());
    let sql = format!(
        "EXPLAIN (VERBOSE, FORMAT JSON) SELECT {list} FROM {table} WHERE {id} IS NOT NULL ORDER BY {id} LIMIT {PAGE}"
    );
    let rows = link.rows(&sql, &[])?;
    let told = rows.first().and_then(|row| text(row, 0)).unwrap_or("null");
    let told: Json = serde_json::from_str(told).unwrap_or(Json::Null);
    let mut relations = BTreeSet::new();
    let mut is_search = false;
    let mut is_all_searches = true;
    let mut open = vec![&told[0]["Plan"]];
    while let Some(node) = open.pop() {
        match node["Node Type"].as_str().unwrap_or_default() {
            "Index Scan" | "Index Only Scan" => is_search = true,
            "Limit" | "Subquery Scan" | "Nested Loop" | "Memoize" | "Result" | "Append"
            | "Merge Append" => {}
            _ => is_all_searches = false,
        }
        if let (Some(schema), Some(name)) =
            (node["Schema"].as_str(), node["Relation Name"].as_str())
        {
            relations.insert(Relation {
                schema: schema.to_owned(),
                name: name.to_owned(),
            });
        }
        open.extend(node["Plans"].as_array().into_iter().flatten());
    }
    let pages = is_search && is_all_searches && is_ordered_one_way(link, shape)?;
    Ok(Plan {
        strategy: if pages {
            ScanStrategy::Paged
        } else {
            ScanStrategy::SinglePass
        },
        relations,
    })
}

/// Returns whether two ids that differ are never equal: a collation may say that they are, and a
/// page would end between them.
fn is_ordered_one_way(link: &Connection, shape: &Shape) -> Result<bool, ServerError> {
    if !shape.has_text_ids() {
        return Ok(true);
    }
    let (table, id) = (shape.table(), shape.id());
    let sql = format!(
        "SELECT collisdeterministic::text FROM pg_collation WHERE oid = \
         (SELECT pg_collation_for({id}) FROM (VALUES (1)) AS one (one) LEFT JOIN (SELECT * FROM {table} LIMIT 0) AS jobs ON true)::regcollation"
    );
    match link.rows(&sql, &[]) {
        // Without a collation bytes are compared.
        Ok(rows) => Ok(rows.first().and_then(|row| text(row, 0)) != Some("false")),
        // Types without collations are none of these; servers before version 12 have only the
        // others.
        Err(said) if matches!(said.code(), "42804" | "42703" | "42883" | "42704") => Ok(true),
        Err(said) => Err(said),
    }
}
