//! `[http]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::setting::{Table, Value, Values};

/// HTTP over TCP: the same /v1 as on the socket, for other hosts, containers and browsers. Off
/// without `listen`. A change takes effect at the next start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Http {
    /// Addresses to listen on, one or a list, at most 16: "127.0.0.1:7343", "[::1]:7343". A port
    /// alone ("7343") and "localhost:7343" mean 127.0.0.1; other host names are not looked up.
    /// "0.0.0.0:7343" is every IPv4 address of this host, "[::]:7343" every IPv6 address. Port 0
    /// takes a free one, which `lapsed status` tells. In the variable, commas separate addresses.
    #[schemars(example = &"127.0.0.1:7343")]
    pub listen: Values<SocketAddr>,
    /// Listen without TLS on addresses that other hosts can reach: tokens and answers can be read
    /// and changed on their way. For a private network, or behind a proxy that has TLS.
    #[schemars(extend("default" = false), example = true)]
    pub allow_plain: Value<bool>,
    // The file has the keys of a table before its subtables: these come last.
    pub tls: Table<Tls>,
}

/// TLS of all listeners, also written tls = { cert = "…", key = "…" } in [http]. New files are
/// taken over while connections go on; a pair that cannot be used leaves the old one in force.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Tls {
    /// Path of the certificate in PEM, followed by those of its issuers.
    #[schemars(example = &"/etc/lapsed/tls/fullchain.pem")]
    pub cert: Value<PathBuf>,
    /// Path of the private key in PEM. Only the daemon's user should be able to read it.
    #[schemars(example = &"/etc/lapsed/tls/privkey.pem")]
    pub key: Value<PathBuf>,
}
