//! The paths under which directories are given to the `notify` crate.
//!
//! That crate knows a watch by the path that it was added under, and tells events beneath that path
//! for as long as the watch lives, wherever the directory has been moved to. A directory's own path
//! would be a poor name for it: it goes stale with every rename above it and may be another
//! directory's a moment later. A descriptor is exact, but its number is used again. So the path
//! leads through a descriptor, and it has a detour in it that no other path has: steps into
//! directories of `/proc/self` and out again, which spell the watch's number. It is resolved once,
//! while the descriptor is open.
//!
//! **Invariant:** no alias is equal to another one, component by component, nor leads through it.
//! **Invariant:** from an event's path its watch is read off, without a table.

use std::ffi::OsStr;
use std::num::NonZeroU32;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::backend::WatchId;

const HOME: &[u8] = b"/proc/self/";

/// Two bits each. They are there for every process, and may be searched.
const STEPS: [&str; 4] = ["fd/../", "ns/../", "task/../", "fdinfo/../"];

/// The way to the directory that `fd` is open on, as `watch` alone is spelled.
pub(super) fn of(watch: WatchId, fd: RawFd) -> PathBuf {
    let mut path = String::from("/proc/self/");
    let mut left = watch.0.get();
    while left > 0 {
        path.push_str(STEPS[(left % 4) as usize]);
        left /= 4;
    }
    // Without the dot at its end it is the way to a symbolic link, not to a directory.
    path.push_str("fd/");
    path.push_str(&fd.to_string());
    path.push_str("/.");
    path.into()
}

/// The watch that an event's path tells of, and the name in its directory; an empty one for the
/// directory itself. `None` when it is no path of ours.
pub(super) fn read(path: &Path) -> Option<(WatchId, &[u8])> {
    let mut rest = path.as_os_str().as_bytes().strip_prefix(HOME)?;
    let mut number = 0u32;
    let mut shift = 0u32;
    loop {
        let step = (0u32..)
            .zip(STEPS)
            .find_map(|(digit, step)| Some((digit, rest.strip_prefix(step.as_bytes())?)));
        let Some((digit, tail)) = step else {
            break;
        };
        number |= digit.checked_shl(shift)?;
        shift += 2;
        rest = tail;
    }
    let tail = rest.strip_prefix(b"fd/")?;
    let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let tail = tail[digits..].strip_prefix(b"/.")?;
    let name = match tail {
        [] => tail,
        [b'/', name @ ..] => name,
        _ => return None,
    };
    let watch = WatchId(NonZeroU32::new(number)?);
    (digits > 0).then_some((watch, name))
}

/// The way to a file of ours that `fd` is open on.
pub(super) fn of_own(fd: RawFd) -> PathBuf {
    Path::new(OsStr::from_bytes(HOME)).join(format!("fd/{fd}"))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use proptest::prelude::*;

    use super::*;

    fn watch(number: u32) -> WatchId {
        WatchId(NonZeroU32::new(number).unwrap())
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read(number in 1u32.., fd in 0..5000i32, name in "[^/\0]{0,20}") {
            let alias = of(watch(number), fd);
            prop_assert_eq!(read(&alias), Some((watch(number), &b""[..])));
            let event = alias.join(&name);
            if !name.is_empty() {
                prop_assert_eq!(read(&event), Some((watch(number), name.as_bytes())));
            }
        }

        #[test]
        fn aliases_differ_and_none_leads_through_another(a in 1u32..5000, b in 1u32..5000, fd in 3..6i32, other in 3..6i32) {
            let (first, second) = (of(watch(a), fd), of(watch(b), other));
            if (a, fd) != (b, other) {
                prop_assert!(!first.starts_with(&second), "{:?} {:?}", first, second);
            }
            prop_assert!(!first.starts_with(of_own(other)));
        }

        #[test]
        fn whatever_the_path_is_nothing_panics(path in "(/proc/self/)?((fd|ns|task|fdinfo)/(../)?){0,40}[0-9]{0,3}/?.?/?.{0,4}") {
            read(Path::new(&path));
        }
    }

    #[test]
    fn the_detour_ends_where_it_should() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("here"), b"").unwrap();
        let open = std::fs::File::open(dir.path()).unwrap();
        for number in [1, 27, 0xe4, u32::MAX] {
            let alias = of(watch(number), open.as_raw_fd());
            assert!(alias.join("here").is_file(), "{alias:?}");
        }
        assert_eq!(read(Path::new("/proc/self/fd/7")), None);
        assert_eq!(read(Path::new("/srv/fd/7/.")), None);
    }
}
