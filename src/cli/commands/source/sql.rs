//! `lapsed source sql`: prints the trigger of a PostgreSQL database that notifies changes.

use anyhow::{anyhow, bail};
use clap::Args;

use crate::cli::context::{Context, End, WatchOptions};
use crate::config::SourceKind;
use crate::sources::{DatabaseOptions, PostgresOptions, Table, table_of};

/// The statements, with psql's variables where names belong.
const TEMPLATE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/config/postgres-trigger.sql"
));

/// PostgreSQL cuts names off after so many bytes.
const NAME_BYTES_MAX: usize = 63;

/// Suffix of the second trigger's name.
const TRUNCATE: &str = " truncate";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Source of kind postgres, if there are several
    source: Option<String>,
    /// Table of the jobs [default: as the database says]
    #[arg(long, value_name = "SCHEMA.TABLE", requires = "id")]
    table: Option<String>,
    /// Column of the ids
    #[arg(long, value_name = "COLUMN", requires = "table")]
    id: Option<String>,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    let all = settings.sources.values();
    let postgres: Vec<(&str, &PostgresOptions)> = all
        .filter_map(|asked| match &asked.kind {
            SourceKind::Database(DatabaseOptions::Postgres(postgres)) => {
                Some((asked.name.as_str(), &**postgres))
            }
            SourceKind::Api | SourceKind::Database(DatabaseOptions::Sqlite(_)) => None,
        })
        .collect();
    let names = || {
        let names: Vec<&str> = postgres.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let (name, found) = match (&arguments.source, postgres.as_slice()) {
        (_, []) => bail!("no source is of kind postgres: a trigger is of use for none"),
        (None, [only]) => *only,
        (None, _) => bail!(
            "there are several sources of kind postgres\n  name one of them: {}",
            names()
        ),
        (Some(wanted), all) => *all.iter().find(|(name, _)| name == wanted).ok_or_else(|| {
            anyhow!(
                "\"{wanted}\" is no source of kind postgres\n  there are: {}",
                names()
            )
        })?,
    };
    let table = match (&arguments.table, &arguments.id) {
        (Some(written), Some(id)) => {
            let (schema, table) = split(written)?;
            Table {
                schema,
                name: table,
                id: unquoted(id),
            }
        }
        (None, _) | (_, None) => table_of(name, found).map_err(|error| {
            anyhow!("source \"{name}\": {error}\n  or name the table whose rows are jobs: --table schema.table --id column")
        })?,
    };
    context
        .output
        .line(filled(&table, &found.channel).trim_end())?;
    Ok(End::Done)
}

/// The statements for `table`.
fn filled(table: &Table, channel: &str) -> String {
    let mut end = NAME_BYTES_MAX - TRUNCATE.len();
    while !channel.is_char_boundary(end.min(channel.len())) {
        end -= 1;
    }
    let truncate = format!("{}{TRUNCATE}", &channel[..end.min(channel.len())]);
    let names = [
        (":\"schema\"", name(&table.schema)),
        (":\"table\"", name(&table.name)),
        (":\"rows\"", name(channel)),
        (":\"truncate\"", name(&truncate)),
        (":'channel'", literal(channel)),
        (":'id'", literal(&table.id)),
    ];
    // In one pass: a name may look like a variable.
    let mut out = String::new();
    let mut rest = statements();
    while let Some(at) = rest.find(':') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = names
            .iter()
            .find(|(variable, _)| rest.starts_with(variable));
        let (length, value) = known.map_or((1, ":"), |(variable, value)| {
            (variable.len(), value.as_str())
        });
        out.push_str(value);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The template without what it says about its variables.
fn statements() -> &'static str {
    let begin = TEMPLATE.find("-- It may be run again").unwrap_or_default();
    &TEMPLATE[begin..]
}

/// `schema.table`, each perhaps in quotes; without a schema, `public`.
fn split(written: &str) -> anyhow::Result<(String, String)> {
    let mut is_quoted = false;
    let dot = written.char_indices().find_map(|(at, c)| {
        is_quoted ^= c == '"';
        (c == '.' && !is_quoted).then_some(at)
    });
    let (schema, table) = match dot {
        Some(at) => (unquoted(&written[..at]), unquoted(&written[at + 1..])),
        None => ("public".to_owned(), unquoted(written)),
    };
    if schema.is_empty() || table.is_empty() {
        bail!("\"{written}\" is no table\n  such as --table public.jobs");
    }
    Ok((schema, table))
}

/// A name as PostgreSQL understands it: in small letters, unless it is in quotes.
fn unquoted(written: &str) -> String {
    match written
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(inner) => inner.replace("\"\"", "\""),
        None => written.to_lowercase(),
    }
}

fn name(name: &str) -> String {
    // A line of its own would end the comment that it may stand in.
    let name = name.replace(['\n', '\r'], " ");
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_texts_are_texts() {
        let table = Table {
            schema: "Odd \"one\"".to_owned(),
            name: ":'id'; DROP TABLE x; --".to_owned(),
            id: "it's\\".to_owned(),
        };
        let sql = filled(&table, "lapsed_s");
        assert!(sql.contains(
            "CREATE TRIGGER \"lapsed_s\" AFTER INSERT OR UPDATE OR DELETE ON \"Odd \"\"one\"\"\".\":'id'; DROP TABLE x; --\"\n"
        ));
        assert!(sql.contains(
            "FOR EACH ROW EXECUTE PROCEDURE \"Odd \"\"one\"\"\".lapsed_notify('lapsed_s', E'it''s\\\\');"
        ));
        assert!(sql.contains("channel text := TG_ARGV[0];"));
        assert!(!sql.contains(":\"") || sql.contains(".\":'id'"));
    }

    #[test]
    fn long_channels_leave_room_for_both_triggers() {
        let table = Table {
            schema: "public".to_owned(),
            name: "jobs".to_owned(),
            id: "id".to_owned(),
        };
        let sql = filled(&table, &"ä".repeat(31));
        let truncate = format!("\"{} truncate\"", "ä".repeat(27));
        assert!(sql.contains(&truncate), "{sql}");
    }

    #[test]
    fn tables_are_read_as_they_are_written() {
        for (written, schema, table) in [
            ("jobs", "public", "jobs"),
            ("App.Jobs", "app", "jobs"),
            ("\"App.x\".\"Jobs\"", "App.x", "Jobs"),
        ] {
            let found = split(written).unwrap();
            assert_eq!(found, (schema.to_owned(), table.to_owned()));
        }
        assert!(split("app.").is_err());
    }
}
