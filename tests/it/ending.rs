//! What hangs stops neither the end of a daemon that is asked to end, nor removals on another file system.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::common::{Daemon, Place, patience, wait_for};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rustix::process::Signal;

/// One root, one rule, and a source of jobs.
const CONFIG: &str = "[[source]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"jobs.db\"\n\
     select = \"SELECT id, status FROM jobs\"\n\
     [[root]]\npath = \"data\"\nowner = \"{job}/**\"\nsource = \"db\"\n[[rule]]\nexpire = \"1h\"\n";

/// Twenty times the time between two pings in the test.
const SILENCE: Duration = Duration::from_secs(1);
/// More pings than a socket's queue holds.
const LATE_PINGS_MAX: usize = 100;

/// The threads of a daemon: ids and names. The main thread is left out.
fn threads(daemon: &Daemon) -> Vec<(i32, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let named = |task: std::fs::DirEntry| {
        let id: i32 = task.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((id, name.trim().to_owned()))
    };
    let all = tasks.filter_map(|task| named(task.unwrap()));
    let main = i32::try_from(daemon.child.id()).unwrap();
    all.filter(|(id, _)| *id != main).collect()
}

/// Names of the threads, once those have begun that begin after the first answer.
fn threads_begun(daemon: &Daemon) -> BTreeSet<String> {
    const EXPECTED: [&str; 6] = [
        "reap-files",
        "reap-units",
        "reap-sweep",
        "engine",
        "cache",
        "config",
    ];
    wait_for("all threads have begun", || {
        let names: BTreeSet<String> = threads(daemon).into_iter().map(|(_, name)| name).collect();
        let have_begun = EXPECTED.iter().all(|name| names.contains(*name));
        have_begun.then_some(names)
    })
}

/// Threads that are stopped where they are, as by a file system that does not answer.
struct Hung(Vec<Pid>);

impl Hung {
    /// Stops all threads of that name.
    fn hang(daemon: &Daemon, name: &str) -> Self {
        let all = threads(daemon)
            .into_iter()
            .filter(|(_, known)| known == name);
        let ids: Vec<Pid> = all.map(|(id, _)| Pid::from_raw(id)).collect();
        for &id in &ids {
            ptrace::seize(id, ptrace::Options::empty())
                .expect("ptrace(2) of a child process, which some sandboxes forbid");
            ptrace::interrupt(id).unwrap();
            waitpid(id, Some(WaitPidFlag::__WALL)).unwrap();
        }
        Self(ids)
    }

    /// Lets the threads go on.
    fn release(self) {
        for id in self.0 {
            ptrace::detach(id, None).unwrap();
        }
    }

    /// Waits for the end of the daemon that they belong to. The kernel keeps a traced thread until its tracer has seen its end.
    fn wait(self, daemon: &mut Daemon, what: &str) -> ExitStatus {
        wait_for(&format!("the daemon ends, {what}"), || {
            for &id in &self.0 {
                let _ = waitpid(id, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
            }
            daemon.child.try_wait().unwrap()
        })
    }
}

fn serve(place: &Place) -> Daemon {
    let jobs = rusqlite::Connection::open(place.path("jobs.db")).unwrap();
    jobs.execute_batch("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, status TEXT)")
        .unwrap();
    place.make_dir("data");
    let config = place.config(CONFIG);
    place.serve_ready(&["--config", config.to_str().unwrap()])
}

#[test]
fn it_ends_whichever_of_its_threads_hangs() {
    let place = Place::new();
    let mut daemon = serve(&place);
    let names = threads_begun(&daemon);
    assert!(daemon.stop().success());
    for name in names {
        let mut daemon = serve(&place);
        threads_begun(&daemon);
        let hung = Hung::hang(&daemon, &name);
        daemon.signal(Signal::TERM);
        let status = hung.wait(&mut daemon, &format!("though {name} hangs"));
        assert_eq!(
            status.code(),
            Some(0),
            "{name}: {status}\n{}",
            daemon.said()
        );
        let part = match name.as_str() {
            "reap-files" | "reap-units" | "reap-sweep" => "the reaper",
            "engine" => "the engine",
            "cache" => "the cache",
            "config" => "the watch of the configuration",
            _ => continue,
        };
        daemon.wait_until_said(part);
    }
}

#[test]
fn an_engine_that_hangs_stops_the_pings_of_the_watchdog() {
    let place = Place::new();
    place.make_dir("data");
    let notify = UnixDatagram::bind(place.path("notify")).unwrap();
    let told = |within: Duration| {
        let mut buffer = [0; 512];
        notify.set_read_timeout(Some(within)).unwrap();
        let length = notify.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    };
    let lapsed = place.lapsed();
    let mut command = Command::new("sh");
    command
        .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
        .arg(lapsed.get_program())
        .args(["serve", "--watch", "data=1h"])
        .current_dir(place.dir.path());
    for (name, value) in lapsed.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("NOTIFY_SOCKET", place.path("notify"))
        .env("WATCHDOG_USEC", "100000");
    let mut daemon = Daemon::start(command, place.socket());
    for expected in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
        assert_eq!(told(patience()).as_deref(), Some(expected));
    }
    let hung = Hung::hang(&daemon, "engine");
    // Those that were on their way; a timer that pings by itself would have no end.
    let late = (0..LATE_PINGS_MAX).take_while(|_| told(SILENCE).is_some());
    assert!(late.count() < LATE_PINGS_MAX, "it pings though it hangs");
    hung.release();
    assert_eq!(told(patience()).as_deref(), Some("WATCHDOG=1"));
    daemon.signal(Signal::TERM);
    while told(patience()).expect("it tells") != "STOPPING=1" {}
    assert!(daemon.wait().success());
}

#[test]
fn it_ends_while_a_reload_hangs() {
    let place = Place::new();
    let mut daemon = serve(&place);
    // A pipe without a writer, as a file on a server that is gone: to read it hangs.
    let pipe = place.path("pipe");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::rename(&pipe, place.path("lapsed.toml")).unwrap();
    let writer = wait_for("the file is read after the edit", || {
        open_to_write(&place.path("lapsed.toml"))
    });
    daemon.signal(Signal::HUP);
    wait_for("the file is read by the reload, too", || {
        (opened(&daemon, &place.path("lapsed.toml")) == 2).then_some(())
    });
    assert_eq!(daemon.get("/v1/health").0, 200, "it answers meanwhile");
    let status = daemon.stop();
    assert_eq!(status.code(), Some(0), "{status}\n{}", daemon.said());
    drop(writer);
}

/// The pipe at `path`, as soon as somebody reads it.
fn open_to_write(path: &Path) -> Option<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    options
        .write(true)
        .custom_flags(nonblocking)
        .open(path)
        .ok()
}

/// The number of descriptors that the daemon has of the file at `path`.
fn opened(daemon: &Daemon, path: &Path) -> usize {
    let held = std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap();
    let names = held.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    names.filter(|name| name == path).count()
}

/// A file system whose server can be stopped: bindfs(1), mounted on a directory.
struct Bindfs {
    server: std::process::Child,
    on: std::path::PathBuf,
}

impl Bindfs {
    fn mount(from: &Path, on: &Path) -> Self {
        let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
        let before = device(on);
        let mut command = std::process::Command::new("bindfs");
        let server = command.arg("-f").args([from, on]).spawn();
        let server = server.expect("bindfs(1), of the package of that name");
        let mounted = || (device(on)? != before?).then_some(());
        wait_for("bindfs mounts, which needs /dev/fuse", mounted);
        let on = on.to_owned();
        Self { server, on }
    }

    fn signal(&self, signal: Signal) {
        let server = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(server, signal).unwrap();
    }
}

impl Drop for Bindfs {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.on)
            .status();
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Number of the threads of that name that wait for the answer of a FUSE server.
fn count_stuck(daemon: &Daemon, name: &str) -> usize {
    let file = |id: i32| format!("/proc/{}/task/{id}/wchan", daemon.child.id());
    let named = threads(daemon)
        .into_iter()
        .filter(|(_, known)| known == name);
    let waits_for = named.filter_map(|(id, _)| std::fs::read_to_string(file(id)).ok());
    waits_for
        .filter(|place| place == "request_wait_answer")
        .count()
}

#[test]
fn a_file_system_that_hangs_stops_no_removal_on_another() {
    let place = Place::new();
    let (inner, hung) = (place.make_dir("inner"), place.make_dir("hung"));
    for dir in ["inner/files", "inner/units", "well/files", "well/units"] {
        place.make_dir(dir);
    }
    let bindfs = Bindfs::mount(&inner, &hung);
    let mut config = String::new();
    for (root, dir) in [
        ("hf", "hung/files"),
        ("hu", "hung/units"),
        ("wf", "well/files"),
        ("wu", "well/units"),
    ] {
        config.push_str(&format!("[[root]]\nname = \"{root}\"\npath = \"{dir}\"\n"));
    }
    config.push_str(
        "[[rule]]\nname = \"f\"\nroot = [\"hf\", \"wf\"]\nexpire = \"3s\"\n\
         [[rule]]\nname = \"u\"\nroot = [\"hu\", \"wu\"]\nunit = \"dir\"\nexpire = \"3s\"\n",
    );
    let config = place.config(&config);
    let mut daemon = place.serve_ready(&["--config", config.to_str().unwrap()]);
    let fill = |dir: &str, wave: usize| {
        for at in 0..10 {
            let name = format!("{wave}-{at}");
            std::fs::write(place.path(dir).join("files").join(&name), "1").unwrap();
            let unit = place.path(dir).join("units").join(&name);
            std::fs::create_dir(&unit).unwrap();
            std::fs::write(unit.join("file"), "1").unwrap();
        }
        daemon.sync();
    };
    // In waves, each of which is due by itself: enough for all threads that could be stuck.
    for wave in 0..4 {
        fill("hung", wave);
    }
    bindfs.signal(Signal::STOP);
    wait_for("both threads for its files are stuck", || {
        (count_stuck(&daemon, "reap-files") >= 2).then_some(())
    });
    fill("well", 0);
    let left = |dir: &str| {
        let listed = std::fs::read_dir(place.path(dir)).unwrap();
        listed
            .filter(|entry| entry.as_ref().unwrap().file_name() != ".lapsed")
            .count()
    };
    wait_for("all on the other file system is removed", || {
        (left("well/files") + left("well/units") == 0).then_some(())
    });
    assert!(count_stuck(&daemon, "reap-files") >= 2, "all the while");
    drop(bindfs);
    assert!(daemon.stop().success());
}
