//! Limit on failed attempts to show who one is.
//!
//! **Invariant:** memory is bounded, however many addresses try.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

use super::request::Origin;
use crate::core::time::Timestamp;

/// Failures of an address within [`WINDOW`] from which it is limited.
const FAILURES_MAX: u32 = 10;

/// Time in which failures count together. A limited address waits for at most as long.
pub(super) const WINDOW: Duration = Duration::from_mins(1);

/// Addresses that are counted at once. When more fail, the one whose window ends first is
/// forgotten: it could try again soon anyhow.
const ADDRESSES_MAX: usize = 4096;

/// Failed attempts, by address.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<Key, Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    ends: Timestamp,
}

/// Subscriber: an IPv6 network of 64 bits belongs to one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    User(u32),
    Address(IpAddr),
}

impl Key {
    fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Unix(peer) => Self::User(peer.uid),
            Origin::Tcp { address, .. } => Self::Address(match address.ip().to_canonical() {
                IpAddr::V6(ip) => {
                    let [a, b, c, d, ..] = ip.segments();
                    IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
                }
                ip @ IpAddr::V4(_) => ip,
            }),
        }
    }
}

impl Attempts {
    /// Returns true if `origin` has to wait at `now`.
    pub(super) fn is_limited(&self, origin: &Origin, now: Timestamp) -> bool {
        let failures = self.0.lock();
        let failures = failures.get(&Key::of(origin));
        failures.is_some_and(|of| of.ends > now && of.count >= FAILURES_MAX)
    }

    /// Counts a failure of `origin` at `now`; returns true if it is the one that limits it.
    pub(super) fn on_failure(&self, origin: &Origin, now: Timestamp) -> bool {
        let key = Key::of(origin);
        let mut all = self.0.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&key) {
            let first = all
                .iter()
                .min_by_key(|(_, of)| of.ends)
                .map(|(key, _)| *key);
            first.and_then(|first| all.remove(&first));
        }
        let ends = now.after(WINDOW);
        let failures = all.entry(key).or_insert(Failures { count: 0, ends });
        // A clock that was set back must not prolong it.
        if failures.ends <= now || failures.ends > ends {
            *failures = Failures { count: 0, ends };
        }
        failures.count = failures.count.saturating_add(1);
        failures.count == FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000_000);

    fn tcp(address: &str) -> Origin {
        Origin::Tcp {
            address: address.parse().unwrap(),
            local: "127.0.0.1:7343".parse().unwrap(),
        }
    }

    #[test]
    fn an_address_waits_after_too_many_failures_and_no_other_does() {
        let attempts = Attempts::default();
        let (one, other) = (tcp("192.0.2.1:1"), tcp("192.0.2.2:1"));
        for count in 1..=FAILURES_MAX {
            assert!(!attempts.is_limited(&one, NOW));
            assert_eq!(attempts.on_failure(&one, NOW), count == FAILURES_MAX);
        }
        assert!(attempts.is_limited(&tcp("192.0.2.1:9999"), NOW), "any port");
        assert!(!attempts.is_limited(&other, NOW));
        let later = NOW.after(WINDOW);
        assert!(!attempts.is_limited(&one, later));
        assert!(!attempts.on_failure(&one, later), "it starts anew");
    }

    #[test]
    fn a_network_of_one_subscriber_is_one_address() {
        let attempts = Attempts::default();
        for host in 0..FAILURES_MAX {
            attempts.on_failure(&tcp(&format!("[2001:db8:0:1::{host:x}]:1")), NOW);
        }
        assert!(attempts.is_limited(&tcp("[2001:db8:0:1:ffff::]:1"), NOW));
        assert!(!attempts.is_limited(&tcp("[2001:db8:0:2::]:1"), NOW));
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for host in 0..20_000_u32 {
            let ip = std::net::Ipv4Addr::from(host);
            attempts.on_failure(&tcp(&format!("{ip}:1")), NOW.plus_ms(host.into()));
        }
        assert_eq!(attempts.0.lock().len(), ADDRESSES_MAX);
    }
}
