//! Entries of cron and systemd that run a declared command, on the real binary, with programs that note how they are called.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::trees::set_age;
use crate::common::{Place, errors};

/// A crontab in the file `crontab.txt` beside the program; `crontab.fails` has it fail.
pub const CRONTAB: &str = "#!/bin/sh\ncd \"$(dirname \"$0\")\"\nif [ -e crontab.fails ]; then echo 'you may not' >&2; exit 1; fi\n\
    if [ \"$1\" = -l ]; then\n    if [ -e crontab.txt ]; then exec cat crontab.txt; fi\n    echo 'no crontab for you' >&2; exit 1\nfi\n\
    cat > new.txt; mv new.txt crontab.txt\n";

/// Notes its arguments in `calls.txt` beside it.
pub const NOTES: &str =
    "#!/bin/sh\necho \"$(basename \"$0\") $*\" >> \"$(dirname \"$0\")/calls.txt\"\n";

/// Writes a program.
pub fn stub(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A place with an old file, a command that removes it, and stubs.
struct World {
    place: Place,
    bin: PathBuf,
}

impl World {
    fn new() -> Self {
        let place = Place::new();
        place.config(
            "[[root]]\nname = \"jobs\"\npath = \"jobs\"\n[[rule]]\nname = \"old\"\nexpire = \"1h\"\nsince = \"mtime\"\n\
             schedule = \"manual\"\nskip_open = \"if-known\"\n[[command]]\nname = \"tidy\"\nrequest = '{\"dry_run\": false}'\n\
             text = 'removed {{ report.files }}, {{ params.label }}'\n[command.params]\nlabel = { type = \"string\", default = \"\" }\n",
        );
        let old = place.write("jobs/old");
        set_age(&old, std::time::Duration::from_hours(2)).unwrap();
        let bin = place.make_dir("bin");
        stub(&bin, "crontab", CRONTAB);
        stub(&bin, "systemctl", NOTES);
        Self { place, bin }
    }

    fn lapsed(&self, arguments: &[&str]) -> Output {
        let mut command = self.place.lapsed();
        command
            .args(["--config", &self.place.config_path()])
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", self.bin.display()))
            .env("HOME", &self.bin)
            .env("DESTDIR", self.dest())
            .env_remove("XDG_CONFIG_HOME");
        command.output().unwrap()
    }

    #[track_caller]
    fn install(&self, more: &[&str]) -> String {
        let fixed = ["install", "--run", "tidy", "--unit", "nightly"];
        self.ends_well(&[&fixed[..], more].concat())
    }

    #[track_caller]
    fn ends_well(&self, arguments: &[&str]) -> String {
        let output = self.lapsed(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{arguments:?}: {}{said}",
            errors(&output)
        );
        said
    }

    fn dest(&self) -> PathBuf {
        self.bin.join("dest")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.bin.join(name)).unwrap()).into_owned()
    }
}

#[test]
fn a_block_of_the_crontab_is_replaced_and_the_rest_stays() {
    let world = World::new();
    let crontab = world.bin.join("crontab.txt");
    let others = b"MAILTO=\"\xff\"\n\n5 4 * * * other\n";
    std::fs::write(&crontab, others).unwrap();
    let log = world.place.path("it's 100% log");
    let said = world.install(&["--at", "0 3 * * *", "--log", log.to_str().unwrap()]);
    assert!(
        said.contains("undo: lapsed uninstall --unit nightly"),
        "{said}"
    );
    for _ in 0..2 {
        let more = ["--log", log.to_str().unwrap(), "--", "--label", "a b%"];
        world.install(&[&["--at", "0 2 * * *"], &more[..]].concat());
    }
    let text = std::fs::read(&crontab).unwrap();
    assert!(text.starts_with(others));
    let text = String::from_utf8_lossy(&text).into_owned();
    let entries: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(" run tidy "))
        .collect();
    let [entry] = entries[..] else {
        panic!("{text}")
    };
    // As cron runs it: nothing but its own environment, in another directory.
    let command = entry
        .strip_prefix("0 2 * * * ")
        .unwrap()
        .replace("\\%", "%");
    let run = Command::new("/bin/sh")
        .args(["-c", &command])
        .env_clear()
        .current_dir("/")
        .output()
        .unwrap();
    assert!(run.status.success(), "{command}: {}", errors(&run));
    assert!(!world.place.exists("jobs/old"));
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log, "removed 1, a b%\n");
    let undo = said
        .lines()
        .find_map(|line| line.strip_prefix("undo: lapsed "))
        .unwrap();
    let undo: Vec<&str> = undo.split(' ').collect();
    world.ends_well(&undo);
    assert_eq!(std::fs::read(&crontab).unwrap(), others);
    assert!(world.ends_well(&undo).contains("there is no entry"));
}

#[test]
fn a_crontab_that_cannot_be_read_is_not_written() {
    let world = World::new();
    let crontab = world.bin.join("crontab.txt");
    std::fs::write(&crontab, "5 4 * * * other\n").unwrap();
    std::fs::write(world.bin.join("crontab.fails"), "").unwrap();
    let arguments = [
        "install",
        "--run",
        "tidy",
        "--unit",
        "nightly",
        "--at",
        "0 2 * * *",
    ];
    let output = world.lapsed(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("you may not"),
        "{}",
        errors(&output)
    );
    assert_eq!(world.read("crontab.txt"), "5 4 * * * other\n");
    std::fs::remove_file(world.bin.join("crontab.fails")).unwrap();
    // Half a block is left to the user; and without a crontab there is one now.
    std::fs::write(&crontab, "# lapsed install nightly: end\n").unwrap();
    let output = world.lapsed(&arguments);
    assert!(
        errors(&output).contains("crontab -e"),
        "{}",
        errors(&output)
    );
    assert_eq!(world.read("crontab.txt"), "# lapsed install nightly: end\n");
    std::fs::remove_file(&crontab).unwrap();
    world.ends_well(&arguments);
    assert_eq!(world.read("crontab.txt").lines().count(), 3);
}

#[test]
fn a_service_and_a_timer_are_written_verified_enabled_and_removed() {
    let world = World::new();
    let label = "50% of \"$HOME\" \\";
    let systemd = ["--method", "systemd", "--at", "*/5 1-3 1 * mon"];
    world.install(&[&systemd[..], &["--", "--label", label]].concat());
    let units = world.bin.join(".config/systemd/user");
    let timer = std::fs::read_to_string(units.join("nightly.timer")).unwrap();
    for line in [
        "OnCalendar=*-*-1 1..3:0/5:00",
        "OnCalendar=Mon *-*-* 1..3:0/5:00",
        "RandomizedDelaySec=300",
        "Persistent=true",
    ] {
        assert!(timer.lines().any(|found| found == line), "{line}: {timer}");
    }
    let enabled = "systemctl --user daemon-reload\nsystemctl --user enable --now nightly.timer\n";
    assert_eq!(world.read("calls.txt"), enabled);
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .args(["nightly.service", "nightly.timer"].map(|name| units.join(name)))
        .env("XDG_RUNTIME_DIR", &world.bin)
        .output()
        .expect("systemd-analyze is needed: install the package systemd");
    assert!(verified.status.success(), "{}", errors(&verified));
    assert!(errors(&verified).is_empty(), "{}", errors(&verified));
    let service = std::fs::read_to_string(units.join("nightly.service")).unwrap();
    assert!(
        service.contains(r#" run tidy --label "50%% of \"$HOME\" \\""#),
        "{service}"
    );
    let uninstall = ["uninstall", "--unit", "nightly", "--method", "systemd"];
    world.ends_well(&uninstall);
    assert_eq!(std::fs::read_dir(&units).unwrap().count(), 0);
    assert!(
        world
            .read("calls.txt")
            .contains("--user disable --now nightly.timer\n")
    );
    // Without systemctl the files are written all the same, and it is told.
    stub(
        &world.bin,
        "systemctl",
        "#!/bin/sh\necho no bus >&2\nexit 1\n",
    );
    let all = [
        &["install", "--run", "tidy", "--unit", "nightly"][..],
        &systemd,
    ]
    .concat();
    let output = world.lapsed(&all);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("not enabled: systemctl --user daemon-reload: no bus\n"),
        "{said}"
    );
    assert!(units.join("nightly.timer").exists());
}

#[test]
fn what_was_not_written_by_lapsed_is_neither_replaced_nor_removed() {
    let world = World::new();
    let (cron, systemd) = (
        world.dest().join("etc/cron.d"),
        world.dest().join("etc/systemd/system"),
    );
    let at = ["--at", "0 2 * * *", "--system", "--method"];
    let printed = world.install(&[&at[..], &["cron", "--print"]].concat());
    assert!(
        printed.contains("etc/cron.d/nightly") && printed.contains("\n0 2 * * * "),
        "{printed}"
    );
    assert!(!world.dest().exists(), "it is only shown");
    for (method, file) in [
        ("cron", cron.join("nightly")),
        ("systemd", systemd.join("nightly.timer")),
    ] {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let uninstall = [
            "uninstall",
            "--unit",
            "nightly",
            "--system",
            "--method",
            method,
        ];
        let install = ["install", "--run", "tidy", "--unit", "nightly"];
        let install = [&install[..], &at, &[method]].concat();
        for is_link in [false, true] {
            if is_link {
                std::fs::write(world.bin.join("theirs"), "theirs").unwrap();
                symlink(world.bin.join("theirs"), &file).unwrap();
            } else {
                std::fs::write(&file, "theirs").unwrap();
            }
            for arguments in [&install[..], &uninstall] {
                let output = world.lapsed(arguments);
                assert_eq!(output.status.code(), Some(2), "{arguments:?}");
                let said = errors(&output);
                assert!(said.contains("was not written by lapsed install"), "{said}");
            }
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
            assert_eq!(
                std::fs::read_dir(file.parent().unwrap()).unwrap().count(),
                1
            );
            std::fs::remove_file(&file).unwrap();
        }
        world.ends_well(&install);
        world.ends_well(&install);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644);
        world.ends_well(&uninstall);
        assert_eq!(
            std::fs::read_dir(file.parent().unwrap()).unwrap().count(),
            0
        );
    }
    assert!(
        !world.bin.join("calls.txt").exists(),
        "a tree for packages is no host"
    );
}

#[test]
fn what_could_not_run_is_not_installed() {
    let world = World::new();
    for (more, why) in [
        (
            &["--run", "nothing", "--at", "0 2 * * *"][..],
            "known: tidy",
        ),
        (
            &["--run", "tidy", "--at", "0 25 * * *"],
            "--at \"0 25 * * *\"",
        ),
        (&["--run", "tidy", "--at", "daily"], "five fields"),
        (
            &["--run", "tidy", "--at", "soon", "--method", "systemd"],
            "OnCalendar",
        ),
        (
            &["--run", "tidy", "--at", "0 2 * * *", "--", "--no-such"],
            "--no-such",
        ),
        (
            &[
                "--run",
                "tidy",
                "--at",
                "0 2 * * *",
                "--",
                "--label",
                "a\nb",
            ],
            "control character",
        ),
        (
            &["--run", "tidy", "--at", "0 2 * * *", "--unit", "a/b"],
            "letters",
        ),
        (
            &[
                "--run",
                "tidy",
                "--at",
                "0 2 * * *",
                "--system",
                "--run-as",
                "no-such-user",
            ],
            "no-such-user",
        ),
    ] {
        let unit = ["--unit", "nightly"];
        let has_unit = more.contains(&"--unit");
        let unit = if has_unit { &[][..] } else { &unit };
        let output = world.lapsed(&[&["install"], unit, more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(
            errors(&output).contains(why),
            "{more:?}: {}",
            errors(&output)
        );
    }
    assert!(!world.bin.join("crontab.txt").exists() && !world.dest().exists());
}
