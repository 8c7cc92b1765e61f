//! A connection: statements over it, and notifications.
//!
//! **Invariant:** no statement that we read with leaves a transaction open: each is one of its own.
//! **Invariant:** nothing is waited for without a limit: a peer that died silently is noticed.
//! **Invariant:** no statement is prepared by name and no setting made after the start (but one
//! that poolers keep apart), so that a pooler that lends one connection to many has nothing of ours
//! left on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Row, Statement};

use super::error::{From, ServerError};
use super::listener::NotificationListener;
use super::{runtime, tls};
use crate::clock;
use crate::sources::options::PostgresOptions;

/// Time limit of connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// After so long without a word the peer is asked whether it is there, …
const KEEPALIVE: Duration = Duration::from_secs(30);
/// … this often, …
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// … so many times. What was sent has to be taken in likewise.
const KEEPALIVE_COUNT: u32 = 3;
/// The server ends a statement that takes too long. It is given this much longer to say so.
const GRACE: Duration = Duration::from_secs(2);
/// Longest wait for the answer about a single row.
pub(super) const LOOKUP_MAX: Duration = Duration::from_millis(1500);
/// Longest wait of a statement that writes for others. The caller tries again later.
const WRITE_MAX: Duration = Duration::from_secs(3);
/// A transaction that writes, and whose client has gone silent.
const IDLE_MS: u32 = 10_000;

/// Purpose of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionRole {
    /// It reads jobs, and is notified of changes.
    Reads,
    /// It asks for single rows, for a caller that waits.
    Asks,
    /// It writes back.
    Writes,
}

/// A connection; its copies share it. Dropping the last one ends it.
#[derive(Clone)]
pub(super) struct Connection {
    line: Arc<Line>,
    /// Time limit of a statement.
    limit: Duration,
    /// Instant at which the whole question has to be answered.
    until: Option<Duration>,
}

struct Line {
    client: Client,
    task: JoinHandle<()>,
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects, until the instant `until` at most. Notifications go to `listener`.
    ///
    /// # Errors
    /// When no server of `options` takes us.
    pub(super) fn connect(
        options: &PostgresOptions,
        role: ConnectionRole,
        stop: &watch::Receiver<bool>,
        listener: Arc<NotificationListener>,
        until: Option<Duration>,
    ) -> Result<Self, ServerError> {
        let limit = limit_of(options, role);
        let runtime = runtime::handle().map_err(|error| ServerError {
            from: From::Wire,
            message: format!("no thread for connections: {error}"),
        })?;
        let attempt = |config: &Config| {
            let (connector, mode) = tls::connector(&options.tls)?;
            let mut config = config.clone();
            config.ssl_mode(mode);
            let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
            let patience = config.get_connect_timeout().copied().unwrap_or(CONNECT);
            let patience = at_most(patience.saturating_mul(hosts) + GRACE, until);
            wait(&runtime, stop, patience, config.connect(connector))
        };
        let config = configured(options, role, limit);
        let connected = match attempt(&config) {
            // A pooler may know nothing of settings at the start.
            Err(said) if said.message.contains("startup parameter") => {
                let mut plain = config;
                plain.options(options.server.get_options().unwrap_or_default());
                attempt(&plain)
            }
            connected => connected,
        };
        let (client, mut connection) = connected?;
        let has_no_encoding = connection.parameter("server_encoding") == Some("SQL_ASCII");
        let task = runtime.spawn(async move {
            loop {
                let message =
                    std::future::poll_fn(|context| connection.poll_message(context)).await;
                match message {
                    Some(Ok(AsyncMessage::Notification(said))) => {
                        listener.on_notification(said.payload());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return listener.close(ServerError::from(&error)),
                    None => return listener.close(closed()),
                }
            }
        });
        let link = Self {
            line: Arc::new(Line {
                client,
                task,
                runtime,
                stop: stop.clone(),
            }),
            limit,
            until,
        };
        if has_no_encoding {
            // Its texts are any bytes: one that is no UTF-8 would fail a whole reading. Poolers
            // keep this setting apart.
            link.run("SET client_encoding = 'SQL_ASCII'")?;
        }
        Ok(link)
    }

    /// The same connection for a question that has to be answered until this instant.
    pub(super) fn until(&self, until: Duration) -> Self {
        Self {
            until: Some(until),
            ..self.clone()
        }
    }

    /// Returns whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        self.line.client.is_closed()
    }

    /// All rows that `sql` gives.
    pub(super) fn rows(&self, sql: &str, given: &[Option<&str>]) -> Result<Vec<Row>, ServerError> {
        self.wait(query(&self.line.client, sql, given))
    }

    /// All rows that `sql` gives for each of `given`, asked for at once.
    pub(super) fn rows_of_each(
        &self,
        sql: &str,
        given: &[String],
    ) -> Result<Vec<Result<Vec<Row>, ServerError>>, ServerError> {
        let client = &self.line.client;
        let asked = given
            .iter()
            .map(|text| async { Ok(query(client, sql, &[Some(text)]).await?) });
        self.wait(async { Ok(join_all(asked).await) })
    }

    /// Hands the rows that `sql` gives to `each`, one after the other.
    pub(super) fn stream<E>(
        &self,
        sql: &str,
        given: &[Option<&str>],
        fails: impl Fn(&ServerError) -> E,
        mut each: impl FnMut(&Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.wait(self.line.client.query_typed_raw(sql, typed(given)));
        let mut rows = Box::pin(rows.map_err(|said| fails(&said))?);
        while let Some(row) = self.wait(rows.try_next()).map_err(|said| fails(&said))? {
            each(&row)?;
        }
        Ok(())
    }

    /// Runs a statement without parameters.
    pub(super) fn run(&self, sql: &str) -> Result<(), ServerError> {
        self.wait(self.line.client.batch_execute(sql))
    }

    /// The types of what a statement gives, without running it. It is prepared by name for a
    /// moment: for checks only.
    pub(super) fn prepare(&self, sql: &str) -> Result<Statement, ServerError> {
        self.wait(self.line.client.prepare(sql))
    }

    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, ServerError> {
        let limit = at_most(self.limit, self.until);
        wait(&self.line.runtime, &self.line.stop, limit, answer)
    }
}

/// Waits for an answer of a server, for `limit` at most, or until the source is to end.
fn wait<T>(
    runtime: &Handle,
    stop: &watch::Receiver<bool>,
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ServerError> {
    let mut stop = stop.clone();
    runtime.block_on(async {
        tokio::select! {
            biased;
            answer = timeout(limit, answer) => match answer {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(ServerError::silence()),
            },
            // The source is gone as well when it cannot say so any more.
            _ = stop.wait_for(|is_stopped| *is_stopped) => Err(ServerError::stopped()),
        }
    })
}

async fn query(
    client: &Client,
    sql: &str,
    given: &[Option<&str>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let given = typed(given);
    let refs: Vec<(&(dyn ToSql + Sync), Type)> = given
        .iter()
        .map(|(given, kind)| (given as &(dyn ToSql + Sync), kind.clone()))
        .collect();
    client.query_typed(sql, &refs).await
}

fn at_most(limit: Duration, until: Option<Duration>) -> Duration {
    let left = until.map(|until| until.saturating_sub(clock::now().boot));
    left.map_or(limit, |left| left.min(limit))
}

fn typed(given: &[Option<&str>]) -> Vec<(TextParam, Type)> {
    given.iter().map(|text| TextParam::of(*text)).collect()
}

fn closed() -> ServerError {
    ServerError {
        from: From::Wire,
        message: "the server has closed the connection".to_owned(),
    }
}

/// Returns how long an answer over a connection is waited for.
fn limit_of(options: &PostgresOptions, role: ConnectionRole) -> Duration {
    match role {
        ConnectionRole::Reads => options.statement_timeout + GRACE,
        ConnectionRole::Asks => LOOKUP_MAX,
        ConnectionRole::Writes => WRITE_MAX,
    }
}

/// The server's settings for a connection, made with its first message.
fn configured(options: &PostgresOptions, role: ConnectionRole, limit: Duration) -> Config {
    let mut config = options.server.clone();
    let statement = match role {
        ConnectionRole::Reads => options.statement_timeout,
        // The server gives up before we do, so that nothing piles up there.
        ConnectionRole::Asks | ConnectionRole::Writes => limit.mul_f32(0.8),
    };
    let ms = statement.as_millis();
    // This setting shows whether a server can be written.
    let any = options.server.get_target_session_attrs() == TargetSessionAttrs::Any;
    let read_only = match role {
        ConnectionRole::Reads | ConnectionRole::Asks if any => {
            " -c default_transaction_read_only=on"
        }
        ConnectionRole::Reads | ConnectionRole::Asks | ConnectionRole::Writes => "",
    };
    let ours = format!(
        "-c statement_timeout={ms} -c lock_timeout={ms} -c idle_in_transaction_session_timeout={IDLE_MS} \
        {read_only} -c TimeZone=UTC -c DateStyle=ISO"
    );
    let theirs = options.server.get_options();
    config.options(theirs.map_or(ours.clone(), |theirs| format!("{theirs} {ours}")));
    config.application_name("lapsed");
    config
        .keepalives(true)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE_EVERY)
        .keepalives_retries(KEEPALIVE_COUNT)
        .tcp_user_timeout(KEEPALIVE + KEEPALIVE_EVERY * KEEPALIVE_COUNT);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    config
}

/// A text that the server reads as a value of the type that it finds for the parameter.
#[derive(Debug)]
pub(super) struct TextParam(Option<String>);

impl TextParam {
    fn of(text: Option<&str>) -> (Self, Type) {
        // Type 0: the server is to find it.
        let kind = Type::new("unsaid".to_owned(), 0, Kind::Simple, String::new());
        (Self(text.map(str::to_owned)), kind)
    }
}

impl ToSql for TextParam {
    fn to_sql(
        &self,
        _kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            None => IsNull::Yes,
            Some(text) => {
                out.put_slice(text.as_bytes());
                IsNull::No
            }
        })
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    fn encode_format(&self, _kind: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
