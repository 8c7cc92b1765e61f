//! Questions on a terminal: the kind of system, the directories, the time, the file.
//!
//! **Invariant:** an answer that cannot be is said and asked again; an end of the answers writes
//! nothing.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::{Wanted, below_here, draft, file, judge, presets};
use crate::cli::human;
use crate::config::{Environment, reason};

/// Time to live if the user only presses return.
const TTL: &str = "7d";

/// Failure to get answers.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// End of file.
    #[error("the answers ended: nothing was written")]
    Ended,
    /// The operating system refuses.
    #[error("cannot ask: {}\n  nothing was written; give --preset NAME or --watch PATH=TTL", reason(.0))]
    Refused(#[from] io::Error),
}

/// Returns true if a user at a terminal can answer.
pub(super) fn can_be_asked() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks on the terminal what is wanted; and, where there is a `usual` place for it, in which file.
pub(super) fn ask(
    (environment, width): (&Environment, Option<usize>),
    base_dir: Option<&Path>,
    usual: Option<&Path>,
    force: bool,
) -> Result<(Wanted, Option<PathBuf>), Unanswered> {
    let (input, output) = (io::stdin().lock(), io::stdout().lock());
    let mut asker = Asker {
        input,
        output,
        environment,
        width,
    };
    asker.all(base_dir, usual, force)
}

pub(super) struct Asker<'e, R, W> {
    pub(super) input: R,
    pub(super) output: W,
    pub(super) environment: &'e Environment,
    /// The terminal's columns, where they are known.
    pub(super) width: Option<usize>,
}

impl<R: BufRead, W: Write> Asker<'_, R, W> {
    pub(super) fn all(
        &mut self,
        base_dir: Option<&Path>,
        usual: Option<&Path>,
        force: bool,
    ) -> Result<(Wanted, Option<PathBuf>), Unanswered> {
        self.line("Return takes what stands in [brackets]; Ctrl-C ends without writing.")?;
        let wanted = match self.preset(base_dir.is_some())? {
            Some(preset) => Wanted::Preset(preset, Some(self.base_dir(base_dir)?)),
            None => Wanted::Watch(self.directories()?),
        };
        let file = match usual {
            Some(usual) => Some(self.file(usual, force)?),
            None => None,
        };
        self.line("")?;
        Ok((wanted, file))
    }

    fn preset(&mut self, is_needed: bool) -> Result<Option<&'static presets::Preset>, Unanswered> {
        self.line("")?;
        self.line("Which system is it like?")?;
        let width = presets::names().map(str::len).max();
        for (number, preset) in (1..).zip(&*presets::ALL) {
            let (name, width) = (preset.name, width.unwrap_or(0));
            let description = preset.description();
            let line = format!("  {number}  {name:width$}  {description}");
            let rest = " ".repeat(width + 7);
            for line in human::wrap(&line, self.width, "", &rest) {
                self.line(&line)?;
            }
        }
        let count = presets::ALL.len();
        let (first, usual) = if is_needed { (1, "1") } else { (0, "0") };
        if !is_needed {
            self.line("  0  none of them: a directory, and how long its files live")?;
        }
        self.ask("Number", usual, |answer| match answer.parse::<usize>() {
            Ok(0) if !is_needed => Ok(None),
            Ok(number) if (1..=count).contains(&number) => Ok(presets::ALL.get(number - 1)),
            Ok(_) | Err(_) => presets::named(answer)
                .map(Some)
                .ok_or_else(|| format!("give a number from {first} to {count}")),
        })
    }

    fn base_dir(&mut self, given: Option<&Path>) -> Result<PathBuf, Unanswered> {
        if let Some(given) = given {
            return Ok(below_here(given, self.environment));
        }
        self.line("")?;
        let environment = self.environment;
        self.ask("The directory that its files lie below", ".", |answer| {
            existing(answer, environment)
        })
    }

    fn directories(&mut self) -> Result<Vec<String>, Unanswered> {
        let environment = self.environment;
        let mut watch: Vec<String> = Vec::new();
        loop {
            self.line("")?;
            let is_first = watch.is_empty();
            let (question, usual) = if is_first {
                ("A directory with temporary files", None)
            } else {
                ("Another directory (return: no more)", Some(""))
            };
            let dir = self.ask_or(question, usual, |answer| {
                if answer.is_empty() {
                    return Ok(None);
                }
                let dir = existing(answer, environment)?;
                let dir = dir.to_str().ok_or("the path is not UTF-8")?;
                // Whether it can be a root at all, whatever the time.
                sound(&watch, dir, TTL, environment).map(|()| Some(dir.to_owned()))
            })?;
            let Some(dir) = dir else {
                return Ok(watch);
            };
            let question = "How long a file lives after it was last touched (90s, 12h, 7d)";
            let ttl = self.ask(question, TTL, |answer| {
                sound(&watch, &dir, answer, environment).map(|()| answer.to_owned())
            })?;
            watch.push(format!("{dir}={ttl}"));
        }
    }

    fn file(&mut self, usual: &Path, force: bool) -> Result<PathBuf, Unanswered> {
        let environment = self.environment;
        self.line("")?;
        self.ask("The file to write", &usual.to_string_lossy(), |answer| {
            let path = below_here(&home(answer, environment), environment);
            if path.is_dir() {
                return Err("that is a directory: give a file".to_owned());
            }
            if force || file::refuse_to_replace(&path).is_ok() {
                return Ok(path);
            }
            Err("there is a file already, which is left as it is: give another one (--force replaces)".to_owned())
        })
    }

    /// Asks until `accept` takes the answer; return stands for `usual`.
    fn ask<T>(
        &mut self,
        question: &str,
        usual: &str,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        self.ask_or(question, Some(usual), accept)
    }

    /// Likewise, where there may be nothing that return stands for.
    fn ask_or<T>(
        &mut self,
        question: &str,
        usual: Option<&str>,
        accept: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Unanswered> {
        loop {
            match usual {
                Some(usual) if !usual.is_empty() => {
                    write!(self.output, "{question} [{}]: ", human::safe(usual))?;
                }
                Some(_) | None => write!(self.output, "{question}: ")?,
            }
            self.output.flush()?;
            let mut answer = Vec::new();
            if self.input.read_until(b'\n', &mut answer)? == 0 {
                self.line("")?;
                return Err(Unanswered::Ended);
            }
            let answer = String::from_utf8_lossy(&answer);
            let answer = match (answer.trim(), usual) {
                ("", None) => continue,
                ("", Some(usual)) => usual,
                (answer, _) => answer,
            };
            match accept(answer) {
                Ok(taken) => return Ok(taken),
                Err(why) => {
                    for line in why.lines() {
                        self.line(&format!("  {}", human::safe(line.trim_start())))?;
                    }
                }
            }
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.output, "{text}")
    }
}

/// The directory that `answer` names.
fn existing(answer: &str, environment: &Environment) -> Result<PathBuf, String> {
    let path = below_here(&home(answer, environment), environment);
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(path),
        Ok(_) => Err("that is no directory".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("there is no such directory".to_owned())
        }
        Err(error) => Err(format!("it cannot be looked at: {}", reason(&error))),
    }
}

/// `~` as the shell has it, which people type where no shell reads.
fn home(answer: &str, environment: &Environment) -> PathBuf {
    let rest = answer.strip_prefix('~');
    let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match rest.zip(environment.directory("HOME")) {
        Some((rest, home)) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(answer),
    }
}

/// Checks that `dir` can be watched beside those of `watch`, with this time to live.
fn sound(watch: &[String], dir: &str, ttl: &str, environment: &Environment) -> Result<(), String> {
    let mut watch = watch.to_vec();
    watch.push(format!("{dir}={ttl}"));
    let told = |error: anyhow::Error| {
        let text = error.to_string();
        text.replace("--watch ", "")
    };
    let text = draft::of(&watch, false, environment).map_err(told)?;
    judge(Path::new("/lapsed.toml"), &text, environment)
        .map(drop)
        .map_err(told)
}
