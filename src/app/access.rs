//! Access: who a client is, by its connection and by what a request shows, and what it may do.
//!
//! - `request`: facts of a request on which access depends
//! - `users`: roles of the users of this host
//! - `tokens`, `jwt`, `anonymous`: what requests show, over TCP and on the socket
//! - `attempts`: limit on failures
//!
//! **Invariant:** a use case that acts takes a [`Requester`] with its role, and only
//! [`Access::authorize`] makes one.
//! **Invariant:** credentials that are shown count alone. A wrong token is never forgiven because
//! the connection would have been enough.

mod anonymous;
mod attempts;
pub mod jwt;
mod request;
pub mod tokens;
pub mod users;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use self::attempts::Attempts;
use self::jwt::{Issuer, JwtGrant, JwtRefusal};
use self::tokens::{TokenGrant, Tokens};
use crate::app::error::{AppError, ErrorKind};
use crate::clock;
use crate::core::principal::Principal;
use crate::core::role::Role;
use crate::core::time::Timestamp;

pub use request::{Credentials, Origin, RequestFacts};
pub use users::{Authorizer, OperatorGroup, Peer};

/// Longest credentials that are looked at.
const CREDENTIALS_MAX: usize = 16 << 10;

/// Interval at which the clock is looked at while credentials wait for their end: it may be set.
const CLOCK_CHECK: Duration = Duration::from_secs(30);

/// Client, as a request shows it.
#[derive(Clone, Debug)]
pub enum Client {
    /// Process of this host, whose roles are those of its user.
    Process(Peer),
    /// Holder of a token.
    Token(TokenGrant),
    /// Subject of a JWT.
    Jwt(JwtGrant, HttpSettings),
    /// Program of this host, over TCP, that shows nothing.
    Anonymous(Role, HttpSettings),
}

/// Settings of access over TCP, and their changes.
type HttpSettings = watch::Receiver<Arc<HttpAccess>>;

impl Client {
    /// Identity, as the ledger names it.
    #[must_use]
    pub fn principal(&self) -> Principal {
        match self {
            Self::Process(peer) => peer.principal(),
            Self::Token(grant) => Principal::Token(grant.name.clone()),
            Self::Jwt(grant, _) => Principal::Jwt(grant.subject.clone()),
            Self::Anonymous(..) => Principal::Anonymous,
        }
    }

    async fn ended(self) {
        match self {
            Self::Process(_) => std::future::pending().await,
            Self::Anonymous(role, mut http) => {
                let is_forbidden = |http: &Arc<HttpAccess>| http.anonymous < Some(role);
                let _ = http.wait_for(is_forbidden).await;
            }
            Self::Jwt(grant, mut http) => tokio::select! {
                // The client returns, and the new settings tell if it still may.
                _ = http.changed() => {}
                () = reached(grant.expires_at) => {}
            },
            Self::Token(mut grant) => {
                let expired = async {
                    match grant.expires_at {
                        Some(at) => reached(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    // Nothing is sent: it ends with the token.
                    _ = grant.alive.changed() => {}
                    () = expired => {}
                }
            }
        }
    }
}

/// Completes at `instant`.
async fn reached(instant: Timestamp) {
    loop {
        let left = instant.ms_since(clock::now().wall);
        let Ok(left @ 1..) = u64::try_from(left) else {
            return;
        };
        tokio::time::sleep(Duration::from_millis(left).min(CLOCK_CHECK)).await;
    }
}

/// Role as a type.
pub trait HasRole {
    /// The role.
    const ROLE: Role;
}

/// [`Role::Viewer`].
#[derive(Debug)]
pub enum IsViewer {}

/// [`Role::Operator`].
#[derive(Debug)]
pub enum IsOperator {}

/// [`Role::Admin`].
#[derive(Debug)]
pub enum IsAdmin {}

impl HasRole for IsViewer {
    const ROLE: Role = Role::Viewer;
}

impl HasRole for IsOperator {
    const ROLE: Role = Role::Operator;
}

impl HasRole for IsAdmin {
    const ROLE: Role = Role::Admin;
}

/// Client that has the role `R`. Only [`Access::authorize`] makes one, so that a use case that
/// takes it cannot be called without the role.
#[derive(Debug)]
pub struct Requester<R> {
    client: Client,
    role: PhantomData<R>,
}

/// Requester that may ask.
pub type Viewer = Requester<IsViewer>;

/// Requester that may act.
pub type Operator = Requester<IsOperator>;

/// Requester that may do everything.
pub type Admin = Requester<IsAdmin>;

impl<R> Requester<R> {
    /// Identity, as the ledger names it.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.client.principal()
    }

    /// Completes when what the client showed is not valid any more: its token is revoked, the
    /// instant of its end has come, or a reload forbids it.
    pub async fn ended(self) {
        self.client.ended().await;
    }

    /// Client that sent the request.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }
}

/// Settings of access over TCP, which a reload replaces.
#[derive(Debug, Default)]
pub struct HttpAccess {
    /// Role of requests without credentials.
    pub anonymous: Option<Role>,
    /// True if programs of this host read the metrics without credentials.
    pub open_metrics: bool,
    /// True if TCP offers only the endpoints that the configuration declares.
    pub only_endpoints: bool,
    /// Issuers of JWTs.
    pub issuers: Vec<Issuer>,
}

/// Access to the daemon.
#[derive(Debug)]
pub struct Access {
    users: Authorizer,
    tokens: Tokens,
    attempts: Attempts,
    http: watch::Sender<Arc<HttpAccess>>,
}

impl Access {
    /// Access of the users of this host, and of the holders of `tokens`.
    #[must_use]
    pub fn new(users: Authorizer, tokens: Tokens) -> Self {
        Self {
            users,
            tokens,
            attempts: Attempts::default(),
            http: watch::Sender::default(),
        }
    }

    /// Replaces the settings.
    pub fn set_http(&self, http: HttpAccess) {
        self.http.send_replace(Arc::new(http));
    }

    /// Tokens.
    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Tells who sends `request`.
    ///
    /// # Errors
    /// If nothing shows it, what it shows is not valid, or too many failures came from there.
    pub fn authenticate(&self, request: &RequestFacts<'_>) -> Result<Client, AppError> {
        match request.credentials {
            Credentials::None => self.without_credentials(request),
            Credentials::Bearer(text) => self.bearer(request.origin, text),
            Credentials::Other => self.refuse(
                request.origin,
                "the Authorization header is not one \"Bearer TOKEN\"",
            ),
        }
    }

    /// Returns true if the metrics take no credentials of `request`.
    pub(crate) fn may_scrape(&self, request: &RequestFacts<'_>) -> bool {
        self.http.borrow().open_metrics
            && request.credentials == Credentials::None
            && anonymous::check(request).is_ok()
    }

    /// Returns true if a client at `origin` is offered nothing but declared endpoints.
    pub(crate) fn has_only_endpoints(&self, origin: &Origin) -> bool {
        matches!(origin, Origin::Tcp { .. }) && self.http.borrow().only_endpoints
    }

    fn without_credentials(&self, request: &RequestFacts<'_>) -> Result<Client, AppError> {
        let refused = |why: &str| {
            let message = format!("the request has no credentials{why}");
            Err(AppError::new(ErrorKind::Unauthenticated, message).hint(bearer_hint(Role::Viewer)))
        };
        match request.origin {
            // Whoever is behind the proxy is not the proxy.
            Origin::Unix(_) if request.is_forwarded => refused(", and a proxy forwarded it"),
            Origin::Unix(peer) => Ok(Client::Process(peer.clone())),
            Origin::Tcp { .. } => {
                let http = self.http.subscribe();
                let allowed = http.borrow().anonymous;
                match (allowed, anonymous::check(request)) {
                    (None, _) => refused(""),
                    (Some(role), Ok(())) => Ok(Client::Anonymous(role, http)),
                    (_, Err(why)) => refused(&format!(", and cannot be anonymous: {why}")),
                }
            }
        }
    }

    fn bearer(&self, origin: &Origin, text: &str) -> Result<Client, AppError> {
        let now = clock::now().wall;
        if text.len() > CREDENTIALS_MAX {
            return self.refuse(origin, "the credentials are too long");
        }
        if text.starts_with(tokens::PREFIX) {
            // Checked also for an address that has to wait: 256 bits cannot be guessed, and what
            // others do at the same address must not shut out the holder of a token.
            return match self.tokens.check(text, now) {
                Ok(grant) => Ok(Client::Token(grant)),
                Err(why) => self.refuse(origin, why),
            };
        }
        // The secret of an application may be weak.
        if self.attempts.is_limited(origin, now) {
            return Err(too_many());
        }
        let settings = self.http.subscribe();
        let http = Arc::clone(&settings.borrow());
        match jwt::check(&http.issuers, text) {
            Ok(grant) => Ok(Client::Jwt(grant, settings)),
            Err(JwtRefusal::Invalid(why)) => self.refuse(origin, &why),
            Err(JwtRefusal::NoRole(why)) => Err(AppError::new(ErrorKind::Forbidden, why)
                .hint("the roles are in the table roles of [http.jwt]")),
        }
    }

    /// Counts a failure, and returns its error.
    fn refuse(&self, origin: &Origin, why: &str) -> Result<Client, AppError> {
        let now = clock::now().wall;
        tracing::debug!(%origin, why, "credentials are refused");
        if self.attempts.is_limited(origin, now) {
            return Err(too_many());
        }
        if self.attempts.on_failure(origin, now) {
            tracing::warn!(%origin, why, "too many credentials are refused: it has to wait");
        }
        let error = AppError::new(ErrorKind::InvalidCredentials, why);
        Err(error.hint("`lapsed token ls` lists tokens, `lapsed token new` makes one"))
    }

    /// Returns the highest role of `client`, which may ask.
    pub(crate) async fn role(&self, client: &Client) -> Role {
        match client {
            Client::Process(peer) => {
                for role in [Role::Admin, Role::Operator] {
                    if self.users.check(peer, role).await.is_ok() {
                        return role;
                    }
                }
                Role::Viewer
            }
            Client::Token(grant) => grant.role,
            Client::Jwt(grant, _) => grant.role,
            Client::Anonymous(role, _) => *role,
        }
    }

    /// Checks that `client` has the role `R`.
    ///
    /// # Errors
    /// If it has not; the message says who it is, and what would help.
    pub async fn authorize<R: HasRole>(&self, client: Client) -> Result<Requester<R>, AppError> {
        let granted = match &client {
            Client::Process(peer) => {
                self.users.check(peer, R::ROLE).await?;
                R::ROLE
            }
            Client::Token(grant) => grant.role,
            Client::Jwt(grant, _) => grant.role,
            Client::Anonymous(role, _) => *role,
        };
        if granted < R::ROLE {
            return Err(refusal(&client, R::ROLE));
        }
        Ok(Requester {
            client,
            role: PhantomData,
        })
    }
}

/// Advice to a client without credentials that would need `role`.
fn bearer_hint(role: Role) -> String {
    let role = role.as_str();
    format!(
        "send a token as \"Authorization: Bearer TOKEN\"; `lapsed token new --role {role} --name NAME` makes one"
    )
}

fn too_many() -> AppError {
    let wait = attempts::WINDOW.as_secs();
    AppError::new(
        ErrorKind::RateLimited,
        "too many credentials from this address were refused",
    )
    .hint(format!("wait for {wait} s"))
}

/// Error of a client that lacks `role`.
fn refusal(client: &Client, role: Role) -> AppError {
    let (kind, hint) = match client {
        // Credentials would help.
        Client::Anonymous(..) => (ErrorKind::Unauthenticated, bearer_hint(role)),
        Client::Jwt(..) if role == Role::Admin => (
            ErrorKind::Forbidden,
            "a JWT makes nobody an admin: take a token of that role, or the daemon's socket"
                .to_owned(),
        ),
        _ => (
            ErrorKind::Forbidden,
            format!(
                "`lapsed token new --role {} --name NAME` makes a token that may",
                role.as_str()
            ),
        ),
    };
    let (who, role) = (client.principal(), role.with_article());
    AppError::new(kind, format!("permission denied: {who} is not {role}")).hint(hint)
}

#[cfg(test)]
mod tests;
