//! Shape of a query's result: its columns, and how they are asked for.
//!
//! **Invariant:** columns are asked for by name: one that is dropped is an error, never another one
//! in its place.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::catalog;
use super::connection::Connection;
use super::error::{ServerError, query_fault};
use super::row::{self, Form};
use crate::sources::context::SourceContext;
use crate::sources::decode::Columns;
use crate::sources::error::Fault;
use crate::sources::schema_check;
use crate::sources::sql_value::SqlValue;

/// A query with its columns.
pub(super) struct Shape {
    /// The query as a table that is called `jobs`.
    table: String,
    names: Vec<String>,
    forms: Vec<Form>,
    kinds: Vec<Type>,
    columns: Columns,
}

/// Query, and the source that messages name.
pub(super) struct Asked<'a> {
    /// `select` or `changed`.
    pub(super) query: &'a str,
    /// Its text, for PostgreSQL.
    pub(super) sql: &'a str,
    /// Number of its parameters.
    pub(super) parameters: usize,
    pub(super) context: &'a SourceContext,
    pub(super) user: &'a str,
}

impl Shape {
    /// Asks the server what columns a query has.
    ///
    /// # Errors
    /// When it is no query, lacks a column, or cannot be asked.
    pub(super) fn learn(link: &Connection, asked: &Asked<'_>) -> Result<Self, Fault> {
        let table = format!("(\n{}\n) AS jobs", asked.sql);
        // One row without values: the query itself is not run.
        let sql = format!(
            "SELECT jobs.* FROM (VALUES (1)) AS one (one) LEFT JOIN (SELECT * FROM {table} LIMIT 0) AS jobs ON true"
        );
        let given = vec![None; asked.parameters];
        let rows = match link.rows(&sql, &given) {
            Ok(rows) => rows,
            Err(said) => return Err(wrong(link, asked, &said)),
        };
        let columns = rows.first().map(Row::columns).unwrap_or_default();
        let names: Vec<String> = columns.iter().map(|of| of.name().to_owned()).collect();
        let has: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        schema_check::columns(asked.query, &has, &asked.context.queries)
            .map_err(|fault| with_what_there_is(link, asked, fault))?;
        let kinds: Vec<Type> = columns.iter().map(|of| of.type_().clone()).collect();
        let refs: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Self {
            table,
            forms: kinds.iter().map(Form::of).collect(),
            columns: asked.context.decoder.columns(&refs),
            names,
            kinds,
        })
    }

    /// The query as a table that is called `jobs`.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Returns where what stands.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The columns' names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns what is asked for.
    pub(super) fn list(&self) -> String {
        let all = self.names.iter().zip(&self.forms).zip(&self.kinds);
        let asked: Vec<String> = all
            .map(|((name, form), kind)| form.asked(&column(name), kind))
            .collect();
        asked.join(", ")
    }

    /// All columns as text.
    pub(super) fn texts(&self) -> String {
        let texts: Vec<String> = self
            .names
            .iter()
            .map(|name| format!("{}::text", column(name)))
            .collect();
        texts.join(", ")
    }

    /// The column of ids.
    pub(super) fn id(&self) -> String {
        column(&self.names[self.columns.id_at()])
    }

    /// Returns whether ids are texts, which have an order for people.
    pub(super) fn has_text_ids(&self) -> bool {
        self.forms[self.columns.id_at()] == Form::Text
    }

    /// The column that shows when a row changed, with its type.
    pub(super) fn changed_at(&self) -> Option<(String, Form)> {
        let at = self.columns.changed_at()?;
        Some((column(&self.names[at]), self.forms[at]))
    }

    /// The values of a row that [`Shape::list`] asked for.
    ///
    /// # Errors
    /// When a column has another type by now.
    pub(super) fn cells<'a>(&self, row: &'a Row) -> Result<Vec<SqlValue<'a>>, Fault> {
        let mut columns = row.columns().iter().zip(&self.forms).zip(&self.names);
        match columns.find(|((column, form), _)| *column.type_() != form.comes_as()) {
            None => Ok(row::cells(row, &self.forms)),
            Some((_, name)) => Err(Fault::Failed {
                what: format!("column \"{name}\" has another type by now"),
                mend: "it is tried again",
            }),
        }
    }

    /// The text behind them at a place of [`Shape::texts`].
    pub(super) fn text_behind<'a>(&self, row: &'a Row, at: usize) -> Option<&'a str> {
        row::text(row, self.forms.len() + at)
    }
}

/// Returns what an error of a query means, with what would mend it.
pub(super) fn wrong(link: &Connection, asked: &Asked<'_>, said: &ServerError) -> Fault {
    with_what_there_is(link, asked, query_fault(asked.query, said, asked.user, ""))
}

fn with_what_there_is(link: &Connection, asked: &Asked<'_>, fault: Fault) -> Fault {
    fault.with_mend(|| catalog::what_there_is(link, asked.sql))
}

fn column(name: &str) -> String {
    format!("jobs.\"{}\"", name.replace('"', "\"\""))
}
