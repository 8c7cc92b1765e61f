//! The tests that depend on who tells of changes, on the backends that "auto" does not choose: on `notify` in this process, and on
//! `poll`, where everything is listed each second and for each sync, in another one that [`on_poll`] starts.
//!
//! What is not here does not depend on the backend (what the daemon says to people and programs, its configuration, the breaker,
//! damaged stores) or is about `auto` alone (`idle` counts the wake-ups of the default).

#![allow(
    clippy::duplicate_mod,
    reason = "each of the files brings the helpers that it needs when it is a program of its own"
)]

#[path = "crash.rs"]
mod crash;
#[path = "holds.rs"]
mod holds;
#[path = "hostile.rs"]
mod hostile;
#[path = "lapse.rs"]
mod lapse;
#[path = "moves.rs"]
mod moves;
#[path = "names.rs"]
mod names;
#[path = "restart.rs"]
mod restart;
#[path = "roots.rs"]
mod roots;
#[path = "watching.rs"]
mod watching;

/// All other tests of this program once more.
#[test]
fn on_poll() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--skip", "on_poll"])
        .env("LAPSED_TEST_BACKEND", "poll")
        .output()
        .expect("this program can be started again");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
