//! A real PostgreSQL cluster in a temporary directory, made with `initdb` and gone with the process that made it.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::unused_async,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::common::machine::{Deadline, NOBODY, give_to_nobody, is_root};

/// What becomes of a cluster whose tests are over, however they ended: its input ends with them.
const KEEPER: &str = r#"
cat > /dev/null
for pid in "$1"/*/postmaster.pid; do
    [ -f "$pid" ] || continue
    server=$(head -n 1 "$pid")
    kill -QUIT "$server" 2> /dev/null
    while kill -0 "$server" 2> /dev/null; do sleep 0.05; done
done
rm -rf "$1"
"#;

/// A cluster, and its server while it runs.
pub struct Cluster {
    dir: PathBuf,
    data: PathBuf,
    pub port: u16,
    server: Mutex<Option<Child>>,
    keeper: Option<(Child, ChildStdin)>,
    databases: AtomicU32,
}

impl Cluster {
    /// The one of all tests of this program that break nothing.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    /// A new one that runs. Its superuser is `postgres`; everybody is trusted but `guarded`, who needs the password `s3cret%/é`.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("lapsed-postgres-")
            .tempdir()
            .unwrap()
            .keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // The server refuses to be root.
        if is_root() {
            give_to_nobody(&dir);
        }
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let stdin = keeper.stdin.take().unwrap();
        let data = dir.join("data");
        run(program("initdb").arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]));
        let hba = data.join("pg_hba.conf");
        let trusting = fs::read_to_string(&hba).unwrap();
        fs::write(
            &hba,
            format!("host all guarded all scram-sha-256\n{trusting}"),
        )
        .unwrap();
        let cluster = Self {
            port: free_port(),
            data,
            dir,
            server: Mutex::default(),
            keeper: Some((keeper, stdin)),
            databases: AtomicU32::new(0),
        };
        cluster.start();
        cluster
            .session("postgres")
            .run("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 's3cret%/é'");
        cluster
    }

    /// A standby that follows this one, as it is now and from now on.
    pub fn standby(&self) -> Self {
        let data = self.dir.join(format!("standby{}", self.next()));
        run(program("pg_basebackup")
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-R",
                "-c",
                "fast",
                "-X",
                "stream",
            ])
            .args(["--no-sync", "-p", &self.port.to_string(), "-D"])
            .arg(&data));
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        let standby = Self {
            port: free_port(),
            data,
            dir: self.dir.clone(),
            server: Mutex::default(),
            // The directory is the other's.
            keeper: None,
            databases: AtomicU32::new(1000),
        };
        standby.start();
        standby
    }

    /// Where its files are; a test may put certificates there.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where its Unix socket is.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// Gives a file to the user that the server runs as, and to nobody else.
    #[expect(clippy::unused_self, reason = "it is this cluster's user")]
    pub fn hand_over(&self, path: &Path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// Starts the server and waits until it answers.
    pub fn start(&self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let server = program("postgres")
            .arg("-D")
            .arg(&self.data)
            .args(["-p", &self.port.to_string()])
            .arg("-k")
            .arg(&self.dir)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "shared_buffers=32MB", "-c", "max_connections=100"])
            .args(["-c", "max_wal_senders=4", "-c", "log_min_messages=warning"])
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        *self.server.lock().unwrap() = Some(server);
        let deadline = Deadline::new();
        while Session::try_open(self, "postgres", "postgres").is_err() {
            assert!(
                !deadline.is_over(),
                "the server does not start: {}",
                fs::read_to_string(self.dir.join("log")).unwrap_or_default()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Ends the server at once, as a loss of power would.
    pub fn stop(&self) {
        if let Some(mut server) = self.server.lock().unwrap().take() {
            signal(&server, "QUIT");
            server.wait().unwrap();
        }
    }

    /// Ends all connections but the one that does it, in an orderly way.
    pub fn end_connections(&self) {
        self.session("postgres")
            .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL");
    }

    /// A new database, by its name.
    pub fn database(&self) -> String {
        let name = format!("db{}", self.next());
        self.session("postgres")
            .run(&format!("CREATE DATABASE {name}"));
        name
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// A session of the superuser.
    pub fn session(&self, database: &str) -> Session {
        Session::try_open(self, database, "postgres").unwrap()
    }

    fn next(&self) -> u32 {
        self.databases.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        if let Some((mut keeper, stdin)) = self.keeper.take() {
            drop(stdin);
            let _ = keeper.wait();
        }
    }
}

/// A connection that a test asks over.
pub struct Session {
    runtime: Runtime,
    client: Client,
}

impl Session {
    fn try_open(cluster: &Cluster, database: &str, user: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let url = format!(
            "host=127.0.0.1 port={} user={user} dbname={database} connect_timeout=5",
            cluster.port
        );
        let connected = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = connected.map_err(|error| format!("{error:?}"))?;
        Ok(Self { runtime, client })
    }

    /// Runs statements; what went wrong, if something did.
    pub fn try_run(&self, sql: &str) -> Result<(), String> {
        let done = self.runtime.block_on(self.client.batch_execute(sql));
        done.map_err(|error| format!("{error:?}"))
    }

    #[track_caller]
    pub fn run(&self, sql: &str) {
        self.try_run(sql).unwrap();
    }

    /// The first value of the first row, as text.
    #[track_caller]
    pub fn value(&self, sql: &str) -> Option<String> {
        let rows = self
            .runtime
            .block_on(self.client.simple_query(sql))
            .unwrap();
        rows.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        })?
    }
}

/// A program of the server, run as somebody who is not root.
fn program(name: &str) -> Command {
    let mut command = Command::new(find(name));
    command
        .current_dir("/")
        .env_remove("PGDATABASE")
        .env("LC_ALL", "C");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn find(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|dir| dir.unwrap().path()).collect();
    versions.sort();
    dirs.extend(versions.into_iter().rev().map(|dir| dir.join("bin")));
    let found = dirs
        .iter()
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    found
        .unwrap_or_else(|| panic!("these tests need {name}: install the Debian package postgresql"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn signal(server: &Child, name: &str) {
    run(Command::new("kill").args([format!("-{name}"), server.id().to_string()]));
}

/// A port that nobody listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
