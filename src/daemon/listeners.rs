//! Ways in: the Unix socket and the TCP ports of the configuration, and the sockets of systemd.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch as flag;

use super::inherited::Inherited;
use crate::app::daemon::{Daemon, TellPorts};
use crate::config::Settings;
use crate::fs::descriptors;
use crate::http::listener::tcp::Port;
use crate::http::listener::tls::Tls;
use crate::http::listener::unix::UnixSocket;
use crate::http::router::router;
use crate::http::server::{Capacity, Limits, serve};
use crate::types;

/// Everything that listens, and answers nobody yet.
pub(super) struct Listeners {
    unix: Vec<UnixSocket>,
    ports: Vec<Port>,
    tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Takes the addresses that `settings` name, and those that are `inherited`: a Unix socket
    /// among these stands for that of the settings. To be called on a runtime, before other threads
    /// write files (see [`UnixSocket::bind`]).
    ///
    /// # Errors
    /// If one of them cannot be had, or the certificate cannot be used; what would mend it.
    pub(super) fn bind(settings: &Settings, inherited: Inherited) -> anyhow::Result<Self> {
        let http = &settings.http;
        let tls = http.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let unix = match inherited.unix {
            sockets if sockets.is_empty() => vec![UnixSocket::bind(settings)?],
            sockets => inherit(sockets, &settings.socket)?,
        };
        let ours = http.listen.iter();
        let ours = ours.map(|&address| Port::bind(address, tls.clone()));
        let given = inherited.tcp.into_iter();
        let given = given.map(|socket| Port::new(socket, tls.clone()));
        let ports: Vec<Port> = ours.chain(given).collect::<Result<_, _>>()?;
        for port in &ports {
            let address = port.address();
            let is_open = !address.ip().to_canonical().is_loopback() && !http.allow_plain;
            anyhow::ensure!(
                tls.is_some() || !is_open,
                "the socket of systemd on {address} can be reached from other hosts, and has no TLS\n  \
                 set [http] tls = {{ cert = \"…\", key = \"…\" }}, or allow_plain = true"
            );
            tracing::info!(%address, tls = tls.is_some(), "listening on TCP");
        }
        Ok(Self { unix, ports, tls })
    }

    /// Returns what tells on which TCP ports the daemon answers.
    pub(super) fn tell_ports(&self) -> Box<TellPorts> {
        let addresses: Vec<SocketAddr> = self.ports.iter().map(Port::address).collect();
        let tls = self.tls.clone();
        Box::new(move || {
            let tls = tls.as_ref().filter(|_| !addresses.is_empty());
            let tls = tls.map(Tls::describe);
            let addresses = addresses.iter();
            addresses
                .map(|address| types::HttpListener {
                    address: address.to_string(),
                    tls: tls.clone(),
                })
                .collect()
        })
    }

    /// Answers all clients of `daemon` on `runtime` until `stop` turns true. Completes when all
    /// connections are closed.
    pub(super) fn serve(
        self,
        runtime: &Handle,
        daemon: Arc<Daemon>,
        stop: &flag::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        let limits = Limits {
            connections: Capacity::new(descriptors::connections_max()),
            ..Limits::default()
        };
        let router = router(daemon);
        let mut servers = tokio::task::JoinSet::new();
        for port in self.ports {
            let server = serve(port, router.clone(), limits.clone(), stop.clone());
            servers.spawn_on(server, runtime);
        }
        for socket in self.unix {
            let server = serve(socket, router.clone(), limits.clone(), stop.clone());
            servers.spawn_on(server, runtime);
        }
        async move { while servers.join_next().await.is_some() {} }
    }
}

/// Takes sockets of systemd. Clients look for one at `path`.
fn inherit(sockets: Vec<UnixListener>, path: &Path) -> anyhow::Result<Vec<UnixSocket>> {
    let is_there = |socket: &UnixListener| {
        let address = socket.local_addr();
        address.is_ok_and(|address| address.as_pathname() == Some(path))
    };
    if !sockets.iter().any(is_there) {
        tracing::warn!(
            "no socket of systemd is at \"{}\", where clients look for it; \
             set ListenStream= of its unit, or `socket` in the configuration",
            path.display()
        );
    }
    let sockets = sockets.into_iter().map(UnixSocket::inherit);
    Ok(sockets.collect::<Result<_, _>>()?)
}
