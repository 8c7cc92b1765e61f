//! The daemon's socket from its making to its end.

use std::path::Path;
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::router::router;
use super::server::{self, Limits};
use super::socket::{self, OwnedSocket, SocketError, SocketRights};
use crate::app::access::Authorizer;
use crate::app::daemon::{Daemon, NoSuchGroup};
use crate::config::{Environment, Settings};

/// A socket that is ours, and not answered yet.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    owned: OwnedSocket,
}

/// Failure to open the socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket itself.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The group that it shall belong to.
    #[error(transparent)]
    Group(#[from] NoSuchGroup),
    /// The runtime does not take it.
    #[error("cannot wait for clients: {0}")]
    Runtime(#[from] std::io::Error),
}

impl Listener {
    /// Takes the socket that `settings` name. To be called on a runtime, before other threads write
    /// files (see [`socket::bind`]).
    ///
    /// # Errors
    /// [`ListenError`], with what would mend it.
    pub fn bind(settings: &Settings) -> Result<Self, ListenError> {
        let authorizer = Authorizer::of_process(settings.group.as_deref())?;
        let rights = SocketRights {
            mode: settings.socket_mode,
            gid: authorizer.group.map(|group| group.gid),
            create_parent: is_usual(&settings.socket, &settings.state_dir),
        };
        let (listener, owned) = socket::bind(&settings.socket, rights)?;
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            owned,
        })
    }

    /// Answers at most `connections` clients at once until `stop` turns true, then removes the
    /// socket.
    pub async fn serve(self, daemon: Arc<Daemon>, connections: usize, stop: watch::Receiver<bool>) {
        let limits = Limits {
            connections,
            ..Limits::default()
        };
        server::serve(self.listener, router(daemon), limits, stop).await;
        drop(self.owned);
    }
}

/// Answers the client at the other end of `stream` until it disconnects.
pub async fn answer(stream: UnixStream, daemon: Arc<Daemon>) {
    server::answer(stream, router(daemon), Limits::default()).await;
}

/// Returns true if the path is a default, whose directory the daemon may create.
fn is_usual(socket: &Path, state_dir: &Path) -> bool {
    socket == Environment::new().system_socket || socket.parent() == Some(state_dir)
}
