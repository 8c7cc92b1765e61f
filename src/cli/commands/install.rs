//! `lapsed install --run NAME …`: has cron or systemd run a declared command, and
//! `lapsed uninstall --unit NAME` takes that back.
//!
//! - `when`: its instants
//! - `units`: texts of entries
//! - `crontab`: the caller's crontab
//! - `files`: files of cron and systemd
//!
//! **Invariant:** an entry names its program and its configuration by absolute paths: cron knows
//! neither a `PATH` nor a directory.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use nix::unistd::{Uid, User};
use serde_json::json;

mod crontab;
mod files;
mod units;
mod when;

use super::run::{command, parser, refuse};
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::human;
use units::Job;
use when::When;

/// Place of an entry.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// For the calling user, as by default
    #[arg(long, conflicts_with = "system")]
    user: bool,
    /// For the host, below DESTDIR if that is set
    #[arg(long)]
    system: bool,
    /// Program that keeps the entry
    #[arg(long, value_enum, default_value_t = Method::Cron)]
    method: Method,
}

/// Program that keeps entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Method {
    /// An entry of a crontab
    Cron,
    /// A timer and its service
    Systemd,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Run this command of the configuration
    #[arg(long, value_name = "NAME")]
    run: String,
    /// Arguments of the command
    #[arg(last = true, value_name = "ARGS")]
    words: Vec<OsString>,
    /// Run it then: five fields of cron, or an `OnCalendar`
    #[arg(long, value_name = "WHEN")]
    at: String,
    /// Name of the entry
    #[arg(long, value_name = "NAME", value_parser = parse_unit)]
    unit: String,
    #[command(flatten)]
    target: Target,
    /// Run it as USER [default: owner of the configuration]
    #[arg(long, value_name = "USER", requires = "system")]
    run_as: Option<String>,
    /// Append its output to FILE; systemd has its journal
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Show the entry, and write nothing
    #[arg(long)]
    print: bool,
}

/// Name of a crontab's file and of units: cron passes over files with other characters.
pub(super) fn parse_unit(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_name) {
        return Err("give letters, digits, \"-\" and \"_\"".to_owned());
    }
    Ok(text.to_owned())
}

/// Parts of an entry, each with its path; without one it is a block of the caller's crontab.
type Parts = Vec<(Option<PathBuf>, String)>;

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let settings = context.settings(&WatchOptions::default())?;
    let declared = command(&settings.adapter, arguments.run.as_ref())?;
    if let Err(mistake) = parser::parse(&declared, &arguments.words) {
        return Ok(refuse(&declared, mistake));
    }
    let Some(file) = &settings.file else {
        bail!("an entry needs a configuration that is a file: --config FILE");
    };
    let when = When::parse(&arguments.at)?;
    let target = &arguments.target;
    let job = Job {
        words: words(context, arguments, file)?,
        user: user(arguments, file)?,
        undo: target.undo(&arguments.unit),
        name: arguments.run.clone(),
    };
    let log = arguments.log.as_ref().map(|path| absolute(path));
    let parts = target.parts(&arguments.unit, &job, &when, log.transpose()?.as_deref())?;
    if arguments.print {
        return print(context, &parts).map(|()| End::Done);
    }
    for path in parts.iter().filter_map(|(path, _)| path.as_ref()) {
        files::check(path)?;
    }
    for (path, text) in &parts {
        match path {
            Some(path) => files::write(path, text)?,
            None => put_block(&arguments.unit, Some(text)).map(|_| ())?,
        }
    }
    let enabled = match target.method {
        Method::Cron => None,
        Method::Systemd => Some(target.control(&[
            &["daemon-reload"],
            &["enable", "--now", &format!("{}.timer", arguments.unit)],
        ])),
    };
    tell(context, arguments, &parts, enabled.as_ref())
}

/// The command line of an entry.
fn words(context: &Context, arguments: &Arguments, file: &Path) -> anyhow::Result<Vec<String>> {
    let binary = std::env::current_exe().context("cannot find the program itself")?;
    let mut words = vec![absolute(&binary)?, "--config".to_owned(), absolute(file)?];
    for (option, path) in context.places() {
        words.extend([option.to_owned(), absolute(path)?]);
    }
    words.extend(["run".to_owned(), arguments.run.clone()]);
    for argument in &arguments.words {
        let text = argument.to_str();
        words.push(text.context("arguments have to be UTF-8")?.to_owned());
    }
    for word in &words {
        // A backslash before a percent sign would end cron's line there.
        if word.contains(char::is_control) || word.contains("\\%") {
            bail!("{word:?} cannot stand in an entry: it has a control character or \"\\%\"");
        }
    }
    Ok(words)
}

/// The user that the system runs an entry as. The owner of the configuration decides what is
/// removed, so that no other user but root's may be named.
fn user(arguments: &Arguments, file: &Path) -> anyhow::Result<Option<String>> {
    if !arguments.target.system {
        return Ok(None);
    }
    let found =
        std::fs::metadata(file).with_context(|| format!("cannot look at {}", quoted(file)))?;
    let owner = User::from_uid(Uid::from_raw(found.uid()))?;
    let owner = owner.map(|user| user.name);
    match (&arguments.run_as, owner) {
        (None, Some(owner)) => Ok(Some(owner)),
        (Some(user), owner) if owner.as_deref().is_some_and(|o| o == user || o == "root") => {
            let known = User::from_name(user)?;
            known.with_context(|| format!("there is no user {user:?}"))?;
            Ok(Some(user.clone()))
        }
        (Some(user), _) => bail!(
            "the configuration {} belongs to another user than {user:?}, who could have files of {user:?} removed\n  \
             chown it to {user:?} or root",
            quoted(file)
        ),
        (None, None) => bail!(
            "the owner of {} has no name\n  chown it to a user",
            quoted(file)
        ),
    }
}

fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| {
        format!(
            "the path {} is not UTF-8, which an entry has to be",
            quoted(&path)
        )
    })
}

impl Target {
    fn scope(&self) -> &'static str {
        if self.system { "--system" } else { "--user" }
    }

    /// The command that takes an entry back.
    fn undo(&self, unit: &str) -> String {
        let method: &str = self.method.into();
        format!(
            "lapsed uninstall --unit {unit} {} --method {method}",
            self.scope()
        )
    }

    fn parts(
        &self,
        unit: &str,
        job: &Job,
        when: &When,
        log: Option<&str>,
    ) -> anyhow::Result<Parts> {
        let paths = self.paths(unit)?;
        let texts = match (self.method, self.system) {
            (Method::Cron, is_system) => {
                let entry = job.cron_entry(&when.cron()?, log);
                if is_system {
                    vec![job.cron_file(&entry)]
                } else {
                    return Ok(vec![(None, crontab::block(unit, &entry, &job.undo))]);
                }
            }
            (Method::Systemd, _) => vec![job.service(), job.timer(&when.calendars()?)],
        };
        Ok(paths.into_iter().map(Some).zip(texts).collect())
    }

    /// Paths of files of an entry; none for the caller's crontab.
    fn paths(&self, unit: &str) -> anyhow::Result<Vec<PathBuf>> {
        let dir = match (self.method, self.system) {
            (Method::Cron, false) => return Ok(Vec::new()),
            (Method::Cron, true) => return Ok(vec![destination("etc/cron.d").join(unit)]),
            (Method::Systemd, true) => destination("etc/systemd/system"),
            (Method::Systemd, false) => user_units()?,
        };
        let names = ["service", "timer"].map(|kind| format!("{unit}.{kind}"));
        Ok(names.map(|name| dir.join(name)).to_vec())
    }

    /// Has systemd carry out `orders`, which a tree for packages is not for.
    fn control(&self, orders: &[&[&str]]) -> Result<(), String> {
        let scope = if self.system { &[][..] } else { &["--user"] };
        for order in orders {
            let line = [&["systemctl"], scope, order].concat().join(" ");
            if self.system && dest_dir().is_some() {
                return Err(format!("DESTDIR is set; on the host: {line}"));
            }
            let asked = Command::new("systemctl")
                .args(scope)
                .args(*order)
                .stdin(Stdio::null())
                .output();
            match asked {
                Ok(answer) if answer.status.success() => {}
                Ok(answer) => {
                    let said = String::from_utf8_lossy(&answer.stderr);
                    return Err(format!("{line}: {}", human::safe(said.trim())));
                }
                Err(error) => return Err(format!("cannot run {line}: {error}")),
            }
        }
        Ok(())
    }

    /// Takes the entry `unit` back. Returns the files that were removed, or the block of the
    /// crontab, which has no path.
    pub(super) fn take_back(&self, unit: &str) -> anyhow::Result<Vec<Option<PathBuf>>> {
        if self.method == Method::Cron && !self.system {
            let is_removed = put_block(unit, None)?;
            return Ok(is_removed.then_some(None).into_iter().collect());
        }
        let mut ours = Vec::new();
        for path in self.paths(unit)? {
            if files::check(&path)? {
                ours.push(path);
            }
        }
        if self.method == Method::Systemd && !ours.is_empty() {
            // A timer that was never enabled can be removed all the same.
            let _ = self.control(&[&["disable", "--now", &format!("{unit}.timer")]]);
        }
        for path in &ours {
            files::remove(path)?;
        }
        if self.method == Method::Systemd && !ours.is_empty() {
            let _ = self.control(&[&["daemon-reload"]]);
        }
        Ok(ours.into_iter().map(Some).collect())
    }
}

/// Puts the block of `unit` into the caller's crontab. Returns true if that changed it.
fn put_block(unit: &str, block: Option<&str>) -> anyhow::Result<bool> {
    let new = crontab::with_block(&crontab::read()?, unit, block)?;
    if let Some(new) = &new {
        crontab::write(new)?;
    }
    Ok(new.is_some())
}

fn dest_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("DESTDIR").filter(|dir| !dir.is_empty());
    dir.map(PathBuf::from)
}

fn destination(path: &str) -> PathBuf {
    dest_dir().unwrap_or_else(|| PathBuf::from("/")).join(path)
}

/// Directory of the caller's units (systemd.unit(5)).
fn user_units() -> anyhow::Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty());
    let config = of("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(PathBuf::from(of("HOME")?).join(".config")));
    let config = config.context("neither XDG_CONFIG_HOME nor HOME is set: where are units?")?;
    Ok(std::path::absolute(config)?.join("systemd/user"))
}

pub(super) fn quoted(path: &Path) -> String {
    format!("\"{}\"", human::safe(&path.to_string_lossy()))
}

fn print(context: &mut Context, parts: &Parts) -> anyhow::Result<()> {
    let output = &mut context.output;
    for (path, text) in parts {
        let place = match path {
            Some(path) => path.display().to_string(),
            None => "crontab".to_owned(),
        };
        if output.format == crate::cli::output::Format::Json {
            output.json(&json!({"path": path, "text": text}))?;
        } else {
            output.line(&format!("# {}", human::safe(&place)))?;
            output.line(text)?;
        }
    }
    Ok(())
}

fn tell(
    context: &mut Context,
    arguments: &Arguments,
    parts: &Parts,
    enabled: Option<&Result<(), String>>,
) -> anyhow::Result<End> {
    let (unit, target) = (&arguments.unit, &arguments.target);
    let undo = target.undo(unit);
    let is_json = context.is_json();
    let output = &mut context.output;
    let failure = enabled.and_then(|done| done.as_ref().err());
    if is_json {
        let paths: Vec<&PathBuf> = parts.iter().filter_map(|(path, _)| path.as_ref()).collect();
        let enabled = enabled.map(Result::is_ok);
        let line = json!({"unit": unit, "files": paths, "enabled": enabled, "error": failure, "undo": undo});
        output.json(&line)?;
    } else {
        for (path, text) in parts {
            match path {
                Some(path) => output.line(&format!("wrote {}", quoted(path)))?,
                None => output.line(&format!("put into the crontab:\n{}", text.trim_end()))?,
            }
        }
        match enabled {
            Some(Ok(())) => output.line(&format!("enabled {unit}.timer"))?,
            Some(Err(why)) => output.line(&format!("not enabled: {why}"))?,
            None => {}
        }
        if target.method == Method::Systemd && !target.system {
            let hint = "it runs while you are logged in; always: loginctl enable-linger";
            output.line(hint)?;
        }
        output.line(&format!("undo: {undo}"))?;
    }
    let is_for_packages = target.system && dest_dir().is_some();
    Ok(match failure {
        Some(_) if !is_for_packages => End::WithErrors,
        Some(_) | None => End::Done,
    })
}
