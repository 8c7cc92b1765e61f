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
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Row, RowStream};

use super::error::ServerError;
use super::listener::NotificationListener;
use super::tls;
use crate::sources::postgres_options::PostgresOptions;

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

/// A connection. Dropping it ends it.
pub(super) struct Connection {
    client: Client,
    task: JoinHandle<()>,
    limit: Duration,
    pub(super) listener: Arc<NotificationListener>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When no server of `options` takes us.
    pub(super) async fn connect(
        options: &PostgresOptions,
        role: ConnectionRole,
    ) -> Result<Self, ServerError> {
        let limit = limit_of(options, role);
        match Self::connect_with(&configured(options, role, limit), options, limit).await {
            // A pooler may know nothing of settings at the start.
            Err(said) if said.message.contains("startup parameter") => {
                let mut plain = configured(options, role, limit);
                plain.options(options.server.get_options().unwrap_or_default());
                Self::connect_with(&plain, options, limit).await
            }
            connected => connected,
        }
    }

    async fn connect_with(
        config: &Config,
        options: &PostgresOptions,
        limit: Duration,
    ) -> Result<Self, ServerError> {
        let (connector, mode) = tls::connector(&options.tls)?;
        let mut config = config.clone();
        config.ssl_mode(mode);
        let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        let patience = config.get_connect_timeout().copied().unwrap_or(CONNECT);
        let patience = patience.saturating_mul(hosts) + GRACE;
        let connected = timeout(patience, config.connect(connector)).await;
        let (client, mut connection) = connected.map_err(|_| ServerError::silence())??;
        let has_no_encoding = connection.parameter("server_encoding") == Some("SQL_ASCII");
        let listener = Arc::new(NotificationListener::default());
        let hears = Arc::clone(&listener);
        let task = tokio::spawn(async move {
            loop {
                let message =
                    std::future::poll_fn(|context| connection.poll_message(context)).await;
                match message {
                    Some(Ok(AsyncMessage::Notification(said))) => {
                        hears.on_notification(said.payload());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return hears.close(ServerError::from(&error)),
                    None => return hears.close(closed()),
                }
            }
        });
        let link = Self {
            client,
            task,
            limit,
            listener,
        };
        if has_no_encoding {
            // Its texts are any bytes: one that is no UTF-8 would fail a whole reading. Poolers
            // keep this setting apart.
            link.run("SET client_encoding = 'SQL_ASCII'").await?;
        }
        Ok(link)
    }

    /// Returns whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// All rows that `sql` gives.
    pub(super) async fn rows(
        &self,
        sql: &str,
        given: &[Option<&str>],
    ) -> Result<Vec<Row>, ServerError> {
        let given = typed(given);
        let refs: Vec<(&(dyn ToSql + Sync), Type)> = given
            .iter()
            .map(|(given, kind)| (given as &(dyn ToSql + Sync), kind.clone()))
            .collect();
        let answer = timeout(self.limit, self.client.query_typed(sql, &refs)).await;
        Ok(answer.map_err(|_| ServerError::silence())??)
    }

    /// The rows that `sql` gives, one after the other.
    pub(super) async fn stream(
        &self,
        sql: &str,
        given: &[Option<&str>],
    ) -> Result<RowStream, ServerError> {
        let answer = timeout(self.limit, self.client.query_typed_raw(sql, typed(given))).await;
        Ok(answer.map_err(|_| ServerError::silence())??)
    }

    /// Waits for something that the server gives, no longer than for a statement.
    pub(super) async fn within<T>(
        &self,
        what: impl Future<Output = Option<Result<T, tokio_postgres::Error>>>,
    ) -> Result<Option<T>, ServerError> {
        let answer = timeout(self.limit, what).await;
        Ok(answer.map_err(|_| ServerError::silence())?.transpose()?)
    }

    /// Runs a statement without parameters.
    pub(super) async fn run(&self, sql: &str) -> Result<(), ServerError> {
        let answer = timeout(self.limit, self.client.batch_execute(sql)).await;
        Ok(answer.map_err(|_| ServerError::silence())??)
    }

    /// The types of what a statement gives, without running it. It is prepared by name for a
    /// moment: for checks only.
    pub(super) async fn prepare(
        &self,
        sql: &str,
    ) -> Result<tokio_postgres::Statement, ServerError> {
        let answer = timeout(self.limit, self.client.prepare(sql)).await;
        Ok(answer.map_err(|_| ServerError::silence())??)
    }
}

fn typed(given: &[Option<&str>]) -> Vec<(TextParam, Type)> {
    given.iter().map(|text| TextParam::of(*text)).collect()
}

fn closed() -> ServerError {
    ServerError {
        from: super::error::From::Wire,
        message: "the server has closed the connection".to_owned(),
    }
}

/// Returns how long an answer over a connection is waited for.
fn limit_of(options: &PostgresOptions, role: ConnectionRole) -> Duration {
    match role {
        ConnectionRole::Reads => options.statement_timeout + GRACE,
        ConnectionRole::Asks => super::lookup_connection::PATIENCE,
        ConnectionRole::Writes => super::write::PATIENCE,
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
