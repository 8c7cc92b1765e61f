//! Catalogue of the database: tables and triggers.

use std::collections::BTreeSet;

use super::connection::Connection;
use super::error::ServerError;
use super::row::text;
use crate::sources::schema_check;

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

/// Returns why changes of `relations` are not notified on `channel`; `None`: they are.
///
/// # Errors
/// Those of the server.
pub(super) fn lacks_triggers(
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
        let rows = link.rows(sql, &[given[0], given[1], Some(channel)])?;
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
pub(super) fn what_there_is(link: &Connection, sql: &str) -> String {
    let all = "SELECT c.relname::text, string_agg(a.attname::text, ', ' ORDER BY a.attnum) \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
               GROUP BY c.oid, c.relname ORDER BY c.relname LIMIT 1000";
    let Ok(rows) = link.rows(all, &[]) else {
        return "the database does not say what it has".to_owned();
    };
    let tables: Vec<(String, Vec<String>)> = rows
        .iter()
        .filter_map(|row| {
            let columns = text(row, 1)?.split(", ").map(str::to_owned);
            Some((text(row, 0)?.to_owned(), columns.collect()))
        })
        .collect();
    schema_check::what_there_is(&tables, sql)
}
