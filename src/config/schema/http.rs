//! `[http]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use jsonwebtoken::Algorithm;

use super::super::setting::{Table, Value, Values, Words};
use super::super::value::{Anonymous, Metrics, Period, Served};
use crate::core::role::Role;

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
    /// Role of requests without credentials: "none", "viewer" or "operator". It counts for programs
    /// of this host alone, that connect to a loopback address: a request is refused if a proxy
    /// forwarded it, if it asks for another host than localhost, or if a page of another site sent
    /// it. "operator" lets every user and program of this host remove what is due.
    #[schemars(extend("default" = "none"), example = &"viewer")]
    pub anonymous: Value<Anonymous>,
    /// Credentials for GET /metrics: "viewer", or "open" for none on loopback addresses.
    #[schemars(extend("default" = "viewer"), example = &"open")]
    pub metrics: Value<Metrics>,
    /// Operations that are offered over TCP: "all", or "adapters" for the endpoints of this file
    /// alone. The socket offers all.
    #[schemars(extend("default" = "all"), example = &"adapters")]
    pub serve: Value<Served>,
    // The file has the keys of a table before its subtables: these come last.
    pub tls: Table<Tls>,
    #[schemars(extend("type" = ["array", "object"], "maxItems" = 16, "x-single" = true))]
    pub jwt: Vec<Table<Jwt>>,
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

/// An issuer of JSON web tokens, also written jwt = { secret = "${JWT_SECRET}", … } in [http];
/// there may be several. A JWT is the word of an application: it makes an operator at most. Each
/// needs `exp` and `sub`; its subject is in the history.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Jwt {
    /// Secret of HS256, HS384 or HS512, at least 16 bytes. Take it from a variable. If it is empty,
    /// the issuer is off, which `lapsed check` tells.
    #[schemars(extend("x-secret" = true), example = &"${JWT_SECRET}")]
    pub secret: Value<String>,
    /// Path of the public key in PEM: of RSA, of an elliptic curve, or of Ed25519.
    #[schemars(example = &"jwt.pem")]
    pub key: Value<PathBuf>,
    /// Algorithms that are accepted, all for this one key. Default: HS256 for a secret; RS256,
    /// ES256 or EdDSA for a key.
    #[schemars(example = &"HS256")]
    pub algorithms: Values<Algorithm>,
    /// Value that `iss` must have. Default: any.
    #[schemars(example = &"https://app.example.org")]
    pub issuer: Value<String>,
    /// Values of which `aud` must have one. Default: a JWT for any audience is refused, one without
    /// `aud` is accepted.
    #[schemars(example = &"lapsed")]
    pub audience: Values<String>,
    /// Claim with the role, or with a list of roles; dots lead into objects.
    #[schemars(extend("default" = "role"), example = &"realm_access.roles")]
    pub role_claim: Value<String>,
    /// Roles here for values of that claim: viewer or operator. A JWT with no such value is
    /// refused. Default: viewer and operator mean themselves.
    #[schemars(example = serde_json::json!({ "therapist": "operator" }))]
    pub roles: Words<Role>,
    /// Values that other claims must have.
    #[schemars(example = serde_json::json!({ "type": "access" }))]
    pub require: Words<String>,
    /// Tolerance for clocks that differ, at most 1m.
    #[schemars(extend("default" = "10s"))]
    pub leeway: Value<Period<0>>,
}
