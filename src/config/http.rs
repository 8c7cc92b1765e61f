//! `[http]`: the addresses of the TCP listeners, and their TLS.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::endpoints::Bases;
use super::error::Refusal;
use super::jwt;
use super::reader::Reader;
use super::schema;
use super::setting::{Setting, Table, Value};
use super::settings::{AccessSettings, HttpSettings, TlsFiles};

/// Maximum number of listeners. More than the addresses of a usual host; each costs a descriptor
/// and a task.
const LISTENERS_MAX: usize = 16;

const EXAMPLES: &str = "examples: 127.0.0.1:7343, [::1]:7343";

impl Setting for SocketAddr {
    /// An IP address and a port. A port alone, and the name localhost, mean 127.0.0.1.
    fn parse(text: &str) -> Result<Self, Refusal> {
        const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let text = text.trim();
        let port = text.strip_prefix("localhost:").unwrap_or(text);
        if let Ok(port) = port.parse() {
            return Ok(Self::new(LOOPBACK, port));
        }
        // An IPv4 address in IPv6 clothes could not be bound by a socket for IPv6 alone.
        let canonical = |mut address: Self| {
            address.set_ip(address.ip().to_canonical());
            address
        };
        text.parse().map(canonical).map_err(|_| refusal(text))
    }
}

fn refusal(text: &str) -> Refusal {
    let bare = text.trim_matches(['[', ']']);
    if let Ok(address) = bare.parse::<IpAddr>() {
        let example = SocketAddr::new(address, 7343);
        return Refusal::new("has no port").hint(format!("write {example}"));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    match port.parse::<u16>() {
        Ok(port) if host.is_empty() || host == "*" => Refusal::new(
            "does not say on which addresses",
        )
        .hint(format!(
            "127.0.0.1:{port} is for this host alone, 0.0.0.0:{port} and [::]:{port} for every host"
        )),
        Ok(_) if host.chars().any(char::is_alphabetic) && !host.contains(':') => {
            Refusal::new("has a host name, and names are not looked up")
                .hint(format!("write an IP address; {EXAMPLES}"))
        }
        Ok(_) | Err(_) => Refusal::new("is not an IP address and a port").hint(EXAMPLES),
    }
}

/// Reads and checks the section.
pub(super) fn read(
    reader: &mut Reader,
    http: &Table<schema::Http>,
    bases: &Bases,
) -> (HttpSettings, AccessSettings) {
    let tls = tls_files(reader, &http.tls, bases);
    let has_tls = http.tls.cert.is_present() || http.tls.key.is_present();
    let is_plain = !has_tls && http.allow_plain.get() == Some(&false);
    let mut listen = BTreeSet::new();
    for (text, &address) in http.listen.all().unwrap_or_default() {
        if is_plain && !address.ip().is_loopback() {
            reader.note(text.refuse(
                Refusal::new("can be reached from other hosts, and has no TLS").hint(
                    "set [http] tls = { cert = \"…\", key = \"…\" }; or, behind a proxy or in a \
                         private network, allow_plain = true (LAPSED_HTTP_ALLOW_PLAIN=true)",
                ),
            ));
        } else if !listen.insert(address) && address.port() != 0 {
            reader.note(text.refuse(Refusal::new("is given twice")));
        }
    }
    if let Some(text) = http.listen.text().filter(|_| listen.len() > LISTENERS_MAX) {
        reader.note(text.refuse(Refusal::new(format!(
            "is one of {} addresses, but the limit is {LISTENERS_MAX}",
            listen.len()
        ))));
    }
    let (off, issuers): (Vec<_>, Vec<_>) = http.jwt.iter().partition(|issuer| jwt::is_off(issuer));
    let issuers = issuers.into_iter();
    let issuers = issuers.filter_map(|issuer| jwt::read(reader, issuer, bases));
    let settings = HttpSettings {
        listen: listen.into_iter().collect(),
        tls,
        allow_plain: http.allow_plain.get().is_some_and(|&allowed| allowed),
    };
    let access = AccessSettings {
        anonymous: http.anonymous.get().and_then(|anonymous| anonymous.0),
        only_endpoints: http.serve.get().is_some_and(|serve| serve.0),
        open_metrics: http.metrics.get().is_some_and(|metrics| metrics.0),
        jwt: issuers.collect(),
        jwt_off: off.len(),
    };
    (settings, access)
}

fn tls_files(reader: &mut Reader, tls: &Table<schema::Tls>, bases: &Bases) -> Option<TlsFiles> {
    let mut path = |value: &Value<PathBuf>| {
        let path = reader.path_below(value, bases.file.as_deref());
        path.unwrap_or_default()
    };
    let (cert, key) = (path(&tls.cert), path(&tls.key));
    for (is_missing, given, missing) in [
        (!tls.cert.is_present(), &tls.key, "cert"),
        (!tls.key.is_present(), &tls.cert, "key"),
    ] {
        if let Some(text) = given.text().filter(|_| is_missing) {
            let refusal = Refusal::new(format!("needs {missing} beside it"));
            reader.note(text.refuse(refusal.hint("TLS takes a certificate and its private key")));
        }
    }
    Some(TlsFiles {
        cert: cert?,
        key: key?,
    })
}
