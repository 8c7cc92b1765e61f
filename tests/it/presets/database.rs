//! The application's database, and the application's connection to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};

use super::site::Site;
use crate::common::trees::now_ms;
use crate::postgres::{Cluster, Session};

/// What an application keeps its rows in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Sqlite,
    Postgres,
}

pub const BOTH: [Kind; 2] = [Kind::Sqlite, Kind::Postgres];

/// A database with a connection to it.
pub enum Database {
    Sqlite {
        path: PathBuf,
        connection: Connection,
    },
    Postgres {
        session: Session,
    },
}

impl Database {
    /// A new one for a site, which is told where it is when it is not where the preset looks for it, at `usual` below the
    /// application's directory.
    pub fn new(kind: Kind, site: &mut Site, usual: &str) -> Self {
        match kind {
            Kind::Sqlite => {
                site.set_apart(&format!("app/{usual}"));
                Self::open(&site.path(usual), "WAL")
            }
            Kind::Postgres => {
                let cluster = Cluster::shared();
                let name = cluster.database();
                site.set("DATABASE_URL", &cluster.url(&name));
                Self::on(cluster, &name)
            }
        }
    }

    /// One of a cluster's.
    pub fn on(cluster: &Cluster, name: &str) -> Self {
        Self::Postgres {
            session: cluster.session(name),
        }
    }

    /// An SQLite file, which is made when it is not there. `mode` is how it keeps its journal.
    pub fn open(path: &Path, mode: &str) -> Self {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        let database = Self::Sqlite {
            path: path.to_path_buf(),
            connection,
        };
        database.rows(&format!("PRAGMA journal_mode = {mode}"));
        database
    }

    /// Where an SQLite file is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Sqlite { path, .. } => path,
            Self::Postgres { .. } => panic!("a server has no path"),
        }
    }

    #[track_caller]
    pub fn run(&self, sql: &str) {
        match self {
            Self::Sqlite { connection, .. } => {
                let done = connection.execute_batch(sql);
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            Self::Postgres { session } => session.run(sql),
        }
    }

    /// The rows that a query gives, as objects.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Value> {
        match self {
            Self::Sqlite { connection, .. } => rows_of(connection, sql),
            Self::Postgres { session } => {
                let all = format!("SELECT coalesce(json_agg(t), '[]') FROM ({sql}) t");
                serde_json::from_str(&session.value(&all).unwrap()).unwrap()
            }
        }
    }

    /// The texts that a query gives, in its order.
    #[track_caller]
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let first = |row: Value| {
            let object = row.as_object().unwrap().clone();
            let (_, value) = object.into_iter().next().unwrap();
            value.as_str().map_or(value.to_string(), str::to_owned)
        };
        self.rows(sql).into_iter().map(first).collect()
    }
}

fn rows_of(connection: &Connection, sql: &str) -> Vec<Value> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns: Vec<String> = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let rows = statement.query_map([], |row| {
        let mut object = Map::new();
        for (at, name) in columns.iter().enumerate() {
            let value = match row.get_ref(at)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => json!(number),
                ValueRef::Real(number) => json!(number),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    json!(String::from_utf8_lossy(text))
                }
            };
            object.insert(name.clone(), value);
        }
        Ok(Value::Object(object))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// A text as SQL quotes it, or NULL.
pub fn quoted(text: Option<&str>) -> String {
    text.map_or("NULL".to_owned(), |text| {
        format!("'{}'", text.replace('\'', "''"))
    })
}

/// A naive timestamp in UTC, as most applications write it.
pub fn utc(unix_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(unix_ms).unwrap();
    at.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// So long ago.
pub fn ago(span: Duration) -> i64 {
    now_ms() - ms(span)
}

pub fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap()
}

pub const HOUR: Duration = Duration::from_hours(1);
pub const DAY: Duration = Duration::from_hours(24);
pub const YEAR: Duration = Duration::from_hours(366 * 24);
