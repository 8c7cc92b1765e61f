//! One job's row, as it is now.

use super::connection::Connection;
use super::error::Fault;
use super::row::text;
use super::shape::{self, Asked, Shape};
use crate::core::jobs::JobRow;
use crate::sources::decode::Decoder;
use crate::sources::error::QueryError;
use crate::sources::lookup::Lookup;

/// A job and the texts that its row has.
pub(super) struct FoundRow {
    /// The job, complete.
    pub(super) job: JobRow,
    /// Each column, as the server writes it; only where they were asked for.
    pub(super) texts: Vec<(String, Option<String>)>,
}

/// Part of a row that is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// The job.
    Job,
    /// Its columns as text, too, locked until the transaction ends.
    Locked,
    /// Its columns as text, too.
    Texts,
}

/// Returns what there is of the job `id`.
///
/// # Errors
/// When the database cannot be asked, or does not say one thing about the job.
pub(super) async fn one(
    link: &Connection,
    shape: &Shape,
    asked: &Asked<'_>,
    id: &str,
    extent: Extent,
) -> Result<Lookup<FoundRow>, Fault> {
    let (table, column) = (shape.table(), shape.id());
    let (list, end) = match extent {
        Extent::Job => (shape.list(), ""),
        Extent::Texts => (format!("{}, {}", shape.list(), shape.texts()), ""),
        Extent::Locked => (
            format!("{}, {}", shape.list(), shape.texts()),
            " FOR UPDATE",
        ),
    };
    let sql = format!("SELECT {list} FROM {table} WHERE {column} = $1{end}");
    let rows = match link.rows(&sql, &[Some(id)]).await {
        Ok(rows) => rows,
        Err(said) if said.is_about_a_value() && extent == Extent::Job => {
            return if is_no_value(link, shape, id).await {
                Ok(Lookup::Missing)
            } else {
                Err(shape::wrong(link, asked, &said).await)
            };
        }
        Err(said) if said.ends_the_connection() || extent != Extent::Job => {
            return Err(Fault::of_query(asked.query, &said, asked.user, ""));
        }
        Err(said) => return Err(shape::wrong(link, asked, &said).await),
    };
    let mut found: Option<FoundRow> = None;
    let mut other = Lookup::Missing;
    for row in &rows {
        let cells = shape.cells(row)?;
        // A column that compares without regard to case, or to zeros before a number, gives others,
        // too.
        let spelled = shape.columns().id_in(&cells);
        if spelled.as_deref() != Some(id) {
            other.or(spelled);
            continue;
        }
        let mut job = asked.decoder.decode(shape.columns(), &cells);
        Decoder::complete(shape.columns(), &cells, &mut job);
        if found
            .as_ref()
            .is_some_and(|other| !other.job.decides_as(&job))
        {
            return Err(Fault::Query(QueryError::Query {
                query: "select".to_owned(),
                what: format!("several rows have the id \"{id}\", and do not say the same"),
                mend: "see that it gives one row for each job".to_owned(),
            }));
        }
        if found.is_none() {
            let names = shape.names().iter().enumerate();
            let texts = match extent {
                Extent::Job => Vec::new(),
                Extent::Locked | Extent::Texts => names
                    .map(|(at, name)| {
                        let text = shape.text_behind(row, at).map(str::to_owned);
                        (name.clone(), text)
                    })
                    .collect(),
            };
            found = Some(FoundRow { job, texts });
        }
    }
    Ok(found.map_or(other, Lookup::Found))
}

/// Returns whether `id` is no value of the ids' type at all, such as no number: then no row can
/// have it. That the query failed proves nothing, since it may stumble over the rows themselves.
async fn is_no_value(link: &Connection, shape: &Shape, id: &str) -> bool {
    let (table, column) = (shape.table(), shape.id());
    let kind = format!(
        "SELECT format_type(pg_typeof({column})::oid, NULL) FROM (VALUES (1)) AS one (one) LEFT JOIN (SELECT * FROM {table} LIMIT 0) AS jobs ON true"
    );
    let Ok(rows) = link.rows(&kind, &[]).await else {
        return false;
    };
    let Some(kind) = rows.first().and_then(|row| text(row, 0)) else {
        return false;
    };
    let sql = format!("SELECT $1::{kind} IS NULL");
    link.rows(&sql, &[Some(id)])
        .await
        .is_err_and(|said| said.is_about_a_value())
}
