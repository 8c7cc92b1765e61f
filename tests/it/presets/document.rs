//! Lines of the systems' documents, run as they stand there: through the scripts of the presets and over TCP; and the pages about the
//! presets, whose tables name nothing that no test shows.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::site::Site;
use crate::common::{Daemon, errors, wait_for};

/// Addresses at which the documents' clients ask.
const DOCUMENTED: [&str; 2] = ["http://localhost:5000", "http://localhost:8000"];

/// A shell in the application's directory.
pub struct Shell<'s> {
    site: &'s Site,
    address: Option<String>,
    more: BTreeMap<&'static str, String>,
}

impl<'s> Shell<'s> {
    /// Puts the scripts of the preset in the place of the application's.
    #[track_caller]
    pub fn install(site: &'s Site, preset: &str) -> Self {
        let (app, file) = (site.path(""), site.place.config_path());
        let app = app.to_str().unwrap().trim_end_matches('/').to_owned();
        let arguments = [
            "--base-dir",
            &app,
            "--shims",
            &app,
            "--output",
            &file,
            "--force",
        ];
        site.said(&[&["init", "--preset", preset], &arguments[..]].concat());
        let bin = site.place.make_dir("bin");
        // The documents say python where distributions say python3.
        symlink("/usr/bin/python3", bin.join("python")).unwrap();
        Self {
            site,
            address: None,
            more: BTreeMap::new(),
        }
    }

    /// The same with a daemon, which removes nothing by itself, and its address in place of the documented one. Whoever comes from this
    /// host may clean up.
    #[track_caller]
    pub fn serve(&mut self) -> Daemon {
        self.serve_to("operator")
    }

    /// As [`Shell::serve`], where requests without credentials have the role `anonymous`.
    #[track_caller]
    pub fn serve_to(&mut self, anonymous: &str) -> Daemon {
        let mut command = self.site.lapsed();
        command
            .args(["serve", "--http", "127.0.0.1:0"])
            .env("LAPSED_HTTP_ANONYMOUS", anonymous)
            .env("LAPSED_AUTOMATIC", "false");
        let daemon = Daemon::start(command, self.site.place.socket());
        daemon.wait_until_up();
        daemon.wait_until_ready();
        daemon.sync();
        let (_, status) = daemon.get("/v1/status");
        let address = status["http"][0]["address"].as_str().unwrap();
        self.address = Some(format!("http://{address}"));
        daemon
    }

    /// Sets a variable.
    pub fn export(&mut self, name: &'static str, value: &str) {
        self.more.insert(name, value.to_owned());
    }

    /// Runs `line` of a document in `dir` of the application.
    pub fn run_in(&self, dir: &str, line: &str) -> Output {
        self.command(dir, line).output().unwrap()
    }

    /// Starts `line` in the application's directory. It is killed on drop.
    pub fn start(&self, line: &str) -> Started {
        let mut command = self.command("", line);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().unwrap())
    }

    /// The shell that runs `line` in `dir` of the application.
    pub fn command(&self, dir: &str, line: &str) -> Command {
        let mut command = Command::new("/bin/bash");
        for (name, value) in self.site.lapsed().get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let bin = self.site.place.path("bin");
        let mut line = line.to_owned();
        for documented in DOCUMENTED {
            if let Some(address) = &self.address {
                line = line.replace(documented, address);
            }
        }
        command
            .envs(&self.more)
            // As cron has it, and where python is.
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .args(["-c", &line])
            .current_dir(self.site.path(dir))
            .stdin(Stdio::null());
        command
    }

    /// Runs a line that ends well, and returns what it printed.
    #[track_caller]
    pub fn line_in(&self, dir: &str, line: &str) -> String {
        let output = self.run_in(dir, line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {}{text}", errors(&output));
        text
    }

    /// As [`Shell::line_in`], in the application's directory itself.
    #[track_caller]
    pub fn line(&self, line: &str) -> String {
        self.line_in("", line)
    }

    /// As [`Shell::line`], of a line that prints JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let text = self.line(line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Puts Celery where its command and its modules are found.
    pub fn add_celery(&mut self) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join("celery"));
        let celery = found.filter(|celery| celery.exists()).last();
        let celery = celery.expect("tests/run installs Celery");
        symlink(&celery, self.site.place.path("bin/celery")).unwrap();
        let modules = std::fs::read_dir(celery.parent().unwrap().join("../lib")).unwrap();
        let modules = modules.map(|entry| entry.unwrap().path().join("site-packages"));
        let modules = modules.last().unwrap();
        self.export("PYTHONPATH", &format!(".:{}", modules.display()));
    }

    /// Runs a program in Python that ends well, and returns what it printed.
    #[track_caller]
    pub fn python(&self, program: &str) -> String {
        let file = self.site.place.path("bin/program.py");
        std::fs::write(&file, program).unwrap();
        let line = format!(
            "PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=${{PYTHONPATH:-.}} python {}",
            file.display()
        );
        self.line(&line)
    }
}

/// A line that runs.
pub struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `condition` holds after a line that another process carries out.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Something that a document names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    /// As the document has it.
    #[serde(rename = "item")]
    name: String,
    /// Another way to the same.
    #[serde(default)]
    how: Option<String>,
    /// Reason why there is none.
    #[serde(default)]
    not: Option<String>,
    /// Exchanges, lines of the document and tests: `exchange: ABOUT`, `line: LINE`, `test: NAME`.
    #[serde(default)]
    shown: Vec<String>,
}

/// Things of one kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    item: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    section: Vec<Section>,
}

#[derive(Debug, Deserialize)]
struct Exchanges {
    exchange: Vec<Recorded>,
}

#[derive(Debug, Deserialize)]
struct Recorded {
    about: String,
    line: Option<String>,
}

fn preset_dir(preset: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/presets")
        .join(preset)
}

fn exchanges(preset: &str) -> Vec<Recorded> {
    let dir = preset_dir(preset).join("exchanges");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let file: Exchanges = toml::from_str(&text).unwrap();
        all.extend(file.exchange);
    }
    all
}

/// Line of the page behind which its table stands.
const TABLE: &str = "<!-- The rest is written by a test, from the exchanges and from the lines that tests run. -->\n";

/// What shows an item, for people; fails when it is not there.
fn evidence(preset: &str, shown: &str, recorded: &[Recorded], sources: &str) -> String {
    let (kind, name) = shown.split_once(": ").unwrap_or(("", shown));
    match kind {
        "exchange" => {
            let is_there = recorded.iter().any(|exchange| exchange.about == name);
            assert!(is_there, "{preset}: there is no exchange {name:?}");
            format!("exchange \"{name}\"")
        }
        "line" => {
            let is_run = sources.contains(name) && !name.is_empty();
            assert!(is_run, "{preset}: no test runs {name:?}");
            format!("`{}`", cell(name))
        }
        "test" => {
            let is_there = sources.contains(&format!("\nfn {name}("));
            assert!(is_there, "{preset}: there is no test {name}");
            format!("test `{name}`")
        }
        _ => panic!("{preset}: {shown:?}"),
    }
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The page's table, from what the document names; `sources` are the tests.
fn table(preset: &str, items: &str, sources: &str) -> String {
    let items: Items = toml::from_str(items).unwrap();
    let recorded = exchanges(preset);
    let mut text = String::new();
    let (mut unchanged, mut other, mut none) = (0, 0, 0);
    for section in &items.section {
        text.push_str(&format!(
            "\n### {}\n\n| in the document | here | shown by |\n| --- | --- | --- |\n",
            section.title
        ));
        for item in &section.item {
            let works = match (&item.how, &item.not) {
                (None, None) => {
                    unchanged += 1;
                    "works unchanged".to_owned()
                }
                (Some(how), None) => {
                    other += 1;
                    cell(how)
                }
                (None, Some(why)) => {
                    none += 1;
                    format!("**not**: {}", cell(why))
                }
                (Some(_), Some(_)) => panic!("{preset}: {} has both", item.name),
            };
            assert!(
                item.not.is_some() || !item.shown.is_empty(),
                "{preset}: nothing shows {}",
                item.name
            );
            let shown = item.shown.iter();
            let shown: Vec<String> = shown
                .map(|shown| evidence(preset, shown, &recorded, sources))
                .collect();
            text.push_str(&format!(
                "| {} | {works} | {} |\n",
                cell(&item.name),
                shown.join("; ")
            ));
        }
    }
    format!("\n{unchanged} things work unchanged, {other} in another way, {none} not.\n{text}")
}

/// The page of `preset` is as its tests are. `LAPSED_UPDATE_REFERENCE=1` writes it.
#[track_caller]
pub fn assert_page(preset: &str, items: &str, sources: &[&str]) {
    let sources = sources.concat();
    for exchange in exchanges(preset) {
        if let Some(line) = exchange.line {
            assert!(sources.contains(&line), "{preset}: no test runs {line:?}");
        }
    }
    let file = preset_dir(preset).join("README.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (head, _) = page
        .split_once(TABLE)
        .expect("the page has a place for its table");
    let wanted = [head, TABLE, &table(preset, items, &sources)].concat();
    if std::env::var_os("LAPSED_UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    assert!(
        page == wanted || std::env::var_os("LAPSED_UPDATE_REFERENCE").is_some(),
        "{} is not current: LAPSED_UPDATE_REFERENCE=1 writes it",
        file.display()
    );
}

#[test]
fn recorded_exchanges_come_out_as_the_documents_say() {
    let mut count = 0;
    for preset in ["omr", "eemt", "storage", "audio", "math2visual"] {
        let dir = preset_dir(preset).join("exchanges");
        if !dir.is_dir() {
            continue;
        }
        let site = Site::new(preset);
        let said = site.said(&["adapter", "test", dir.to_str().unwrap()]);
        assert!(said.ends_with(" exchanges, 0 differ\n"), "{said}");
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn exchanges_that_differ_are_told() {
    let site = Site::new("omr");
    let file = site.place.path("wrong.toml");
    std::fs::write(
        &file,
        "[[exchange]]\nabout = \"wrong\"\ncall = \"omr_cleanup --dry-run --json\"\norder = '{\"dry_run\": false}'\nexit = 1\n",
    )
    .unwrap();
    let output = site.run(&["adapter", "test", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for line in [
        "differs  wrong (omr_cleanup --dry-run --json)",
        "  order.dry_run: false is expected, true is rendered",
        "  exit: 1 is expected, 0 is rendered",
        "1 exchanges, 1 differ",
    ] {
        assert!(said.lines().any(|found| found == line), "{line}: {said}");
    }
    // Neither what is no exchange, nor nothing at all, passes.
    std::fs::write(
        &file,
        "[[exchange]]\nabout = \"x\"\ncall = \"x\"\nanswers = 1\n",
    )
    .unwrap();
    for path in ["wrong.toml", "app"] {
        let output = site.run(&["adapter", "test", site.place.path(path).to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{path}");
    }
}
