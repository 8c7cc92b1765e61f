//! Files, state directories and sockets: where daemon and client look.

use super::*;

const ROOT: &str = "[[root]]\npath = \"x\"\n";

fn both(host: &Host) -> (PathBuf, PathBuf) {
    let found = host.good();
    let daemon = (found.state_dir, found.socket);
    let client = endpoints(&host.overrides, &host.environment).unwrap();
    assert_eq!(daemon, client, "daemon and client agree");
    daemon
}

fn endpoints_of(host: &Host) -> (PathBuf, PathBuf) {
    endpoints(&host.overrides, &host.environment).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn root_has_the_places_of_the_host() {
    let host = Host::with(ROOT);
    assert_eq!(
        both(&host),
        (host.path("var/lapsed"), host.path("run/lapsed.sock"))
    );
}

#[test]
fn a_user_has_places_of_their_own() {
    let host = Host::with(ROOT).user(1000).set("HOME", "/h");
    let state = PathBuf::from("/h/.local/state/lapsed");
    assert_eq!(both(&host), (state.clone(), state.join("lapsed.sock")));
    let host = host.set("XDG_RUNTIME_DIR", "/run/me");
    assert_eq!(both(&host), (state, "/run/me/lapsed.sock".into()));
    let host = host.set("XDG_STATE_HOME", "/s");
    assert_eq!(
        both(&host),
        ("/s/lapsed".into(), "/run/me/lapsed.sock".into())
    );
    let host = host.set("XDG_STATE_HOME", "relative");
    assert_eq!(both(&host).0, Path::new("/h/.local/state/lapsed"));
}

#[test]
fn the_socket_goes_with_a_state_directory_that_is_given() {
    let host = Host::with(&format!("state_dir = \"st\"\n{ROOT}"));
    let state = host.path("data/st");
    assert_eq!(both(&host), (state.clone(), state.join("lapsed.sock")));
    let host = Host::with(ROOT).set("LAPSED_STATE_DIR", "/s/t");
    assert_eq!(both(&host), ("/s/t".into(), "/s/t/lapsed.sock".into()));
    let mut host = Host::with(ROOT);
    host.overrides.state_dir = Some("/u/./v".into());
    assert_eq!(both(&host), ("/u/v".into(), "/u/v/lapsed.sock".into()));
    host.overrides.socket = Some("/w".into());
    assert_eq!(both(&host), ("/u/v".into(), "/w".into()));
}

#[test]
fn what_is_typed_is_below_the_current_directory() {
    let mut host = Host::with(&format!("base_dir = \"b\"\n{ROOT}")).set("LAPSED_BASE_DIR", "");
    host.overrides.state_dir = Some("st".into());
    assert_eq!(both(&host).0, host.path("data/st"));
    assert_eq!(host.good().base_dir, host.path("etc/b"));
    host.overrides.base_dir = Some("../c".into());
    assert_eq!(both(&host).0, host.path("data/../c/st"));
}

#[test]
fn the_file_is_where_it_is_named_or_usual() {
    let write = |host: &Host, path: &str, state: &str| {
        let path = host.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("state_dir = \"/{state}\"\n{ROOT}")).unwrap();
    };
    let host = Host::new();
    write(&host, "etc/lapsed.toml", "system");
    write(&host, "home/.config/lapsed/lapsed.toml", "home");
    write(&host, "xdg/lapsed/lapsed.toml", "xdg");
    write(&host, "data/named.toml", "variable");
    write(&host, "data/flag.toml", "flag");
    let (home, xdg) = (host.path("home"), host.path("xdg"));
    let state = |host: &Host| both(host).0;

    let host = host.set("HOME", home.to_str().unwrap());
    assert_eq!(
        state(&host),
        Path::new("/system"),
        "root has none of its own"
    );
    let host = host.user(1000);
    assert_eq!(state(&host), Path::new("/home"));
    let host = host.set("XDG_CONFIG_HOME", xdg.to_str().unwrap());
    assert_eq!(state(&host), Path::new("/xdg"));
    let mut host = host.set("LAPSED_CONFIG", "named.toml");
    assert_eq!(state(&host), Path::new("/variable"));
    host.overrides.config = Some("./flag.toml".into());
    assert_eq!(state(&host), Path::new("/flag"));
}

#[test]
fn a_client_ignores_mistakes_elsewhere() {
    let host = Host::with(
        "socket = \"/s\"\nnonsense = 1\ngroup = \"${NONE}\"\n[[rule]]\nexpire = \"x\"\n[[root]\nsyntax",
    )
    .set("LAPSED_DRY_RUN", "perhaps");
    assert!(host.load().is_err());
    assert_eq!(endpoints_of(&host), (host.path("var/lapsed"), "/s".into()));
    let host = Host::new();
    assert!(host.load().is_err());
    assert_eq!(
        endpoints_of(&host).1,
        host.path("run/lapsed.sock"),
        "no file is fine"
    );
}

#[test]
fn a_client_reports_mistakes_in_what_it_needs() {
    let host = Host::with("socket = \"${NONE}/s\"\n");
    let error = endpoints(&host.overrides, &host.environment).unwrap_err();
    insta::assert_snapshot!(host.masked(&error.to_string()), @r#"
    HOST/etc/lapsed.toml:1: socket = "${NONE}/s" names variable NONE, which is not set
      set it, or give a default: ${NONE:-default}
    "#);
    let mut host = Host::new();
    host.overrides.config = Some("/nonexistent/l.toml".into());
    let error = endpoints(&host.overrides, &host.environment).unwrap_err();
    insta::assert_snapshot!(error, @r#"cannot read configuration "/nonexistent/l.toml": no such file or directory"#);
}

#[test]
fn a_client_without_a_home_asks_where_it_is_directed_or_the_host() {
    let host = Host::new().user(65_534);
    assert_eq!(endpoints_of(&host).1, host.path("run/lapsed.sock"));
    let host = host.set("LAPSED_SOCKET", "/s");
    assert_eq!(endpoints_of(&host).1, Path::new("/s"));
}

#[test]
fn a_user_without_a_daemon_is_led_to_the_hosts() {
    let host = Host::new().user(1000).set("HOME", "/nonexistent");
    let own = endpoints_of(&host);
    assert_eq!(
        own.1,
        Path::new("/nonexistent/.local/state/lapsed/lapsed.sock")
    );
    fs::create_dir(host.path("run")).unwrap();
    fs::write(host.path("run/lapsed.sock"), "").unwrap();
    assert_eq!(
        endpoints_of(&host),
        (host.path("var/lapsed"), host.path("run/lapsed.sock"))
    );
    let runtime = host.path("me");
    let host = host.set("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    fs::create_dir(&runtime).unwrap();
    fs::write(runtime.join("lapsed.sock"), "").unwrap();
    assert_eq!(endpoints_of(&host).1, runtime.join("lapsed.sock"));
    let host = host.set("LAPSED_STATE_DIR", "/given");
    assert_eq!(endpoints_of(&host).1, Path::new("/given/lapsed.sock"));
}

#[test]
fn an_address_of_a_network_is_no_socket() {
    for address in ["127.0.0.1:8000", "localhost:80", "[::1]:8000", ":8000"] {
        let mut host = Host::with(ROOT);
        host.overrides.socket = Some(address.into());
        let refused = host.refusal();
        assert!(
            refused.starts_with(&format!("--socket \"{address}\" is a network address")),
            "{refused}"
        );
        // A file of that name.
        host.overrides.socket = Some(format!("./{address}").into());
        host.good();
    }
}

#[test]
fn a_socket_of_107_bytes_fits() {
    let mut host = Host::with(ROOT);
    host.overrides.socket = Some(format!("/{}", "x".repeat(106)).into());
    host.good();
    host.overrides.socket = Some(format!("/{}", "x".repeat(107)).into());
    insta::assert_snapshot!(host.refusal(), @r#"
    --socket "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" results in a path of 108 bytes, but a Unix socket may have at most 107
      name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)
    "#);
    host.overrides.socket = None;
    host.overrides.state_dir = Some(format!("/{}", "y".repeat(100)).into());
    insta::assert_snapshot!(host.refusal(), @r#"
    socket "/yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy/lapsed.sock" results in a path of 113 bytes, but a Unix socket may have at most 107
      name a shorter one, such as --socket /run/lapsed/lapsed.sock (LAPSED_SOCKET, socket)
    "#);
}

#[test]
fn without_a_current_directory_absolute_paths_do() {
    let mut host = Host::new().watch(&["/nonexistent=1s"]);
    host.environment.current_dir = None;
    host.good();
    host.overrides.watch = vec!["x=1s".into()];
    insta::assert_snapshot!(host.refusal(), @r#"
    --watch "x=1s" is relative, and the current directory is gone
      write an absolute path
    "#);
}

#[test]
fn a_user_without_a_home_must_name_a_state_directory() {
    let host = Host::with(ROOT).user(1000);
    insta::assert_snapshot!(host.refusal(), @r#"
    no state directory: neither XDG_STATE_HOME nor HOME holds an absolute path
      name one with --state-dir DIR or LAPSED_STATE_DIR
    "#);
}
