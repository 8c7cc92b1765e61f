//! Addresses of HTTP servers.
//!
//! **Invariant:** only scheme, host and port are ever shown: a path may be a secret, as with Slack.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hyper::Uri;

/// Address of the metadata service of a cloud, which has no link-local one in IPv6.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Address of an HTTP server.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    is_tls: bool,
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl Url {
    /// Parses an absolute address.
    ///
    /// # Errors
    /// Description of what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| "is an invalid address".to_owned())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err("must begin with https:// or http://".to_owned()),
        };
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty())
            .ok_or_else(|| "names no host".to_owned())?;
        if authority.as_str().contains('@') {
            return Err("has a user or a password in it".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if let Ok(address) = host.parse()
            && is_refused(address)
        {
            return Err("is a link-local, multicast or unspecified address".to_owned());
        }
        Ok(Self {
            is_tls,
            host,
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl Url {
    /// Returns true if its server is spoken to by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Name or IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as they are written.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The address with `suffix` behind its path.
    #[must_use]
    pub fn below(&self, suffix: &str) -> Self {
        let (path, query) = self.target.split_once('?').map_or_else(
            || (&*self.target, String::new()),
            |(path, query)| (path, format!("?{query}")),
        );
        let path = if suffix.is_empty() {
            path
        } else {
            path.trim_end_matches('/')
        };
        Self {
            target: format!("{path}{suffix}{query}"),
            ..self.clone()
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let rest = if self.target == "/" { "" } else { "/…" };
        write!(f, "{scheme}://{}{rest}", self.authority)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns true if nothing is ever sent to `address`: whoever answers there is no receiver of
/// notifications, but the metadata service of a cloud, or everybody.
pub(super) fn is_refused(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.is_multicast()
                || address.is_unspecified()
                || address == METADATA
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_and_shown_without_its_path() {
        let url = Url::parse("https://hooks.example.com/services/T0/secret?x=1").unwrap();
        assert_eq!((url.is_tls, url.port), (true, 443));
        assert_eq!(url.target, "/services/T0/secret?x=1");
        for shown in [url.to_string(), format!("{url:?}")] {
            assert_eq!(shown, "https://hooks.example.com/…");
        }
        assert_eq!(url.below("/start").target, "/services/T0/secret/start?x=1");
        assert_eq!(url.below("").target, url.target);
        let url = Url::parse("http://[::1]:8080").unwrap();
        assert_eq!(url.below("/fail").target, "/fail");
        assert_eq!((&*url.host, url.port), ("::1", 8080));
        assert_eq!(url.to_string(), "http://[::1]:8080");
    }

    #[test]
    fn addresses_that_cannot_be_receivers_are_refused() {
        for text in [
            "",
            "hooks.example.com/x",
            "ftp://example.com",
            "https://",
            "https://user:password@example.com/",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://224.0.0.1/",
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(!error.contains("password@"), "{error}");
        }
    }
}
