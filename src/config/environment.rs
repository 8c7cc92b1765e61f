//! Environment of the process: its variables, its user, and the usual paths of this host.
//!
//! **Invariant:** only [`Environment::of_process`] reads the process's environment. All other code
//! of this part takes it as an argument, so that tests and reloads see exactly what they are given.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// User ids of people; others, except root's, belong to services (login.defs(5): `UID_MIN`).
const PEOPLE: std::ops::Range<u32> = 1000..65_534;

/// Environment variables, user id, and paths that depend on the host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// Variables. Where a setting is looked up, an empty one counts as unset.
    pub vars: BTreeMap<OsString, OsString>,
    /// Effective user id. It decides the defaults.
    pub uid: u32,
    /// Current directory; `None` if it does not exist any more.
    pub current_dir: Option<PathBuf>,
    /// Home directories of all users in `/etc/passwd`.
    pub homes: Vec<Home>,
    /// Path of the host's configuration.
    pub system_file: PathBuf,
    /// Default state directory of root's daemon.
    pub system_state_dir: PathBuf,
    /// Default socket of root's daemon.
    pub system_socket: PathBuf,
}

/// The home directory of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Home {
    /// Path of the directory.
    pub path: PathBuf,
    /// Name of the user.
    pub user: String,
    /// True if the user is a person or root; false for the account of a service.
    pub lived_in: bool,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // Without a passwd file (some containers have none), the other protections still apply.
        let passwd = fs::read("/etc/passwd").unwrap_or_default();
        Self {
            vars: std::env::vars_os().collect(),
            uid: rustix::process::geteuid().as_raw(),
            current_dir: std::env::current_dir().ok(),
            homes: homes_in(&passwd),
            ..Self::new()
        }
    }

    /// An environment of root without variables, in `/`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            vars: BTreeMap::new(),
            uid: 0,
            current_dir: Some(PathBuf::from("/")),
            homes: Vec::new(),
            system_file: PathBuf::from("/etc/lapsed/lapsed.toml"),
            system_state_dir: PathBuf::from("/var/lib/lapsed"),
            system_socket: PathBuf::from("/run/lapsed/lapsed.sock"),
        }
    }

    /// The value of variable `name`; `None` when it is not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of variable `name`; `None` when it is not set or empty.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Returns the absolute path in variable `name`; relative ones are ignored, as the XDG base
    /// directory specification demands.
    #[must_use]
    pub fn directory(&self, name: &str) -> Option<&Path> {
        self.set(name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses the homes in a passwd(5) file; malformed lines are skipped.
fn homes_in(passwd: &[u8]) -> Vec<Home> {
    passwd.split(|&b| b == b'\n').filter_map(home_in).collect()
}

fn home_in(line: &[u8]) -> Option<Home> {
    let fields: Vec<&[u8]> = line.split(|&b| b == b':').collect();
    let &[user, _, uid, _, _, home, _] = &fields[..] else {
        return None;
    };
    let uid: u32 = std::str::from_utf8(uid).ok()?.parse().ok()?;
    let path = PathBuf::from(OsStr::from_bytes(home));
    path.is_absolute().then(|| Home {
        path,
        user: String::from_utf8_lossy(user).into_owned(),
        lived_in: uid == 0 || PEOPLE.contains(&uid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passwd_file_tells_the_homes() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\n# comment\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n\
            alice:x:1000:1000:Alice,,,:/home/alice:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\nbad:x:y:0::/x:/y\n";
        let homes: Vec<_> = homes_in(passwd)
            .into_iter()
            .map(|home| (home.user, home.path, home.lived_in))
            .collect();
        assert_eq!(
            homes,
            [
                ("root".into(), PathBuf::from("/root"), true),
                ("www-data".into(), PathBuf::from("/var/www"), false),
                ("alice".into(), PathBuf::from("/home/alice"), true),
                ("nobody".into(), PathBuf::from("/nonexistent"), false),
            ]
        );
    }

    #[test]
    fn the_process_has_an_environment() {
        let environment = Environment::of_process();
        assert!(environment.get("PATH").is_some());
        assert_eq!(environment.get("LAPSED_NO_SUCH_VARIABLE"), None);
    }

    #[test]
    fn relative_base_directories_are_ignored() {
        let mut environment = Environment::new();
        environment.vars.insert("A".into(), "x/y".into());
        environment.vars.insert("B".into(), "/x".into());
        environment.vars.insert("C".into(), "".into());
        assert_eq!(environment.directory("A"), None);
        assert_eq!(environment.directory("B"), Some(Path::new("/x")));
        assert_eq!(environment.directory("C"), None);
    }
}
