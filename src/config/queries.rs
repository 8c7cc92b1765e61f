//! Queries of a database of jobs, and the interpretation of their results.
//!
//! **Invariant:** the meaning of a word in the database is configured or unknown; it is never
//! guessed.
//! **Invariant:** of the host, only the time zones are used.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::core::jobs::Status;
use crate::core::policy::Record;

use super::document::Section;
use super::error::{Problem, Refusal, allowed};
use super::reader::Reader;
use super::schema::{ADD_COLUMNS, CHANGED, FORGET, Key, MARK, SELECT, STATUS, STATUSES, TIMEZONE};
use super::settings::Queries;
use super::sources::require;

/// Columns that hold timestamps.
const MOMENTS: [&str; 5] = [
    "created_at",
    "completed_at",
    "last_activity",
    "expires_at",
    "cleaned_at",
];
/// Column that names the files that a job claims.
const FILES: &str = "files";

/// Reads the queries of `section`; `None` if `select` is missing or invalid, which has been
/// reported.
pub(super) fn read(reader: &mut Reader, section: &Section) -> Option<Queries> {
    require(reader, section, &SELECT);
    let changed = reader.value(section, &CHANGED, statement);
    let mark = statements(reader, section, &MARK);
    let forget = statements(reader, section, &FORGET);
    let constant_status = reader.value(section, &STATUS, status);
    if section.has(STATUS.name)
        && let Some(statuses) = section.value(STATUSES.name)
    {
        reader.note(Problem {
            place: section.place_of(statuses),
            message: section
                .entitle("statuses says nothing beside status, which is that of every job"),
            hint: Some("leave out one of them".into()),
        });
    }
    let statuses = statuses(reader, section);
    let timezones = timezones(reader, section);
    let select = reader.value(section, &SELECT, statement)?;
    Some(Queries {
        select,
        changed,
        mark,
        forget,
        constant_status,
        statuses,
        timezones,
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

fn statement(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new("is empty, where a statement of SQL should be"));
    }
    Ok(text.to_owned())
}

fn statements(reader: &mut Reader, section: &Section, key: &Key) -> Vec<String> {
    let texts = reader.texts(section, key).unwrap_or_default();
    let parsed = texts
        .iter()
        .map(|text| reader.parse(text, statement_of_job));
    parsed.map(Option::unwrap_or_default).collect()
}

/// Parses a statement for one job: a statement without `:job` would change every row.
fn statement_of_job(text: &str) -> Result<String, Refusal> {
    let sql = statement(text)?;
    let names_job = sql.match_indices(":job").any(|(at, word)| {
        !sql[at + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
    });
    if names_job {
        return Ok(sql);
    }
    Err(
        Refusal::new("does not name the job: it would change every row")
            .hint("such as … WHERE id = :job"),
    )
}

/// Reads the types of columns to add to tables, by table and column.
pub(super) fn added_columns(
    reader: &mut Reader,
    section: &Section,
) -> BTreeMap<(String, String), String> {
    let mut columns = BTreeMap::new();
    for (place, text) in reader.words(section, &ADD_COLUMNS) {
        let names = place.split_once('.');
        let names = names.filter(|(table, column)| !table.is_empty() && !column.is_empty());
        if names.is_none() {
            let reason = format!("is for {place:?}, which is no column of a table");
            let hint = "such as { \"jobs.data_cleaned_at\" = \"TIMESTAMP\" }";
            reader.note(text.refuse(Refusal::new(reason).hint(hint)));
        }
        let kind = reader.parse(&text, type_of_column);
        if let (Some((table, column)), Some(kind)) = (names, kind) {
            columns.insert((table.to_owned(), column.to_owned()), kind);
        }
    }
    columns
}

/// Parses a type as in `CREATE TABLE`: words, perhaps followed by numbers. It is inserted into a
/// statement verbatim.
fn type_of_column(text: &str) -> Result<String, Refusal> {
    let may = |c: char| c.is_ascii_alphanumeric() || "_ (),".contains(c);
    let kind = text.trim();
    if kind.starts_with(|c: char| c.is_ascii_alphabetic()) && kind.chars().all(may) {
        return Ok(kind.to_owned());
    }
    Err(Refusal::new("is no type of a column").hint("such as TEXT, TIMESTAMP, or VARCHAR(40)"))
}

fn status(text: &str) -> Result<Status, Refusal> {
    let word = text.trim();
    Status::of_word(word).ok_or_else(|| {
        let words = Status::ALL.into_iter().map(Status::as_str);
        Refusal::new("is no status").hint(allowed(words, word))
    })
}

fn statuses(reader: &mut Reader, section: &Section) -> BTreeMap<String, Status> {
    let words = reader.words(section, &STATUSES);
    let meant = words.into_iter().filter_map(|(word, text)| {
        let status = reader.parse(&text, status)?;
        Some((word.to_owned(), status))
    });
    meant.collect()
}

/// Reads the time zone of each column; a single string applies to all columns.
fn timezones(reader: &mut Reader, section: &Section) -> BTreeMap<String, String> {
    let is_table = section
        .value(TIMEZONE.name)
        .is_some_and(|value| value.get_ref().is_table());
    if !is_table {
        let zone = reader.value(section, &TIMEZONE, zone);
        let each = zone.iter().flat_map(|zone| {
            let columns = MOMENTS.into_iter();
            columns.map(|column| (column.to_owned(), zone.clone()))
        });
        return each.collect();
    }
    let words = reader.words(section, &TIMEZONE);
    let mut zones = BTreeMap::new();
    for (column, text) in words {
        if !MOMENTS.contains(&column) {
            let reason = format!("is for {column:?}, which is no column of timestamps");
            let refusal = Refusal::new(reason).hint(allowed(MOMENTS, column));
            reader.note(text.refuse(refusal));
        }
        if let Some(zone) = reader.parse(&text, zone) {
            zones.insert(column.to_owned(), zone);
        }
    }
    zones
}

/// Parses `UTC`, `local`, or the name of a zone that this host knows.
fn zone(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    if name == "local" || name == "UTC" {
        return Ok(name.to_owned());
    }
    match TimeZone::get(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(_) => Err(Refusal::new("is no time zone that this host knows")
            .hint("allowed: UTC, local, or an IANA name such as Europe/Berlin")),
    }
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
            assert_eq!(zone(good), Ok(good.trim().to_owned()));
        }
        for bad in ["", "Local", "Europe/Atlantis", "+02:00", "../passwd"] {
            assert!(zone(bad).is_err(), "{bad}");
        }
    }
}
