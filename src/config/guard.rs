//! Guard against watching a directory by mistake.
//!
//! **Invariant:** without an explicit override, a root is never the file system's root, a home, a
//! system directory or our own state, and never contains a person's home, a system directory or our
//! own state.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::core::policy::Globs;

use super::environment::Environment;
use super::error::quoted;

/// Directories that must not be roots; their subdirectories may be.
const SYSTEM: &[&str] = &[
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/run",
    "/usr",
    "/usr/local",
    "/var",
    "/var/lib",
    "/dev",
    "/Library",
    "/Users",
    "/private",
    "/private/var",
];

/// Trees without any directory for a root: their contents also belong to the system.
const SYSTEM_TREES: &[&str] = &[
    "/bin",
    "/boot",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/sbin",
    "/usr/share",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/System",
    "/Applications",
    "/private/etc",
];

/// Directories for temporary files: allowed as roots even if they are the home of a user.
const TEMPORARY: &[&str] = &[
    "/tmp",
    "/var/tmp",
    "/private/tmp",
    "/private/var/tmp",
    "/dev/shm",
];

/// Paths that a root must not be or contain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Guard {
    /// Homes and their users. If the flag is true, a person lives there: no root may contain it.
    homes: Vec<(PathBuf, String, bool)>,
    state_dir: PathBuf,
    socket_dir: Option<PathBuf>,
    socket: PathBuf,
}

impl Guard {
    /// Guard for the homes of `environment`, and for our own paths.
    pub fn new(environment: &Environment, state_dir: &Path, socket: &Path) -> Self {
        let mut homes: Vec<_> = environment
            .homes
            .iter()
            .map(|home| (home.path.clone(), home.user.clone(), home.lived_in))
            .collect();
        if let Some(home) = environment.directory("HOME") {
            homes.push((home.to_path_buf(), "the current user".into(), true));
        }
        let lived_in = homes.iter().filter(|(_, _, lived_in)| *lived_in);
        let led_to: Vec<_> = lived_in
            .map(|(path, user, _)| (real(path), user.clone(), true))
            .collect();
        homes.extend(led_to);
        Self {
            homes,
            state_dir: real(state_dir),
            socket: socket
                .parent()
                .zip(socket.file_name())
                .map_or_else(PathBuf::new, |(dir, name)| real(dir).join(name)),
            socket_dir: socket.parent().map(real),
        }
    }

    /// Returns the danger of watching `root`, which is resolved. If `only` is given, just matching
    /// entries at its top are watched.
    pub fn danger(&self, root: &Path, only: Option<&Globs>) -> Option<String> {
        if root == Path::new("/") {
            return Some("is the root of the file system".into());
        }
        self.our_own(root, only).or_else(|| {
            if TEMPORARY.iter().any(|dir| root == Path::new(dir)) {
                return None;
            }
            self.home(root).or_else(|| system(root))
        })
    }

    fn our_own(&self, root: &Path, only: Option<&Globs>) -> Option<String> {
        let state_dir = &self.state_dir;
        let is_left_out = |path: &Path| {
            let top = path
                .strip_prefix(root)
                .ok()
                .and_then(|rest| rest.iter().next());
            only.zip(top)
                .is_some_and(|(only, top)| !only.matches(top.as_bytes()))
        };
        if root == state_dir {
            return Some("is the state directory".into());
        }
        if state_dir.starts_with(root) && !is_left_out(state_dir) {
            return Some(format!(
                "contains the state directory, {}",
                quoted(state_dir)
            ));
        }
        if root.starts_with(state_dir) {
            return Some(format!("is in the state directory, {}", quoted(state_dir)));
        }
        let socket_dir = self.socket_dir.as_ref()?;
        let holds = socket_dir.starts_with(root) && !is_left_out(&self.socket);
        holds.then(|| {
            format!(
                "contains the directory of the socket, {}",
                quoted(socket_dir)
            )
        })
    }

    fn home(&self, root: &Path) -> Option<String> {
        if let Some((_, user, _)) = self.homes.iter().find(|(home, _, _)| home == root) {
            return Some(format!("is the home directory of {user}"));
        }
        if root.parent() == Some(Path::new("/home")) {
            return Some("is a home directory".into());
        }
        let within = |home: &Path| home.starts_with(root);
        self.homes
            .iter()
            .find(|(home, _, lived_in)| *lived_in && within(home))
            .map(|(home, user, _)| {
                format!("contains the home directory of {user}, {}", quoted(home))
            })
    }
}

fn system(root: &Path) -> Option<String> {
    let mut all = SYSTEM.iter().chain(SYSTEM_TREES).map(Path::new);
    if all.clone().any(|dir| dir == root) {
        return Some("is a system directory".into());
    }
    let within = |dir: &&&str| root.starts_with(dir);
    if let Some(tree) = SYSTEM_TREES.iter().find(within) {
        return Some(format!("is in a system directory, {tree:?}"));
    }
    all.find(|dir| dir.starts_with(root))
        .map(|dir| format!("contains a system directory, {}", quoted(dir)))
}

/// Resolves `path` as far as possible.
fn real(path: &Path) -> PathBuf {
    super::resolve::resolve(path).map_or_else(
        |_| fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()),
        |found| found.path,
    )
}

#[cfg(test)]
mod tests {
    use super::super::environment::Home;
    use super::*;

    fn guard() -> Guard {
        let mut environment = Environment::new();
        let home = |path: &str, user: &str, lived_in| Home {
            path: path.into(),
            user: user.into(),
            lived_in,
        };
        environment.homes = vec![
            home("/nowhere/alice", "alice", true),
            home("/nowhere/cache/man", "man", false),
            home("/tmp", "nobody", false),
        ];
        environment.vars.insert("HOME".into(), "/nowhere/me".into());
        Guard::new(
            &environment,
            Path::new("/nowhere/state/lapsed"),
            Path::new("/nowhere/run/lapsed/lapsed.sock"),
        )
    }

    #[test]
    fn roots_that_need_an_override() {
        for (root, why) in [
            ("/", "is the root of the file system"),
            ("/nowhere/state/lapsed", "is the state directory"),
            (
                "/nowhere/state",
                "contains the state directory, \"/nowhere/state/lapsed\"",
            ),
            (
                "/nowhere/state/lapsed/x",
                "is in the state directory, \"/nowhere/state/lapsed\"",
            ),
            (
                "/nowhere/run",
                "contains the directory of the socket, \"/nowhere/run/lapsed\"",
            ),
            (
                "/nowhere/run/lapsed",
                "contains the directory of the socket, \"/nowhere/run/lapsed\"",
            ),
            ("/nowhere/alice", "is the home directory of alice"),
            ("/nowhere/me", "is the home directory of the current user"),
            ("/nowhere/cache/man", "is the home directory of man"),
            ("/home/anybody", "is a home directory"),
            ("/home", "is a system directory"),
            ("/root", "is a system directory"),
            ("/etc", "is a system directory"),
            ("/usr/local", "is a system directory"),
            ("/var", "is a system directory"),
            ("/var/lib", "is a system directory"),
            ("/usr/lib/x", "is in a system directory, \"/usr/lib\""),
            ("/etc/cron.d", "is in a system directory, \"/etc\""),
            ("/proc/1", "is in a system directory, \"/proc\""),
        ] {
            assert_eq!(
                guard().danger(Path::new(root), None).as_deref(),
                Some(why),
                "{root}"
            );
        }
    }

    #[test]
    fn what_holds_a_home_where_people_live() {
        let mut environment = Environment::new();
        environment
            .vars
            .insert("HOME".into(), "/data/people/me".into());
        let guard = Guard::new(&environment, Path::new("/s"), Path::new("/s/x"));
        assert_eq!(
            guard.danger(Path::new("/data"), None).as_deref(),
            Some("contains the home directory of the current user, \"/data/people/me\"")
        );
    }

    #[test]
    fn what_may_be_watched() {
        for root in [
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/var/cache",
            "/var/log",
            "/srv",
            "/mnt",
            "/home/alice/scratch",
            "/nowhere/cache",
            "/nowhere/me/scratch",
            "/var/lib/app/uploads",
            "/opt/app/out",
            "/usr/local/app/tmp",
            "/etcetera",
            "/run/app",
        ] {
            assert_eq!(guard().danger(Path::new(root), None), None, "{root}");
        }
    }

    #[test]
    fn what_a_root_leaves_out_is_no_danger_to_it() {
        let only = |pattern: &str| Globs::compile(&[pattern]).unwrap();
        let danger = |root: &str, pattern: &str| {
            let only = only(pattern);
            guard().danger(Path::new(root), Some(&only))
        };
        assert_eq!(danger("/nowhere/state", "out_*"), None);
        assert!(danger("/nowhere/state", "lap*").is_some());
        assert!(danger("/nowhere/state/lapsed", "out_*").is_some());
        assert!(danger("/", "out_*").is_some());
    }
}
