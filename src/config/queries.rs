//! Queries of a database of jobs, and the interpretation of their results.
//!
//! **Invariant:** the meaning of a word in the database is configured or unknown; it is never
//! guessed.
//! **Invariant:** of the host, only the time zones are used.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::core::policy::Record;

use super::error::{Problem, Refusal, allowed};
use super::reader::Reader;
use super::schema;
use super::setting::{EVERY, Setting, Table, Values, with_heading};
use crate::sources::Queries;

/// Columns that hold timestamps.
const MOMENTS: [&str; 6] = [
    "created_at",
    "started_at",
    "completed_at",
    "last_activity",
    "expires_at",
    "cleaned_at",
];
/// Column that names the files that a job claims.
const FILES: &str = "files";

/// Statement of SQL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Statement(pub String);

/// Statement for one job: one without `:job` would change every row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StatementOfJob(pub String);

/// Type of a column as in `CREATE TABLE`: words, perhaps followed by numbers. It is inserted into a
/// statement verbatim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ColumnType(pub String);

/// `UTC`, `local`, or the name of a time zone that this host knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Zone(pub String);

impl Setting for Statement {
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim().is_empty() {
            return Err(Refusal::new("is empty, but must be a statement of SQL"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Setting for StatementOfJob {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let Statement(sql) = Statement::parse(text)?;
        let names_job = sql.match_indices(":job").any(|(at, word)| {
            !sql[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        });
        if names_job {
            return Ok(Self(sql));
        }
        Err(
            Refusal::new("does not name the job: it would change every row")
                .hint("such as … WHERE id = :job"),
        )
    }
}

impl Setting for ColumnType {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let may = |c: char| c.is_ascii_alphanumeric() || "_ (),".contains(c);
        let kind = text.trim();
        if kind.starts_with(|c: char| c.is_ascii_alphabetic()) && kind.chars().all(may) {
            return Ok(Self(kind.to_owned()));
        }
        Err(Refusal::new("is an invalid column type")
            .hint("such as TEXT, TIMESTAMP, or VARCHAR(40)"))
    }
}

impl Setting for Zone {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let name = text.trim();
        if name == "local" || name == "UTC" || TimeZone::get(name).is_ok() {
            return Ok(Self(name.to_owned()));
        }
        Err(Refusal::new("is an unknown time zone")
            .hint("allowed: UTC, local, or an IANA name such as Europe/Berlin"))
    }
}

/// Reads the queries of `source`; `None` if `select` is missing or invalid, which has been
/// reported.
pub(super) fn read(reader: &mut Reader, source: &Table<schema::Source>) -> Option<Queries> {
    super::databases::require(reader, source, "select");
    if source.status.is_present()
        && let Some(statuses) = source.statuses.text()
    {
        let message = "statuses has no effect beside status, which applies to every job";
        reader.note(Problem {
            line: statuses.line(),
            message: with_heading(&source.heading, message),
            hint: Some("leave out one of them".into()),
        });
    }
    // A refused statement counts as one: the rules that need it are not refused, too.
    let statements = |statements: &Values<StatementOfJob>| {
        let sql = |statement: Option<&StatementOfJob>| statement.map(|found| found.0.clone());
        let statements = statements.iter().map(sql);
        statements.map(Option::unwrap_or_default).collect()
    };
    let statuses = source.statuses.iter();
    Some(Queries {
        changed: source.changed.get().map(|Statement(sql)| sql.clone()),
        mark: statements(&source.mark),
        forget: statements(&source.forget),
        constant_status: source.status.get().copied(),
        statuses: statuses
            .map(|(word, _, &status)| (word.to_owned(), status))
            .collect(),
        timezones: timezones(reader, source),
        select: source.select.get()?.0.clone(),
    })
}

/// Returns true if `queries` has the statements that `record` needs.
pub(super) fn can(queries: &Queries, record: Record) -> bool {
    match record {
        Record::Keep => true,
        Record::Mark => !queries.mark.is_empty(),
        Record::Forget => !queries.forget.is_empty(),
    }
}

/// Reads the types of columns to add to tables, by table and column.
pub(super) fn added_columns(
    reader: &mut Reader,
    source: &schema::Source,
) -> BTreeMap<(String, String), String> {
    let mut columns = BTreeMap::new();
    for (place, text, ColumnType(kind)) in source.add_columns.iter() {
        let names = place.split_once('.');
        let names = names.filter(|(table, column)| !table.is_empty() && !column.is_empty());
        if let Some((table, column)) = names {
            columns.insert((table.to_owned(), column.to_owned()), kind.clone());
        } else {
            let reason = format!("is for {place:?}, which is not a column of a table");
            let hint = "such as { \"jobs.data_cleaned_at\" = \"TIMESTAMP\" }";
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
        }
    }
    columns
}

/// Reads the time zone of each column; a single one applies to all columns that have none.
fn timezones(reader: &mut Reader, source: &schema::Source) -> BTreeMap<String, String> {
    let mut zones = BTreeMap::new();
    // The word for all columns sorts before their names, which override it.
    for (column, text, Zone(zone)) in source.timezone.iter() {
        if column == EVERY {
            zones.extend(MOMENTS.map(|column| (column.to_owned(), zone.clone())));
        } else if MOMENTS.contains(&column) {
            zones.insert(column.to_owned(), zone.clone());
        } else {
            let reason = format!("is for {column:?}, which is not a timestamp column");
            let refusal = Refusal::new(reason).hint(allowed(MOMENTS, column));
            reader.note(text.refuse(refusal));
        }
    }
    zones
}

/// Returns true if `select` has, or may have, a column that names files: it contains the word, or a
/// `*` for all columns.
pub(super) fn names_files(select: &str) -> bool {
    let bare = without_strings(select);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<&str> = bare.split(|c| !is_part(c)).collect();
    let is_named = words.iter().any(|word| word.eq_ignore_ascii_case(FILES));
    is_named || has_all_columns(&bare)
}

/// Returns true if a `*` stands for columns: `SELECT *`, `t.*`, `, *`; not `count(*)` or a product.
fn has_all_columns(sql: &str) -> bool {
    sql.match_indices('*').any(|(at, _)| {
        let before = sql[..at].trim_end();
        let word = before
            .rsplit(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        before.ends_with([',', '.'])
            || ["select", "distinct", "all"]
                .iter()
                .any(|start| word.eq_ignore_ascii_case(start))
    })
}

/// Removes comments and single-quoted strings from `sql`. A quote within a string is doubled: it
/// ends one string and begins another.
fn without_strings(sql: &str) -> String {
    let mut bare = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '-', '/']) {
        bare.push_str(&rest[..at]);
        rest = &rest[at..];
        let (skipped, end) = if rest.starts_with('\'') {
            (1, "'")
        } else if rest.starts_with("--") {
            (2, "\n")
        } else if rest.starts_with("/*") {
            (2, "*/")
        } else {
            bare.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        bare.push(' ');
        rest = rest[skipped..].split_once(end).map_or("", |(_, rest)| rest);
    }
    bare.push_str(rest);
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_files_is_a_word_of_its_own() {
        for (sql, named) in [
            ("SELECT id, dem_filename AS files FROM jobs", true),
            ("select id, FILES from jobs", true),
            ("SELECT id, \"files\" FROM jobs", true),
            ("SELECT id, j.files FROM jobs j", true),
            ("SELECT *\nFROM jobs", true),
            ("SELECT j.*, 1 FROM jobs j", true),
            ("SELECT id, * FROM jobs", true),
            ("SELECT id FROM jobs", false),
            ("SELECT id, my_files, files2 FROM jobs", false),
            ("SELECT id, 'files' AS kind FROM jobs", false),
            ("SELECT id, 'it''s files' AS kind FROM jobs", false),
            ("SELECT id, count(*), 2 * n FROM jobs", false),
            ("SELECT id -- , files *\nFROM jobs /* files */", false),
            ("SELECT a - b, a / b, 'x", false),
        ] {
            assert_eq!(names_files(sql), named, "{sql}");
        }
    }

    #[test]
    fn zones_are_those_of_the_host() {
        for good in ["UTC", "local", "Europe/Berlin", " UTC "] {
            assert_eq!(Zone::parse(good), Ok(Zone(good.trim().to_owned())));
        }
        for bad in ["", "Local", "Europe/Atlantis", "+02:00", "../passwd"] {
            assert!(Zone::parse(bad).is_err(), "{bad}");
        }
    }
}
