//! Requests without credentials.
//!
//! **Invariant:** a page of the web, a name that was made to point here, and the clients of a proxy
//! in front are not anonymous clients of this host: they are refused.

use std::net::IpAddr;

use super::request::{Origin, RequestFacts};

/// Checks that a request without credentials was sent by a program of this host for itself.
///
/// # Errors
/// The reason why it was not, or may not have been.
pub(super) fn check(request: &RequestFacts<'_>) -> Result<(), &'static str> {
    let Origin::Tcp { address, local } = request.origin else {
        return Err("it came through a socket of this host");
    };
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    if !is_loopback(address.ip()) || !is_loopback(local.ip()) {
        return Err("it comes from another host");
    }
    // Proxies ask by HTTP/1.0 unless they are told otherwise, and then name nobody.
    if request.is_forwarded || request.is_http_1_0 {
        return Err("a proxy forwarded it");
    }
    // A name that an attacker made to point here is in the header still.
    let host = request.host.map(without_port);
    if !host.is_some_and(is_of_this_host) {
        return Err("its Host is not a name of this host");
    }
    // A browser says which page asks.
    if !matches!(request.fetch_site, None | Some("same-origin" | "none")) {
        return Err("a page of another site sent it");
    }
    match request.web_origin {
        None => Ok(()),
        Some(page) if is_same(page, request.host.unwrap_or_default()) => Ok(()),
        Some(_) => Err("a page of another site sent it"),
    }
}

/// Returns true if the page's origin is the host that was asked.
fn is_same(page: &str, host: &str) -> bool {
    let page = page
        .strip_prefix("http://")
        .or_else(|| page.strip_prefix("https://"));
    page.is_some_and(|page| page.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn is_of_this_host(name: &str) -> bool {
    let address = name.parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str, local: &str) -> Origin {
        Origin::Tcp {
            address: address.parse().unwrap(),
            local: local.parse().unwrap(),
        }
    }

    fn request(origin: &Origin) -> RequestFacts<'_> {
        RequestFacts {
            host: Some("127.0.0.1:7343"),
            ..RequestFacts::new(origin)
        }
    }

    #[test]
    fn programs_of_this_host_are_taken() {
        for (address, local) in [
            ("127.0.0.1:4000", "127.0.0.1:7343"),
            ("127.8.0.1:4000", "127.0.0.2:7343"),
            ("[::1]:4000", "[::1]:7343"),
            ("[::ffff:127.0.0.1]:4000", "[::ffff:127.0.0.1]:7343"),
        ] {
            let origin = origin(address, local);
            assert_eq!(check(&request(&origin)), Ok(()), "{address}");
        }
        let origin = origin("127.0.0.1:4000", "127.0.0.1:7343");
        for host in ["localhost", "LOCALHOST:1", "[::1]:7343", "127.0.0.1"] {
            let request = RequestFacts {
                host: Some(host),
                ..request(&origin)
            };
            assert_eq!(check(&request), Ok(()), "{host}");
        }
        let page = RequestFacts {
            web_origin: Some("http://127.0.0.1:7343"),
            fetch_site: Some("same-origin"),
            ..request(&origin)
        };
        assert_eq!(check(&page), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        for (address, local) in [
            ("192.0.2.1:4000", "192.0.2.2:7343"),
            ("127.0.0.1:4000", "192.0.2.2:7343"),
            ("192.0.2.1:4000", "127.0.0.1:7343"),
            ("[2001:db8::1]:1", "[2001:db8::2]:1"),
        ] {
            let origin = origin(address, local);
            assert!(check(&request(&origin)).is_err(), "{address} {local}");
        }
        let origin = origin("127.0.0.1:4000", "127.0.0.1:7343");
        let good = || request(&origin);
        for bad in [
            RequestFacts {
                is_forwarded: true,
                ..good()
            },
            RequestFacts {
                is_http_1_0: true,
                ..good()
            },
            RequestFacts {
                host: None,
                ..good()
            },
            RequestFacts {
                fetch_site: Some("cross-site"),
                ..good()
            },
            RequestFacts {
                fetch_site: Some("same-site"),
                ..good()
            },
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        for host in [
            "attacker.example:7343",
            "localhost.attacker.example",
            "127.0.0.1.attacker.example",
            "[2001:db8::1]:7343",
            "192.0.2.1",
            "localhost.",
            "",
        ] {
            let bad = RequestFacts {
                host: Some(host),
                ..good()
            };
            assert!(check(&bad).is_err(), "{host}");
        }
        for page in [
            "null",
            "http://attacker.example",
            "http://127.0.0.1:3000",
            "http://localhost:7343",
            "127.0.0.1:7343",
            "",
        ] {
            let bad = RequestFacts {
                web_origin: Some(page),
                ..good()
            };
            assert!(check(&bad).is_err(), "{page}");
        }
    }
}
