//! Access: who a client is, by its connection and by the credentials of a request, and what it may
//! do.
//!
//! - `users`: roles of the users of this host
//!
//! **Invariant:** a use case that acts takes a [`Requester`] with its role, and only
//! [`Authorizer::authorize`] makes one.

pub mod users;

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

use crate::app::error::{AppError, ErrorKind};
use crate::core::principal::Principal;
use crate::core::role::Role;

pub use users::{Authorizer, OperatorGroup, Peer};

/// Other end of a connection, as the kernel knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Process that connected to the Unix socket.
    Unix(Peer),
    /// Host that connected over TCP.
    Tcp {
        /// Its address.
        address: SocketAddr,
        /// Address of ours that it connected to.
        local: SocketAddr,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(peer) => peer.fmt(f),
            Self::Tcp { address, .. } => address.fmt(f),
        }
    }
}

/// Client, as a request shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Client {
    /// Process of this host, whose roles are those of its user.
    Process(Peer),
}

impl Client {
    /// Identity, as the ledger names it.
    #[must_use]
    pub fn principal(&self) -> Principal {
        match self {
            Self::Process(peer) => peer.principal(),
        }
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

/// Client that has the role `R`. Only [`Authorizer::authorize`] makes one, so that a use case that
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

    /// Client that sent the request.
    pub(crate) fn into_client(self) -> Client {
        self.client
    }
}

impl Authorizer {
    /// Tells who sends a request from `origin`.
    ///
    /// # Errors
    /// If nothing shows it.
    pub fn authenticate(&self, origin: &Origin) -> Result<Client, AppError> {
        match origin {
            Origin::Unix(peer) => Ok(Client::Process(peer.clone())),
            Origin::Tcp { .. } => Err(AppError::new(
                ErrorKind::Forbidden,
                "the request has no credentials",
            )),
        }
    }

    /// Checks that `client` has the role `R`.
    ///
    /// # Errors
    /// If it has not; the message says who it is, and what would help.
    pub async fn authorize<R: HasRole>(&self, client: Client) -> Result<Requester<R>, AppError> {
        match &client {
            Client::Process(peer) => self.check(peer, R::ROLE).await?,
        }
        Ok(Requester {
            client,
            role: PhantomData,
        })
    }
}
