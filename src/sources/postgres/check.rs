//! Checks that the queries fit the database, for `lapsed check`.
//!
//! **Invariant:** checking writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::connection::{Connection, ConnectionRole};
use super::database::PostgresDatabase;
use super::names::{self, Numbered};
use super::shape::{self, Shape};
use super::{listener::NotificationListener, plan};
use crate::core::jobs::SourceId;
use crate::sources::context::SourceContext;
use crate::sources::error::{Fault, QueryError};
use crate::sources::options::{PostgresOptions, bare};
use crate::sources::schema_check::{self, QueryChecks};

/// Checks that the queries of `options` fit its database.
///
/// # Errors
/// When a query does not fit, with the query and the column; [`QueryError::Database`] when the
/// server cannot be asked now.
pub(in crate::sources) fn check(name: &str, options: &PostgresOptions) -> Result<(), QueryError> {
    ask(name, options, |database, link| {
        schema_check::check(&PostgresChecks { database, link }, &options.queries)
    })
}

/// Asks a database that no source reads.
///
/// # Errors
/// When it cannot be asked, or the question's own.
pub(super) fn ask<T>(
    name: &str,
    options: &PostgresOptions,
    question: impl FnOnce(&PostgresDatabase, &Connection) -> Result<T, Fault>,
) -> Result<T, QueryError> {
    let context = SourceContext::new(SourceId(0), name, &options.queries)?;
    let database = PostgresDatabase::new(options, Arc::new(context));
    let listener = Arc::new(NotificationListener::new(Arc::default()));
    let connected = database.connect(ConnectionRole::Reads, listener, None);
    let answer = connected.and_then(|link| question(&database, &link));
    answer.map_err(|fault| match fault {
        Fault::Query(error) => error,
        fault => QueryError::Database(fault.about(&options.place())),
    })
}

struct PostgresChecks<'a> {
    database: &'a PostgresDatabase,
    link: &'a Connection,
}

impl QueryChecks for PostgresChecks<'_> {
    fn parameters(&self, _query: &str, sql: &str) -> Result<Vec<String>, Fault> {
        let names = names::number(bare(sql)).names.into_iter();
        Ok(names.map(|name| format!(":{name}")).collect())
    }

    fn columns(&self, query: &str, sql: &str) -> Result<BTreeSet<String>, Fault> {
        let Numbered { sql, names } = names::number(bare(sql));
        let asked = self.database.asked(query, &sql, names.len());
        let shape = Shape::learn(self.link, &asked)?;
        if query == "select" {
            // Whether the tables may be read shows only when they are.
            let some = format!("SELECT {} FROM {} LIMIT 1", shape.list(), shape.table());
            let read = plan::plan(self.link, &shape).and_then(|_| self.link.rows(&some, &[]));
            read.map_err(|said| match shape::wrong(self.link, &asked, &said) {
                Fault::Denied { what, mend } => Fault::query(query, what, &mend),
                fault => fault,
            })?;
        }
        Ok(shape
            .names()
            .iter()
            .map(|name| name.to_lowercase())
            .collect())
    }

    fn check_write(&self, name: &str, sql: &str) -> Result<(), Fault> {
        let Numbered { sql, names } = names::number(bare(sql));
        let asked = self.database.asked(name, &sql, names.len());
        let prepared = self.link.prepare(&sql);
        prepared
            .map(drop)
            .map_err(|said| shape::wrong(self.link, &asked, &said))
    }
}
