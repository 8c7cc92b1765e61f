//! What is refused, with the whole message: it names the thing, and says how to mend it. The daemon is unharmed by all of it.

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use requests::served;

use crate::common::machine::is_root;
use crate::common::others::run_as;
use crate::common::{Place, errors, lines};

/// Asserts a text, in which the test's own directory is `PLACE`.
macro_rules! told {
    ($place:expr, $text:expr, @$expected:literal) => {
        insta::assert_snapshot!(mask(&$place, &$text), @$expected);
    };
}

mod configuration;
mod requests;

fn mask(place: &Place, text: &str) -> String {
    text.replace(&*place.path("").to_string_lossy(), "PLACE/")
        .replace(&*place.dir.path().to_string_lossy(), "PLACE")
}

/// What a command says that could not run.
#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    errors(output)
}

/// What `lapsed serve` and `lapsed check` say of a configuration: the same.
#[track_caller]
fn refused_config(place: &Place, text: &str) -> String {
    let config = place.config(text);
    let run = |command: &str| {
        let mut lapsed = place.lapsed();
        // A file may name its own places.
        if text.contains("state_dir") {
            lapsed.env_remove("LAPSED_STATE_DIR");
        }
        lapsed
            .args([command, "--config", config.to_str().unwrap()])
            .env("HOME", place.path("home"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let said = refusal(&run("serve"));
    assert_eq!(said, refusal(&run("check")));
    assert!(!place.socket().exists());
    said
}

#[test]
fn commands_without_a_daemon_say_how_to_start_one() {
    let place = Place::new();
    let commands: [&[&str]; 5] = [
        &["events"],
        &["sync"],
        &["breaker", "release"],
        &["pin", "rm", "1"],
        &["job", "put", "x", "--status", "running"],
    ];
    let said: Vec<String> = commands
        .iter()
        .map(|arguments| refusal(&place.run(arguments)))
        .collect();
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    told!(place, said[0], @r#"
    error: no daemon listens on socket "PLACE/lapsed.sock"
      start it with: lapsed serve --watch ./scratch=10s (or lapsed serve --config FILE)
    "#);
    // These do without a daemon, but not without a configuration.
    place.config("[[root]]\npath = \"data\"\n[[rule]]\nexpire = \"soon\"\n");
    let without = |config: &str| {
        let said = ["plan", "clean", "ls", "status", "history"]
            .map(|command| refusal(&place.run(&[command, "--config", config])));
        assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
        said[0].clone()
    };
    told!(place, without("lapsed.toml"), @r#"
    error: no daemon listens on socket "PLACE/lapsed.sock"
      start it with: lapsed serve --watch ./scratch=10s (or lapsed serve --config FILE)
    and to do without a daemon:
    PLACE/lapsed.toml:4: [[rule]] 1: expire = "soon" is an invalid duration
      examples: 90s, 15m, 12h, 7d, 1h30m, never
    "#);
    told!(place, without("none.toml"), @r#"error: cannot read configuration "PLACE/none.toml": no such file or directory"#);
}

#[test]
fn who_may_not_connect_is_told_so() {
    // Only root can be somebody else; without that, a socket that nobody may open stands for it.
    let (place, daemon) = served();
    let somebody = is_root().then_some((65_534, 65_534));
    if somebody.is_none() {
        let mode = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(place.socket(), mode).unwrap();
    }
    let said = [&["status"][..], &["clean"], &["plan"]]
        .map(|arguments| refusal(&run_as(&place, somebody, arguments)));
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    told!(place, said[0], @r#"
    error: socket "PLACE/lapsed.sock" may not be opened: permission denied
      become a member of its group, or ask whoever runs the daemon
    "#);
    let mode = std::fs::Permissions::from_mode(0o660);
    std::fs::set_permissions(place.socket(), mode).unwrap();
    assert_eq!(daemon.get("/v1/health").0, 200);
    assert_eq!(lines(&place.run(&["ls", "--json"])).len(), 1);
}
