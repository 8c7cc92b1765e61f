//! Catalogue of the database: tables, triggers, plans of queries.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::connection::Connection;
use super::error::ServerError;
use super::read::PAGE;
use super::row::text;
use super::shape::Shape;
use crate::sources::schema_check::listed;
use crate::sources::snapshot_diff::ScanStrategy;

/// Bits of `pg_trigger.tgtype`: a trigger for inserted, deleted and updated rows.
const INSERT: i32 = 4;
const DELETE: i32 = 8;
const UPDATE: i32 = 16;

/// A table that a query reads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
}

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
pub(super) async fn plan(link: &Connection, shape: &Shape) -> Result<Plan, ServerError> {
    let (list, table, id) = (shape.list(), shape.table(), shape.id());
    let sql = format!(
        "EXPLAIN (VERBOSE, FORMAT JSON) SELECT {list} FROM {table} WHERE {id} IS NOT NULL ORDER BY {id} LIMIT {PAGE}"
    );
    let rows = link.rows(&sql, &[]).await?;
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
    let pages = is_search && is_all_searches && is_ordered_one_way(link, shape).await?;
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
async fn is_ordered_one_way(link: &Connection, shape: &Shape) -> Result<bool, ServerError> {
    if !shape.has_text_ids() {
        return Ok(true);
    }
    let (table, id) = (shape.table(), shape.id());
    let sql = format!(
        "SELECT collisdeterministic::text FROM pg_collation WHERE oid = \
         (SELECT pg_collation_for({id}) FROM (VALUES (1)) AS one (one) LEFT JOIN (SELECT * FROM {table} LIMIT 0) AS jobs ON true)::regcollation"
    );
    match link.rows(&sql, &[]).await {
        // Without a collation bytes are compared.
        Ok(rows) => Ok(rows.first().and_then(|row| text(row, 0)) != Some("false")),
        // Types without collations are none of these; servers before version 12 have only the
        // others.
        Err(said) if matches!(said.code(), "42804" | "42703" | "42883" | "42704") => Ok(true),
        Err(said) => Err(said),
    }
}

/// Returns why changes of `relations` are not notified on `channel`; `None`: they are.
///
/// # Errors
/// Those of the server.
pub(super) async fn lacks_triggers(
    link: &Connection,
    relations: &BTreeSet<Relation>,
    channel: &str,
) -> Result<Option<String>, ServerError> {
    if relations.is_empty() {
        return Ok(Some(
            "the select reads no table that could have a trigger".to_owned(),
        ));
    }
    // A trigger counts if the channel is one of its arguments, or if its function names it in
    // quotes or behind NOTIFY.
    let sql = r#"
        SELECT coalesce(bit_or(t.tgtype::int4) FILTER (WHERE t.tgenabled IN ('O', 'A') AND (
            position(('\x00'::bytea || convert_to($3::text, 'UTF8') || '\x00'::bytea) IN ('\x00'::bytea || t.tgargs)) > 0
            OR strpos(p.prosrc, '''' || $3::text || '''') > 0
            OR strpos(p.prosrc, '"' || $3::text || '"') > 0
            OR ($3::text ~ '^\w+$' AND p.prosrc ~* ('\mnotify\s+' || $3::text || '\M'))
        )), 0)::text
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_trigger t ON t.tgrelid = c.oid LEFT JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE n.nspname = $1::text AND c.relname = $2::text AND c.relkind IN ('r', 'p')"#;
    for relation in relations {
        let given = [&relation.schema, &relation.name].map(|name| Some(name.as_str()));
        let rows = link.rows(sql, &[given[0], given[1], Some(channel)]).await?;
        let bits = rows
            .first()
            .and_then(|row| text(row, 0)?.parse::<i32>().ok());
        let all = INSERT | DELETE | UPDATE;
        if bits.unwrap_or(0) & all != all {
            let Relation { schema, name } = relation;
            return Ok(Some(format!(
                "no trigger of {schema}.{name} notifies channel \"{channel}\" of every change"
            )));
        }
    }
    Ok(None)
}

/// Returns what the database has of what a query names: `table jobs has id, status, …`.
pub(super) async fn what_there_is(link: &Connection, sql: &str) -> String {
    let all = "SELECT c.relname::text, string_agg(a.attname::text, ', ' ORDER BY a.attnum) \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
               GROUP BY c.oid, c.relname ORDER BY c.relname LIMIT 1000";
    let Ok(rows) = link.rows(all, &[]).await else {
        return "the database does not say what it has".to_owned();
    };
    let tables: Vec<(&str, &str)> = rows
        .iter()
        .filter_map(|row| Some((text(row, 0)?, text(row, 1)?)))
        .collect();
    let words: BTreeSet<String> = sql
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .map(str::to_lowercase)
        .collect();
    let named: Vec<String> = tables
        .iter()
        .filter(|(table, _)| words.contains(&table.to_lowercase()))
        .map(|(table, columns)| {
            let columns: Vec<String> = columns.split(", ").map(str::to_owned).collect();
            format!("table {table} has {}", listed(&columns))
        })
        .collect();
    if tables.is_empty() {
        "the database has no tables yet".to_owned()
    } else if named.is_empty() {
        let all: Vec<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
        format!("the database has the tables {}", listed(&all))
    } else {
        named.join("; ")
    }
}
