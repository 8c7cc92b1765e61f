//! Unix socket of the daemon.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};

use super::Listener;
use super::peer::peer_of;
use super::socket::{self, OwnedSocket, SocketError, SocketRights};
use crate::app::access::{Authorizer, Origin};
use crate::app::daemon::{Daemon, NoSuchGroup};
use crate::config::{Environment, Settings};
use crate::http::router::router;
use crate::http::server::{self, Limits};

/// Socket that is ours, and answers nobody yet.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    /// Its file; `None`: another process made it.
    owned: Option<OwnedSocket>,
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

impl UnixSocket {
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
            owned: Some(owned),
        })
    }

    /// Takes a socket that listens already, does not block, and whose file another process made. To
    /// be called on a runtime.
    ///
    /// # Errors
    /// If the socket cannot be used.
    pub fn inherit(listener: std::os::unix::net::UnixListener) -> Result<Self, ListenError> {
        Ok(Self {
            listener: UnixListener::from_std(listener)?,
            owned: None,
        })
    }
}

/// A socket whose file belongs to another process.
impl Listener for UnixListener {
    type Stream = UnixStream;
    type Address = ();

    async fn accept(&mut self) -> io::Result<UnixStream> {
        let (stream, _) = Self::accept(self).await?;
        Ok(stream)
    }

    fn origin(stream: &UnixStream) -> io::Result<Origin> {
        peer_of(stream).map(Origin::Unix)
    }

    fn close(self) {}
}

impl Listener for UnixSocket {
    type Stream = UnixStream;
    type Address = Option<OwnedSocket>;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        Listener::accept(&mut self.listener).await
    }

    fn origin(stream: &UnixStream) -> io::Result<Origin> {
        peer_of(stream).map(Origin::Unix)
    }

    fn close(self) -> Option<OwnedSocket> {
        self.owned
    }
}

/// Answers the client at the other end of `stream` until it disconnects.
pub async fn answer(stream: UnixStream, daemon: Arc<Daemon>) {
    server::answer::<UnixSocket>(stream, router(daemon), Limits::default()).await;
}

/// Returns true if the path is a default, whose directory the daemon may create.
fn is_usual(socket: &Path, state_dir: &Path) -> bool {
    socket == Environment::new().system_socket || socket.parent() == Some(state_dir)
}
