//! Records that are written back, and those that are not.

use super::harness::{Cluster, Place, Watched, options};
use crate::core::jobs::JobLookup;
use crate::core::policy::Record;
use crate::core::time::Timestamp;
use crate::sources::write_back::{WriteBack, WriteOutcome};

fn filled() -> (Place, Watched) {
    let place = Place::telling();
    place
        .session
        .run("INSERT INTO metrics VALUES ('a', 1), ('b', 2)");
    let watched = Watched::loaded(with_statements(&place));
    (place, watched)
}

fn with_statements(place: &Place) -> crate::sources::PostgresOptions {
    let mut options = place.options();
    options.queries.mark = vec![
        "UPDATE jobs SET data_cleaned_at = :now, summary = :summary || ':job' || :status /* :job */ WHERE id = :job::text;".to_owned(),
    ];
    options.queries.forget = vec![
        "DELETE FROM metrics WHERE job_id = :job".to_owned(),
        "DELETE FROM jobs WHERE id = :id AND status = :status AND completed_at IS NOT DISTINCT FROM :completed_at RETURNING id".to_owned(),
    ];
    options
}

fn order(watched: &Watched, action: Record) -> WriteBack {
    WriteBack {
        job: watched.look(|table| table.row("a").unwrap().clone()),
        action,
        now: Timestamp::from_unix_ms(1_700_000_000_999),
        summary: "3 files, ".to_owned(),
    }
}

fn count(place: &Place, what: &str) -> String {
    let sql = format!("SELECT count(*)::text FROM {what}");
    place.session.value(&sql).unwrap()
}

#[test]
fn a_job_is_marked_once() {
    let (place, watched) = filled();
    let order = order(&watched, Record::Mark);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    let marked = "jobs WHERE data_cleaned_at = '2023-11-14 22:13:20.999Z' AND summary = '3 files, :jobcompleted'";
    assert_eq!(count(&place, marked), "1");
    watched.until("cleaned", |table| {
        table.row("a").unwrap().moments.cleaned_at == Some(order.now)
    });
    let again = WriteBack {
        summary: "again".to_owned(),
        ..order
    };
    assert_eq!(watched.source.write(&again).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, marked), "1");
}

#[test]
fn a_column_without_a_zone_gets_what_its_clock_shows() {
    let (place, watched) = filled();
    drop(watched);
    place
        .session
        .run("ALTER TABLE jobs ALTER COLUMN data_cleaned_at TYPE timestamp");
    let mut options = with_statements(&place);
    options.queries.timezones = [("cleaned_at".to_owned(), "Europe/Berlin".to_owned())].into();
    let watched = Watched::loaded(options);
    let order = order(&watched, Record::Mark);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(
        count(
            &place,
            "jobs WHERE data_cleaned_at = '2023-11-14 23:13:20.999'"
        ),
        "1"
    );
    watched.until("cleaned", |table| {
        table.row("a").unwrap().moments.cleaned_at == Some(order.now)
    });
}

#[test]
fn a_record_is_forgotten_with_what_hangs_on_it() {
    let (place, watched) = filled();
    let order = order(&watched, Record::Forget);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "jobs"), "1");
    assert_eq!(count(&place, "metrics"), "1");
    assert_eq!(watched.source.fresh("a"), JobLookup::Gone);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Gone);
    let keep = WriteBack {
        action: Record::Keep,
        ..order
    };
    assert_eq!(watched.source.write(&keep).unwrap(), WriteOutcome::Done);
}

#[test]
fn a_row_that_changed_is_not_touched() {
    let (place, watched) = filled();
    let orders = [Record::Mark, Record::Forget].map(|action| order(&watched, action));
    place
        .session
        .run("UPDATE jobs SET status = 'running', completed_at = NULL WHERE id = 'a'");
    for order in &orders {
        let WriteOutcome::Changed { how } = watched.source.write(order).unwrap() else {
            panic!("it was written");
        };
        assert_eq!(
            how,
            "status: completed → running, completed_at: 2026-01-01T00:00:00.000Z → none"
        );
    }
    assert_eq!(count(&place, "jobs WHERE data_cleaned_at IS NULL"), "2");
    assert_eq!(count(&place, "metrics"), "2");
}

#[test]
fn a_row_that_is_just_being_changed_is_waited_for() {
    let (place, watched) = filled();
    let order = order(&watched, Record::Forget);
    let other = Cluster::shared().session(&place.name);
    other.run("BEGIN; UPDATE jobs SET status = 'running', completed_at = NULL WHERE id = 'a'");
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot forget job \"a\" in postgres at ") && error.contains("timeout"),
        "{error}"
    );
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| watched.source.write(&order));
        let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'lapsed' AND wait_event_type = 'Lock' \
                     AND datname = current_database()";
        crate::sources::tests::reports::eventually("waiting", || {
            place.session.value(waits).as_deref() == Some("1") || writing.is_finished()
        });
        other.run("COMMIT");
        // It sees the change, or is told that there was one; it never deletes.
        match writing.join().unwrap() {
            Ok(written) => assert!(
                matches!(written, WriteOutcome::Changed { .. }),
                "{written:?}"
            ),
            Err(error) => assert!(
                error.to_string().contains("could not serialize")
                    || error.to_string().contains("timeout"),
                "{error}"
            ),
        }
    });
    assert!(matches!(
        watched.source.write(&order).unwrap(),
        WriteOutcome::Changed { .. }
    ));
    assert_eq!(count(&place, "jobs"), "2");
}

#[test]
fn rows_that_cannot_be_locked_are_written_all_the_same() {
    let place = Place::filled();
    place
        .session
        .run("INSERT INTO metrics VALUES ('a', 1), ('a', 2)");
    let mut options = with_statements(&place);
    options.queries.select = "SELECT jobs.id, max(status) AS status, max(completed_at) AS completed_at, sum(value) AS n \
         FROM jobs LEFT JOIN metrics ON job_id = jobs.id GROUP BY jobs.id"
        .to_owned();
    let watched = Watched::loaded(options);
    let order = order(&watched, Record::Forget);
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "jobs"), "1");
    assert_eq!(count(&place, "metrics"), "0");
}

#[test]
fn all_statements_or_none() {
    let (place, watched) = filled();
    place.session.run(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
         CREATE TRIGGER no BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION no()",
    );
    let order = order(&watched, Record::Forget);
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(
        error.starts_with("forget 2 fails in postgres at ") && error.contains("not this one"),
        "{error}"
    );
    assert_eq!(count(&place, "metrics"), "2");
    place.session.run("DROP TRIGGER no ON jobs");
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
    assert_eq!(count(&place, "metrics"), "1");
}

#[test]
fn what_may_not_be_written_says_what_would_allow_it() {
    let place = Place::telling();
    let role = format!("writer_{}", place.name);
    place.session.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON jobs TO {role}"
    ));
    let url = Cluster::shared()
        .url(&place.name)
        .replace("postgres@", &format!("{role}@"));
    let mut limited = options(&url);
    limited.queries.mark = with_statements(&place).queries.mark;
    let watched = Watched::loaded(limited);
    let order = order(&watched, Record::Mark);
    let error = watched.source.write(&order).unwrap_err().to_string();
    assert!(
        error.ends_with(&format!(
            "permission denied for table jobs\n  GRANT SELECT, UPDATE ON jobs TO {role};"
        )),
        "{error}"
    );
    place
        .session
        .run(&format!("GRANT UPDATE ON jobs TO {role}"));
    assert_eq!(watched.source.write(&order).unwrap(), WriteOutcome::Done);
}

#[test]
fn an_unknown_parameter_is_refused() {
    let (place, watched) = filled();
    drop(watched);
    let mut options = with_statements(&place);
    options.queries.mark = vec!["UPDATE jobs SET summary = :nothing WHERE id = :job".to_owned()];
    let watched = Watched::loaded(options);
    let error = watched
        .source
        .write(&order(&watched, Record::Mark))
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown parameter :nothing"), "{error}");
}

#[test]
fn queries_are_held_against_the_database() {
    use crate::sources::QueryError;
    use crate::sources::postgres::check;
    let place = Place::filled();
    let sound = with_statements(&place);
    check("eemt", &sound).unwrap();
    let told = |change: &dyn Fn(&mut crate::sources::Queries)| {
        let mut options = sound.clone();
        change(&mut options.queries);
        match check("eemt", &options).unwrap_err() {
            error @ QueryError::Query { .. } => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    for (error, start) in [
        (
            told(&|of| "SELECT id, state AS status FROM jobs".clone_into(&mut of.select)),
            "select: column \"state\" does not exist\n  table jobs has id, status, kind",
        ),
        (
            told(&|of| "SELECT status FROM jobs".clone_into(&mut of.select)),
            "select: no column \"id\"\n  name it with AS id; table jobs has",
        ),
        (
            told(&|of| "SELECT id, status FROM job".clone_into(&mut of.select)),
            "select: relation \"job\" does not exist\n  the database has the tables jobs, metrics",
        ),
        (
            told(&|of| "SELECT id, status FROM jobs WHERE id = :job".clone_into(&mut of.select)),
            "select: unknown parameter :job\n  it may name none",
        ),
        (
            told(&|of| of.mark = vec!["UPDATE jobs SET x = 1 WHERE id = :job".to_owned()]),
            "mark: column \"x\" of relation \"jobs\" does not exist",
        ),
        (
            told(&|of| of.forget[1] = "DELETE FROM jobs WHERE id = :jib".to_owned()),
            "forget 2: unknown parameter :jib\n  it may name :job, :now, :summary, :cleaned_at",
        ),
        (
            told(&|of| of.changed = Some("SELECT id, status FROM jobs".to_owned())),
            "changed: no column \"kind\"",
        ),
        (
            told(&|of| {
                let all = "SELECT *, data_cleaned_at AS cleaned_at, updated_at AS changed_at";
                of.changed = Some(format!("{all} FROM jobs"));
            }),
            "changed: it does not name :since",
        ),
    ] {
        assert!(error.starts_with(start), "{error}");
    }
    let mut away = sound;
    away.server = Cluster::shared().url("nowhere").parse().unwrap();
    assert!(matches!(
        check("eemt", &away).unwrap_err(),
        QueryError::Database(_)
    ));
}
