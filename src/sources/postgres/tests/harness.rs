//! A database of a cluster that all these tests share, and a table of jobs that takes in what is
//! told.

#[path = "../../../../tests/common/postgres.rs"]
mod cluster;

use std::time::Duration;

pub(super) use cluster::{Cluster, Session};
use tokio_postgres::Config;

use crate::core::jobs::JobChange;
use crate::sources::options::{DatabaseOptions, PostgresOptions, Queries, Tls};
use crate::sources::source::Source;
use crate::sources::stats::ChangeDetection;
use crate::sources::tests::reports::{self, SOURCE, Table, view};

pub(super) const SCHEMA: &str = "CREATE TABLE jobs (id text PRIMARY KEY, status text, kind text, created_at timestamptz, completed_at timestamptz, \
     files text, data_cleaned_at timestamptz, summary text, updated_at timestamptz DEFAULT now());
     CREATE TABLE metrics (job_id text, value int);
     INSERT INTO jobs (id, status, completed_at) VALUES ('a', 'completed', '2026-01-01 00:00:00Z'), ('b', 'running', NULL);";

pub(super) const SELECT: &str = "SELECT id, status, kind, created_at, completed_at, files, data_cleaned_at AS cleaned_at FROM jobs";

/// The trigger that the configuration's directory has, filled in by hand.
pub(super) const TRIGGER: &str = "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     PERFORM pg_notify('lapsed_eemt', CASE TG_OP WHEN 'DELETE' THEN OLD.id WHEN 'TRUNCATE' THEN '' ELSE NEW.id END); RETURN NULL; END $$;
     CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION tell();
     CREATE TRIGGER tell_all AFTER TRUNCATE ON jobs EXECUTE FUNCTION tell();";

/// A database, and a session in it.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) session: Session,
}

impl Place {
    /// Without anything.
    pub(super) fn empty() -> Self {
        let name = Cluster::shared().database();
        let session = Cluster::shared().session(&name);
        Self { name, session }
    }

    /// With the jobs of [`SCHEMA`].
    pub(super) fn filled() -> Self {
        let place = Self::empty();
        place.session.run(SCHEMA);
        place
    }

    /// With the trigger, too.
    pub(super) fn telling() -> Self {
        let place = Self::filled();
        place.session.run(TRIGGER);
        place
    }

    pub(super) fn options(&self) -> PostgresOptions {
        options(&Cluster::shared().url(&self.name))
    }
}

/// A source at `url`.
pub(super) fn options(url: &str) -> PostgresOptions {
    PostgresOptions {
        server: url.parse::<Config>().unwrap(),
        tls: Tls::default(),
        channel: "lapsed_eemt".to_owned(),
        poll: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(30),
        queries: Queries {
            select: SELECT.to_owned(),
            ..Queries::default()
        },
    }
}

/// A source, and what it told.
pub(super) struct Watched {
    pub(super) source: Source,
    table: reports::Shared,
}

impl Watched {
    pub(super) fn start(options: PostgresOptions) -> Self {
        let table = reports::Shared::default();
        let options = DatabaseOptions::Postgres(Box::new(options));
        let (view, tell) = (view(&table), reports::tell(&table));
        let source = Source::start_with(SOURCE, "eemt", &options, view, tell).unwrap();
        Self { source, table }
    }

    /// Started, and everything was told.
    pub(super) fn loaded(options: PostgresOptions) -> Self {
        let watched = Self::start(options);
        watched.until("loaded", |table| table.loads() > 0);
        watched
    }

    #[track_caller]
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Table) -> bool) {
        reports::until(&self.table, what, holds);
    }

    /// Waits until it is down, and says why.
    #[track_caller]
    pub(super) fn down(&self) -> String {
        self.until("down", |table| table.down().is_some());
        self.look(|table| table.down().unwrap().to_owned())
    }

    /// Waits until everything was told again, after it was down.
    #[track_caller]
    pub(super) fn up(&self) {
        self.until("up", |table| {
            let is_end = |news: &&JobChange| {
                matches!(news, JobChange::Loaded { .. } | JobChange::Down { .. })
            };
            let last = table.told.iter().rev().find(is_end);
            matches!(last, Some(JobChange::Loaded { .. }))
        });
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.0.lock())
    }

    /// Reason why notifications do not arrive; `None`: they do.
    pub(super) fn deaf(&self) -> Option<String> {
        match self.source.stats().detection.expect("it was found out") {
            ChangeDetection::Notifications => None,
            ChangeDetection::Polling { why } => Some(why),
        }
    }
}
