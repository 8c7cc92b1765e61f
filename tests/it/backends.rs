//! The tests of `any_backend` on the backends that "auto" does not choose.
//!
//! Other tests do not depend on it (answers, configuration, breaker, damaged caches), or are about
//! "auto" alone (`idle` counts the wake-ups of the default).

use std::process::Command;

use crate::common::BACKEND;

/// One backend after the other: each takes as many processors as the tests of this process.
#[test]
fn the_other_backends_do_the_same() {
    for backend in ["notify", "poll"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg("any_backend::")
            .env(BACKEND, backend)
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "on {backend}: {text}");
        println!("{backend}: {text}");
    }
}
