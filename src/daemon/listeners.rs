//! Ways in: the Unix socket and the TCP ports of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch as flag;

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
    unix: UnixSocket,
    ports: Vec<Port>,
    tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Takes the addresses that `settings` name. To be called on a runtime, before other threads
    /// write files (see [`UnixSocket::bind`]).
    ///
    /// # Errors
    /// If one of them cannot be had, or the certificate cannot be used; what would mend it.
    pub(super) fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let http = &settings.http;
        let tls = http.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let unix = UnixSocket::bind(settings)?;
        let ports = http.listen.iter().map(|&address| {
            let port = Port::bind(address, tls.clone())?;
            tracing::info!(address = %port.address(), tls = tls.is_some(), "listening on TCP");
            Ok(port)
        });
        Ok(Self {
            ports: ports.collect::<anyhow::Result<_>>()?,
            unix,
            tls,
        })
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
        let server = serve(self.unix, router, limits, stop.clone());
        servers.spawn_on(server, runtime);
        async move { while servers.join_next().await.is_some() {} }
    }
}
