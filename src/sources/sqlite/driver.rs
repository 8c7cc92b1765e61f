//! Driver of SQLite databases: asks for one job, and writes records.
//!
//! **Invariant:** "gone" is said only of a row that the file under the path does not have now.
//! **Invariant:** all statements of a record are written, or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use super::database::{PATIENCE, SqliteDatabase};
use super::error::said;
use super::missing_columns::{self, AddedColumns};
use super::reader::SqliteReader;
use super::row::OwnedValue;
use super::{find, open};
use crate::core::jobs::{JobLookup, JobRow};
use crate::core::policy::Record;
use crate::sources::context::SourceContext;
use crate::sources::driver::{Driver, ReadDriver, Transaction};
use crate::sources::error::Fault;
use crate::sources::lookup;
use crate::sources::options::bare;
use crate::sources::write_back::{WriteBack, WriteFailure, parameter};
use crate::sources::zone;

impl Driver for SqliteDatabase {
    fn place(&self) -> String {
        format!("\"{}\"", self.options.path.display())
    }

    fn fresh(&self, id: &str) -> JobLookup {
        let found = self.ask(|session| {
            lookup::in_any_spelling(id, |id| find::one(&session.connection, &self.context, id))
        });
        lookup::answer(found, &self.place())
    }

    fn is_current(&self) -> bool {
        let state = self.ask(|session| {
            let version = open::data_version(&session.connection)?;
            Ok(session.read_at.map(|read_at| read_at == version))
        });
        match state {
            Ok(Some(true)) => return true,
            Ok(Some(false)) | Err(_) => self.context.signal.raise(),
            Ok(None) => self.context.signal.request_reading(),
        }
        false
    }

    fn look_at(&self, _id: &str) {
        // When something has changed, this has it read.
        self.is_current();
    }

    fn begin(&self) -> Result<Box<dyn Transaction + '_>, WriteFailure> {
        let connection = open::to_write(&self.options.path, PATIENCE)?;
        // Writing at once, so that no writer changes the row between looking and writing.
        let begun = connection.execute_batch("BEGIN IMMEDIATE");
        begun.map_err(Fault::from)?;
        let columns = &self.options.add_columns;
        Ok(Box::new(SqliteTransaction {
            views: Some(missing_columns::shadow_with_views(&connection, columns)?),
            context: &self.context,
            connection,
            columns,
            row: Vec::new(),
        }))
    }

    fn reader(self: Arc<Self>) -> Box<dyn ReadDriver> {
        Box::new(SqliteReader::new(self))
    }

    fn interrupt(&self) {
        if let Some(interrupt) = self.interrupt.lock().as_ref() {
            interrupt.interrupt();
        }
    }
}

/// Connection with a transaction, which ends with it.
struct SqliteTransaction<'a> {
    connection: Connection,
    context: &'a SourceContext,
    columns: &'a AddedColumns,
    /// Tables that look as if they had all columns.
    views: Option<BTreeSet<&'a str>>,
    row: Vec<(String, OwnedValue)>,
}

impl Transaction for SqliteTransaction<'_> {
    fn find(&mut self, id: &str) -> Result<Option<JobRow>, WriteFailure> {
        let found = find::one(&self.connection, self.context, id)?.found();
        Ok(found.map(|found| {
            self.row = found.values;
            found.job
        }))
    }

    fn run(&mut self, sql: &str, order: &WriteBack) -> Result<(), WriteFailure> {
        if let Some(views) = self.views.take() {
            missing_columns::drop_shadow_views(&self.connection, &views)?;
            if order.action == Record::Mark {
                missing_columns::add(&self.connection, self.columns)?;
            }
        }
        run(&self.connection, self.context, sql, order, &self.row).map_err(WriteFailure::Statement)
    }

    fn commit(self: Box<Self>) -> Result<(), WriteFailure> {
        self.connection.execute_batch("COMMIT").map_err(|error| {
            // A deferred constraint speaks up here, about what was just written.
            let is_constraint = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
            let fault = Fault::from(error);
            if is_constraint {
                WriteFailure::Record(fault.to_string())
            } else {
                WriteFailure::of_database(&fault)
            }
        })
    }
}

/// Runs one statement with the parameters that it names.
fn run(
    connection: &Connection,
    context: &SourceContext,
    sql: &str,
    order: &WriteBack,
    row: &[(String, OwnedValue)],
) -> Result<(), String> {
    let now = zone::shown(&context.decoder.zone("cleaned_at"), order.now);
    let failed = |error| said(&error);
    let mut statement = connection.prepare(bare(sql)).map_err(failed)?;
    for at in 1..=statement.parameter_count() {
        let name = statement.parameter_name(at).unwrap_or("?").to_owned();
        let text = |text: &str| OwnedValue::Text(text.as_bytes().to_vec());
        let value = parameter(&name[1..], order, &now, row, text)
            .ok_or_else(|| format!("unknown parameter {name}"))?;
        statement.raw_bind_parameter(at, value).map_err(failed)?;
    }
    // A statement may return rows (RETURNING): then it is through only after the last one.
    let mut rows = statement.raw_query();
    while rows.next().map_err(failed)?.is_some() {}
    Ok(())
}
