//! Checks that the queries fit the database, for `lapsed check`.
//!
//! **Invariant:** checking writes nothing.

use std::collections::BTreeSet;

use tokio::runtime::Builder;

use super::connection::{Connection, ConnectionRole};
use super::context::SourceContext;
use super::error::Fault;
use super::names::{self, Numbered};
use super::shape::{self, Asked, Shape};
use crate::sources::decode::Decoder;
use crate::sources::error::QueryError;
use crate::sources::options::bare;
use crate::sources::postgres_options::PostgresOptions;
use crate::sources::schema_check::{self, DECIDING, PARAMETERS, statement_name};

/// Returns whether the queries of `options` fit its database.
///
/// # Errors
/// When a query does not fit, with the query and the column; [`QueryError::Database`] when the
/// server cannot be asked now.
pub fn check_postgres(options: &PostgresOptions) -> Result<(), QueryError> {
    let decoder = Decoder::new(&options.name, &options.queries)?;
    let shared = SourceContext::new(options.clone(), decoder);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| QueryError::Database(error.to_string()))?;
    let checked = runtime.block_on(queries(&shared));
    checked.map_err(|fault| match fault {
        Fault::Query(error) => error,
        Fault::Permission { what, mend } => schema_check::wrong("select", what, &mend),
        Fault::Unreachable(_)
        | Fault::Refused(_)
        | Fault::Missing(_)
        | Fault::Tls(_)
        | Fault::Slow(_)
        | Fault::Failed(_) => QueryError::Database(shared.about(&fault)),
    })
}

async fn queries(shared: &SourceContext) -> Result<(), Fault> {
    let options = &shared.options;
    let link = Connection::connect(options, ConnectionRole::Reads)
        .await
        .map_err(|said| Fault::of(&said, options.user()))?;
    let select = shared.select();
    if let Some(name) = names::number(select.sql).names.first() {
        let what = format!("unknown parameter :{name}");
        return Err(Fault::Query(schema_check::wrong(
            "select",
            what,
            "it may name none",
        )));
    }
    let shape = Shape::learn(&link, &select).await?;
    // Whether the tables may be read shows only when they are.
    if let Err(said) = super::plan::plan(&link, &shape).await {
        return Err(shape::wrong(&link, &select, &said).await);
    }
    let some = format!("SELECT {} FROM {} LIMIT 1", shape.list(), shape.table());
    if let Err(said) = link.rows(&some, &[]).await {
        return Err(shape::wrong(&link, &select, &said).await);
    }
    let known: BTreeSet<String> = shape
        .names()
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    if let Some(asked) = shared.changed() {
        changed(&link, shared, &asked, &known).await?;
    }
    for (list, statements) in [
        ("mark", &options.queries.mark),
        ("forget", &options.queries.forget),
    ] {
        for (at, sql) in statements.iter().enumerate() {
            let name = statement_name(list, at, statements.len());
            writes(&link, shared, &name, sql, &known).await?;
        }
    }
    Ok(())
}

async fn changed(
    link: &Connection,
    shared: &SourceContext,
    asked: &Asked<'_>,
    known: &BTreeSet<String>,
) -> Result<(), Fault> {
    let wrong = |what: String, mend: &str| Fault::Query(schema_check::wrong("changed", what, mend));
    let names = shared.changed_names();
    if let Some(other) = names.iter().find(|name| *name != "since") {
        return Err(wrong(
            format!("unknown parameter :{other}"),
            "it may name :since",
        ));
    }
    if names.is_empty() {
        return Err(wrong(
            "it does not name :since".to_owned(),
            "without it, all jobs would be read each time: ask for those that changed at :since or later",
        ));
    }
    let shape = Shape::learn(link, asked).await?;
    let has: BTreeSet<String> = shape
        .names()
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    let missing = DECIDING
        .into_iter()
        .filter(|name| known.contains(*name))
        .chain(["changed_at"])
        .find(|name| !has.contains(*name));
    match missing {
        Some(name) => Err(wrong(
            format!("no column \"{name}\""),
            "it needs the columns of select, and changed_at",
        )),
        None => Ok(()),
    }
}

async fn writes(
    link: &Connection,
    shared: &SourceContext,
    name: &str,
    sql: &str,
    known: &BTreeSet<String>,
) -> Result<(), Fault> {
    let Numbered { sql, names } = names::number(bare(sql));
    let is_known =
        |name: &String| PARAMETERS.contains(&name.as_str()) || known.contains(&name.to_lowercase());
    if let Some(other) = names.iter().find(|name| !is_known(name)) {
        let mut may: Vec<String> = PARAMETERS.map(|name| format!(":{name}")).into();
        may.extend(known.iter().map(|name| format!(":{name}")));
        return Err(Fault::Query(schema_check::wrong(
            name,
            format!("unknown parameter :{other}"),
            &format!("it may name {}", may.join(", ")),
        )));
    }
    let asked = Asked {
        query: name,
        sql: &sql,
        parameters: names.len(),
        queries: shared.queries(),
        decoder: &shared.decoder,
        user: shared.options.user(),
    };
    match link.prepare(&sql).await {
        Ok(_) => Ok(()),
        Err(said) => Err(shape::wrong(link, &asked, &said).await),
    }
}
