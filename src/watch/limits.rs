//! The operating system's limits on watching, for people.

/// `fs.inotify.max_user_watches`; `None` when it cannot be read.
pub(super) fn user_watches() -> Option<u64> {
    read("/proc/sys/fs/inotify/max_user_watches")
}

/// `fs.inotify.max_user_instances`; `None` when it cannot be read.
pub(super) fn user_instances() -> Option<u64> {
    read("/proc/sys/fs/inotify/max_user_instances")
}

/// A limit under which `needed` watches fit, with room to grow.
pub(super) fn suggestion(limit: Option<u64>, needed: u64) -> u64 {
    limit
        .unwrap_or_default()
        .max(needed)
        .saturating_mul(2)
        .checked_next_power_of_two()
        .unwrap_or(u64::MAX)
}

fn read(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggestion_leaves_room() {
        assert_eq!(suggestion(Some(8192), 9000), 32_768);
        assert_eq!(suggestion(None, 3), 8);
    }
}
