//! Roots that are refused, with the whole message.

use super::*;

#[test]
fn roots() {
    refused!(Host::with("dry_run = true"), @r#"
    HOST/etc/lapsed.toml:1: no root: nothing would be watched
      write [[root]] with path = "…", or give --watch PATH=TTL
    "#);
    refused!(Host::with("[[root]]\nname = \"a\""), @r#"
    HOST/etc/lapsed.toml:1: [[root]] "a": path is missing
      such as path = "/srv/results"
    "#);
    refused!(Host::with("[[root]]\npath = \"no/../x\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "no/../x" has ".." behind "HOST/data/no", which does not exist
      write the path without ".."
    "#);
    refused!(Host::with("[[root]]\npath = \"~/x\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "~/x" begins with "~", which only a shell understands
      write ${HOME} in the file, $HOME on the command line, or ./~ if that is its name
    "#);
    refused!(Host::with("[[root]]\npath = \"\""), @r#"HOST/etc/lapsed.toml:2: [[root]] 1: path = "" is empty, but must be a path"#);
    let host = Host::with("[[root]]\npath = \"file\"\n[[root]]\npath = \"file/x\"");
    fs::write(host.path("data/file"), "").unwrap();
    refused!(host, @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "file" is not a directory
    HOST/etc/lapsed.toml:4: [[root]] 2: path = "file/x" cannot be examined: "HOST/data/file/x": not a directory
    "#);
}

#[test]
fn owners() {
    refused!(Host::with("[[root]]\npath = \"x\"\nowner = \"{jobs}/**\""), @r#"
    HOST/etc/lapsed.toml:3: [[root]] 1: owner = "{jobs}/**" is an invalid template: byte 0: unknown class {jobs}
      allowed are text, "*" within a segment, "**" as a segment, and {job}, {name}, {stem}, {uuid}, {digits}
    "#);
}

#[test]
fn the_same_root_twice() {
    let host = Host::with(
        "[[root]]\nname = \"a\"\npath = \"x\"\n[[root]]\nname = \"b\"\npath = \"./y/\"\n",
    );
    std::os::unix::fs::symlink("x", host.path("data/y")).unwrap();
    refused!(host, @r#"
    HOST/etc/lapsed.toml:6: [[root]] "b": path = "./y/" is the same directory as that of root "a" at HOST/etc/lapsed.toml:2
      both lead to "HOST/data/x"
    "#);
    refused!(Host::new().watch(&["x=1s", "./x=2s"]), @r#"
    --watch "./x=2s" is the same directory as that of root "x" at --watch "x=1s"
      both lead to "HOST/data/x"
    "#);
    let mut host = Host::with("[[root]]\npath = \"x\"").watch(&["x=1s"]);
    host.overrides.config = Some(host.path("etc/lapsed.toml"));
    refused!(host, @r#"
    --watch "x=1s" is the same directory as that of root "x" at HOST/etc/lapsed.toml:2
      both lead to "HOST/data/x"
    "#);
}

#[test]
fn unsafe_roots() {
    refused!(Host::with("[[root]]\npath = \"/\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "/" is the root of the file system
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    refused!(Host::new().watch(&["/=10s"]), @r#"
    --watch "/=10s" is the root of the file system
      files in it would be removed; to watch it anyway: --allow-unsafe-roots
    "#);
    let host = Host::with("[[root]]\npath = \"me\"");
    let home = host.path("data/me");
    refused!(host.set("HOME", home.to_str().unwrap()), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "me" is the home directory of the current user
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    refused!(Host::with("[[root]]\npath = \"../var/lapsed\"\n[[root]]\npath = \"../var\"\nallow_unsafe = true\n[[root]]\npath = \"../run\""), @r#"
    HOST/etc/lapsed.toml:2: [[root]] 1: path = "../var/lapsed" is the state directory
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    HOST/etc/lapsed.toml:7: [[root]] 3: path = "../run" contains the directory of the socket, "HOST/run"
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
    refused!(Host::with("state_dir = \"st\"\n[[root]]\npath = \"st/x\"\n[[root]]\npath = \"/etc\""), @r#"
    HOST/etc/lapsed.toml:3: [[root]] 1: path = "st/x" is in the state directory, "HOST/data/st"
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    HOST/etc/lapsed.toml:5: [[root]] 2: path = "/etc" is a system directory
      files in it would be removed; to watch it anyway: allow_unsafe = true in this [[root]]
    "#);
}
