//! Queries that do not fit are refused with what would.

use super::harness::{Place, SELECT, check};
use crate::sources::options::Queries;

fn refusal(change: impl FnOnce(&mut Queries)) -> String {
    let (place, _writer) = Place::filled("WAL");
    let mut options = place.options();
    change(&mut options.queries);
    check(&options).unwrap_err()
}

#[test]
fn what_fits_is_accepted() {
    let (place, _writer) = Place::filled("WAL");
    let mut options = place.options();
    options.queries.mark = vec!["UPDATE jobs SET data_cleaned_at = :now, summary = :summary WHERE id = :job AND status = :status; ".to_owned()];
    options.queries.forget = vec![
        "DELETE FROM metrics WHERE job_id = :job".to_owned(),
        "DELETE FROM jobs WHERE id = :job".to_owned(),
    ];
    options.queries.changed = Some(format!(
        "{}, updated_at AS changed_at FROM jobs WHERE updated_at >= :since",
        SELECT.strip_suffix(" FROM jobs").unwrap()
    ));
    check(&options).unwrap();
}

#[test]
fn what_does_not_fit_is_named() {
    let table = "table jobs has id, status, kind, created_at, completed_at, data_cleaned_at, summary, updated_at";
    for (select, begin, end) in [
        (
            "SELECT id, state AS status FROM jobs",
            "select: no such column: state",
            table,
        ),
        (
            "SELECT id, status FROM job",
            "select: no such table: job",
            "the database has the tables jobs, metrics",
        ),
        (
            "SELECT kind, status FROM jobs",
            "select: no column \"id\"",
            table,
        ),
        (
            "SELECT id, kind FROM jobs",
            "select: no column \"status\"",
            table,
        ),
        (
            "SELEKT",
            "select: near \"SELEKT\": syntax error",
            "jobs, metrics",
        ),
        (
            "SELECT id, status FROM jobs WHERE id = :id",
            "select: unknown parameter :id",
            "it may name none",
        ),
        (
            "DELETE FROM jobs",
            "select: it is no query",
            "nothing is written when jobs are read",
        ),
        (
            "SELECT 1 AS id, 2 AS status; DELETE FROM jobs",
            "select: several statements in one text",
            "each a text of its own",
        ),
        ("  ", "select: it is empty", "write a statement"),
    ] {
        let error = refusal(|queries| select.clone_into(&mut queries.select));
        assert!(
            error.starts_with(begin) && error.ends_with(end),
            "{select}: {error}"
        );
    }
}

#[test]
fn statements_and_changes_are_checked_too() {
    let list = |sql: &str| vec![sql.to_owned()];
    let error =
        refusal(|queries| queries.mark = list("UPDATE jobs SET cleaned = :now WHERE id = :job"));
    assert!(
        error.starts_with("mark: no such column: cleaned\n  table jobs has id"),
        "{error}"
    );
    let error =
        refusal(|queries| queries.mark = list("UPDATE jobs SET summary = :text WHERE id = :job"));
    assert!(
        error.starts_with(
            "mark: unknown parameter :text\n  it may name :job, :now, :summary, :cleaned_at"
        ),
        "{error}"
    );
    let error = refusal(|queries| queries.mark = list("SELECT 1"));
    assert!(error.starts_with("mark: it writes nothing"), "{error}");
    let error = refusal(|queries| {
        queries.forget = vec![
            "DELETE FROM jobs WHERE id = :job".to_owned(),
            "DELETE FROM jobs; DELETE FROM metrics".to_owned(),
        ];
    });
    assert!(
        error.starts_with("forget 2: several statements in one text"),
        "{error}"
    );
    let error = refusal(|queries| queries.changed = Some(SELECT.to_owned()));
    assert!(
        error.starts_with("changed: no column \"changed_at\""),
        "{error}"
    );
    let error = refusal(|queries| {
        queries.changed = Some(
            "SELECT id, status, updated_at AS changed_at FROM jobs WHERE updated_at >= :since"
                .to_owned(),
        );
    });
    assert!(error.starts_with("changed: no column \"kind\""), "{error}");
}

#[test]
fn a_database_that_is_not_there_is_not_made() {
    let place = Place::empty();
    let error = check(&place.options()).unwrap_err();
    assert!(error.contains("it does not exist"), "{error}");
    assert!(!place.path.exists());
}
