//! Limit of open descriptors, and the share of each part of the process.
//!
//! **Invariant:** clients of the socket never use the descriptors that the watchers and the reaper
//! need.

use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Soft limit of open files, raised to the hard limit on first use.
static LIMIT: LazyLock<u64> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(errno) => {
            tracing::warn!("cannot raise the limit of open files: {errno}");
            limit.current.unwrap_or(u64::MAX)
        }
    }
});

/// Returns the number of descriptors that this process may have open.
#[must_use]
pub fn limit() -> u64 {
    *LIMIT
}

/// Returns the maximum number of connections to the socket: a quarter of all descriptors, at most
/// 256 (~20 KiB each).
#[must_use]
pub fn connections_max() -> usize {
    at_most(limit() / 4, 256)
}

/// Returns the number of directories that one thread keeps open for a batch of files.
#[must_use]
pub fn dirs_max() -> usize {
    at_most(limit() / 16, 64)
}

/// Returns the number of leases that all threads of the reaper together should have at most.
#[must_use]
pub fn leases_max() -> usize {
    leases_of(limit())
}

fn leases_of(limit: u64) -> usize {
    /// Descriptors that the rest of the process may need, if there are so many.
    const OTHERS: u64 = 512;
    /// Leases of 20 full batches, ~0.5 KB of the kernel's memory each.
    const MOST: u64 = 16_384;
    let others = OTHERS.min(limit / 4 * 3);
    at_most(limit - others, MOST)
}

/// Returns `share`, but at least 4, or nothing could be done at all, and at most `most`.
fn at_most(share: u64, most: u64) -> usize {
    usize::try_from(share.clamp(4, most)).expect("invariant: a few hundred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_something_for_everybody() {
        let leases = [64, 128, 1024, 4096, u64::MAX].map(leases_of);
        assert_eq!(leases, [16, 32, 512, 3584, 16_384]);
        let soft = getrlimit(Resource::Nofile);
        assert_eq!(Some(limit()), soft.maximum.or(Some(u64::MAX)));
        assert_eq!(getrlimit(Resource::Nofile).current, soft.maximum);
        assert!((4..=256).contains(&connections_max()));
    }
}
