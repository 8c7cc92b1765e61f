//! Commands of other users, for tests that [`super::machine::has_other_users`] lets through.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use super::machine::{NOBODY, assert_reachable, give_to_nobody, is_root};
use super::{Place, wait_for};

/// Runs `lapsed` with `arguments` as the user and group `ids` (`None`: as we are), with nothing in its environment but the
/// socket. The program is copied to where everybody can reach it.
pub fn run_as(place: &Place, ids: Option<(u32, u32)>, arguments: &[&str]) -> Output {
    let program = place.path("lapsed");
    if !program.exists() {
        assert_reachable(place.dir.path().parent().unwrap());
        std::fs::copy(env!("CARGO_BIN_EXE_lapsed"), &program).unwrap();
        for path in [place.dir.path(), &program] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("LAPSED_SOCKET", place.socket())
        .current_dir("/")
        .stdin(Stdio::null());
    if let Some((uid, gid)) = ids {
        command.uid(uid).gid(gid);
    }
    // Another test's child may have been forked while the copy was open for writing, and hold it until it is another program.
    wait_for("the copy is a program", || match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
        output => Some(output.unwrap()),
    })
}

/// The command `lapsed` of a user without privileges: of [`NOBODY`], to whom `place` is given, when the tests run as root.
pub fn unprivileged(place: &Place) -> Command {
    let command = place.lapsed();
    if !is_root() {
        return command;
    }
    give_to_nobody(place.dir.path());
    // Where that user can reach it.
    let program = place.path("lapsed");
    std::fs::copy(env!("CARGO_BIN_EXE_lapsed"), &program).unwrap();
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .envs(environment)
        .uid(NOBODY)
        .gid(NOBODY);
    command
}

/// Tells a neighbour's thread to end when the test does, also when it fails.
#[derive(Default)]
pub struct Neighbour(std::sync::atomic::AtomicBool);

/// See [`Neighbour`].
pub struct Ending<'a>(&'a Neighbour);

impl Neighbour {
    pub fn is_to_end(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// It is to end when this is dropped.
    pub fn ends_with(&self) -> Ending<'_> {
        Ending(self)
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}
