//! The application that a source belongs to: another process, with a connection of its own.
//!
//! It is this very program, which runs one test: [`the_other_process`].

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::common::trees::now_ms;

/// Names the database; only the other process has it.
const DATABASE: &str = "LAPSED_TEST_DATABASE";
/// What its answers begin with: the test harness prints, too.
const ANSWER: &str = "@@answer ";

/// Another process that has a database open.
pub struct Other {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Other {
    /// Starts it; the database is made when it is not there.
    pub fn open(database: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "jobs_sqlite::other::the_other_process",
                "--nocapture",
            ])
            .env(DATABASE, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes = (
            child.stdin.take().unwrap(),
            BufReader::new(child.stdout.take().unwrap()),
        );
        Self {
            child,
            pipes: Mutex::new(pipes),
        }
    }

    /// Runs statements; transactions are for them to begin and commit. When it was through, in milliseconds since 1970.
    #[track_caller]
    pub fn run(&self, sql: &str) -> i64 {
        self.tell("run", sql).as_i64().unwrap()
    }

    /// The rows that a query gives.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        serde_json::from_value(self.tell("rows", sql)).unwrap()
    }

    /// The one value that a query gives.
    #[track_caller]
    pub fn value(&self, sql: &str) -> Value {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows[0][0].clone()
    }

    #[track_caller]
    fn tell(&self, order: &str, sql: &str) -> Value {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{}", json!([order, sql])).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(pipes.1.read_line(&mut line).unwrap(), 0, "it ended");
            let Some((_, answer)) = line.split_once(ANSWER) else {
                continue;
            };
            let answer: Value = serde_json::from_str(answer).unwrap();
            assert!(answer["error"].is_null(), "{sql}: {}", answer["error"]);
            return answer["ok"].clone();
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_other_process() {
    // Among the other tests it has nothing to do.
    let Some(database) = std::env::var_os(DATABASE) else {
        return;
    };
    let connection = Connection::open(database).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    for line in std::io::stdin().lock().lines() {
        let order: [String; 2] = serde_json::from_str(&line.unwrap()).unwrap();
        let done = match order[0].as_str() {
            "run" => connection
                .execute_batch(&order[1])
                .map(|()| json!(now_ms())),
            _ => rows(&connection, &order[1]),
        };
        let answer = match done {
            Ok(done) => json!({"ok": done}),
            Err(error) => json!({"error": error.to_string()}),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{ANSWER}{answer}").unwrap();
        out.flush().unwrap();
    }
}

fn rows(connection: &Connection, sql: &str) -> rusqlite::Result<Value> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|at| {
                Ok(match row.get_ref(at)? {
                    ValueRef::Null | ValueRef::Blob(_) => Value::Null,
                    ValueRef::Integer(number) => json!(number),
                    ValueRef::Real(number) => json!(number),
                    ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                })
            })
            .collect::<rusqlite::Result<Vec<Value>>>()
    })?;
    Ok(json!(rows.collect::<rusqlite::Result<Vec<_>>>()?))
}
