//! Reasons why watching cannot start.

use rustix::io::Errno;

use crate::fs::error::reason;

/// Reasons why watching cannot start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The operating system gives out no more inotify instances (`EMFILE`, `ENFILE`).
    #[error(
        "cannot start watching: {}, or all inotify instances of this user are taken (limit: {limit})\n\
         end a program that watches files, or run `sysctl fs.inotify.max_user_instances={}`",
        reason(*.errno), .limit.saturating_mul(2).max(256)
    )]
    Instances {
        /// The operating system's answer.
        errno: Errno,
        /// `fs.inotify.max_user_instances`; 0 when it cannot be read.
        limit: u64,
    },
    /// A system call that watching needs failed.
    #[error("cannot start watching: {call}: {}", reason(*.errno))]
    System {
        /// The system call.
        call: &'static str,
        /// The operating system's answer.
        errno: Errno,
    },
    /// `/proc` is not there: directories are watched and mounts are noticed through it.
    #[error("cannot start watching: cannot read \"{path}\": {}\nmount /proc", reason(*.errno))]
    Proc {
        /// The file of it.
        path: &'static str,
        /// The operating system's answer.
        errno: Errno,
    },
    /// A thread could not be started.
    #[error("cannot start watching: cannot start a thread: {0}")]
    Thread(String),
}

/// The error of `inotify_init1(2)`.
pub(super) fn of_inotify_init(errno: Errno) -> WatchError {
    match errno {
        Errno::MFILE | Errno::NFILE => WatchError::Instances {
            errno,
            limit: super::limits::user_instances().unwrap_or_default(),
        },
        _ => WatchError::System {
            call: "inotify_init1",
            errno,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_instances_name_the_setting_that_mends_it() {
        let error = WatchError::Instances {
            errno: Errno::MFILE,
            limit: 128,
        };
        assert_eq!(
            error.to_string(),
            "cannot start watching: too many open files, or all inotify instances of this user are taken (limit: 128)\n\
             end a program that watches files, or run `sysctl fs.inotify.max_user_instances=256`"
        );
    }
}
