//! Owner and mode of the socket.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::*;

const RIGHTS: SocketRights = SocketRights {
    mode: 0o660,
    gid: None,
    create_parent: false,
};

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    (dir, path)
}

#[test]
fn the_owner_is_the_only_one_and_takes_its_files_along() {
    let (dir, path) = place();
    let (_listener, owned) = bind(&path, RIGHTS).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o660);
    let error = bind(&path, RIGHTS).unwrap_err();
    let SocketError::Owned { pid, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*pid, Some(std::process::id()));
    UnixStream::connect(&path).unwrap();
    drop(owned);
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    bind(&path, RIGHTS).unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_dir, path) = place();
    let live = UnixListener::bind(&path).unwrap();
    assert!(matches!(bind(&path, RIGHTS), Err(SocketError::Answered(_))));
    drop(live);
    assert!(path.exists(), "a listener leaves its socket behind");
    let (_listener, _owned) = bind(&path, RIGHTS).unwrap();
    UnixStream::connect(&path).unwrap();
}

#[test]
fn another_process_that_holds_the_lock_is_named() {
    let (_dir, path) = place();
    // A lock belongs to the open file, so another opening of it stands for another process.
    let lock = path.with_extension("sock.lock");
    let mut file = File::create(&lock).unwrap();
    writeln!(file, "4711").unwrap();
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let text = bind(&path, RIGHTS).unwrap_err().to_string();
    assert!(text.starts_with("another daemon (pid 4711) owns"), "{text}");
    drop(file);
    bind(&path, RIGHTS).unwrap();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let (_dir, path) = place();
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(
        bind(&path, RIGHTS),
        Err(SocketError::NotASocket(_))
    ));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_symbolic_link_is_no_socket() {
    let (dir, path) = place();
    let target = dir.path().join("target");
    let _target = UnixListener::bind(&target).unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(matches!(
        bind(&path, RIGHTS),
        Err(SocketError::NotASocket(_))
    ));
}

#[test]
fn long_paths_and_missing_directories_are_said() {
    let (dir, _) = place();
    let long = dir.path().join("x".repeat(SOCKET_PATH_MAX));
    let text = bind(&long, RIGHTS).unwrap_err().to_string();
    assert!(text.contains("--socket") && text.contains("107"), "{text}");

    let deep = dir.path().join("no/such/s.sock");
    assert!(matches!(
        bind(&deep, RIGHTS),
        Err(SocketError::NoDirectory(_))
    ));
    let rights = SocketRights {
        create_parent: true,
        ..RIGHTS
    };
    bind(&deep, rights).unwrap();
}

#[test]
fn another_s_socket_stays_when_ours_is_removed() {
    let (_dir, path) = place();
    let (_listener, owned) = bind(&path, RIGHTS).unwrap();
    rustix::fs::unlink(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(owned);
    UnixStream::connect(&path).unwrap();
}
