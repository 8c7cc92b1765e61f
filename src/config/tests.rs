//! Configurations as people write them, good and bad, through [`load`] and [`endpoints`].

/// Asserts the message of the refusal of `$host`.
macro_rules! refused {
    ($host:expr, @$message:literal) => {
        insta::assert_snapshot!($host.refusal(), @$message);
    };
}

mod adapter;
mod bad;
mod bad_roots;
mod bad_rule_jobs;
mod bad_sources;
mod examples;
mod good;
mod good_jobs;
mod http;
mod jwt;
mod keep_last;
mod limits;
mod places;
mod schedules;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A host with a directory of its own: no file, no daemon, no home of the real one.
struct Host {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    environment: Environment,
    overrides: Overrides,
}

impl Host {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let dir = keep.path().canonicalize().unwrap();
        fs::create_dir(dir.join("etc")).unwrap();
        fs::create_dir(dir.join("data")).unwrap();
        let environment = Environment {
            current_dir: Some(dir.join("data")),
            system_file: dir.join("etc/lapsed.toml"),
            system_state_dir: dir.join("var/lapsed"),
            system_socket: dir.join("run/lapsed.sock"),
            ..Environment::new()
        };
        Self {
            _keep: keep,
            dir,
            environment,
            overrides: Overrides::default(),
        }
    }

    /// With `text` as the host's configuration, below `data`.
    fn with(text: &str) -> Self {
        let host = Self::new();
        fs::write(host.dir.join("etc/lapsed.toml"), text).unwrap();
        let data = host.dir.join("data");
        host.set("LAPSED_BASE_DIR", data.to_str().unwrap())
    }

    /// With `text` for its rule, and a root.
    fn with_rule(text: &str) -> Self {
        Self::with(&format!(
            "[[root]]\npath = \"scratch\"\n[[rule]]\nname = \"r\"\n{text}\n"
        ))
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.vars.insert(name.into(), value.into());
        self
    }

    /// With the keys that examples name.
    fn with_jwt_keys(self) -> Self {
        let public = rcgen::KeyPair::generate().unwrap().public_key_pem();
        fs::write(self.path("data/jwt.pem"), public).unwrap();
        self.set("JWT_SECRET", "of at least 16 bytes")
    }

    fn user(mut self, uid: u32) -> Self {
        self.environment.uid = uid;
        self
    }

    fn watch(mut self, arguments: &[&str]) -> Self {
        self.overrides
            .watch
            .extend(arguments.iter().map(|&text| text.to_owned()));
        self
    }

    fn load(&self) -> Result<Settings, ConfigError> {
        load(&self.overrides, &self.environment, &mut RootIds::default())
    }

    fn good(&self) -> Settings {
        self.load().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The message of the refusal, with the host's directory as `HOST`.
    fn refusal(&self) -> String {
        let mut ids = RootIds::default();
        let error = load(&self.overrides, &self.environment, &mut ids).unwrap_err();
        assert_eq!(ids, RootIds::default(), "no id for nothing");
        self.masked(&error.to_string())
    }

    fn masked(&self, text: &str) -> String {
        text.replace(self.dir.to_str().unwrap(), "HOST")
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.join(path)
    }
}
