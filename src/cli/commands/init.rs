//! `lapsed init`: writes an annotated configuration, from a preset, from directories that are
//! named, or from a few questions.
//!
//! - `presets`: those that are embedded, and the directory that is put into one
//! - `draft`: a configuration for directories that are named
//! - `text`: values as TOML spells them
//! - `questions`: what a terminal is asked
//! - `shims`: scripts in the place of an older system's
//! - `file`: writing, without ever losing what was there
//!
//! **Invariant:** what is written was loaded and found sound; only what hangs on the environment or
//! on directories to come is left to hints.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use serde_json::json;

use crate::cli::context::{Context, End};
use crate::cli::human;
use crate::config::{
    ANNOTATED_DEFAULT, Environment, Overrides, Settings, load_text, place_for_new,
};

mod draft;
mod file;
pub(super) mod presets;
mod questions;
pub(super) mod shims;
pub(super) mod text;

use super::takeover::held_back;
use presets::Preset;
use shims::{Baked, Placed, ShimError};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what"))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(in crate::cli) struct Arguments {
    /// Write the configuration for a system of this kind
    #[arg(long, value_name = "NAME", group = "what", value_parser = PossibleValuesParser::new(presets::names()))]
    preset: Option<String>,
    /// Watch PATH, with files lapsing after TTL (repeatable)
    #[arg(long, value_name = "PATH=TTL", group = "what")]
    watch: Vec<String>,
    /// Write every setting with its default and explanation
    #[arg(long, group = "what")]
    all: bool,
    /// List the presets
    #[arg(long, group = "what", conflicts_with_all = ["output", "force", "base_dir"])]
    list: bool,
    /// Resolve relative paths of the preset below DIR
    #[arg(long, value_name = "DIR", conflicts_with_all = ["watch", "all"])]
    base_dir: Option<PathBuf>,
    /// Put scripts under the names of the system's into DIR
    #[arg(long, value_name = "DIR", requires = "preset")]
    shims: Option<PathBuf>,
    /// Write to FILE, or - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one, and keep it as FILE~
    #[arg(long)]
    force: bool,
    /// Allow /, home directories and the like as roots
    #[arg(long, requires = "watch")]
    allow_unsafe_roots: bool,
}

/// Content to write.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Wanted {
    /// A preset, for what lies below a directory (`None`: as the preset says).
    Preset(&'static Preset, Option<PathBuf>),
    /// Directories, each with a time to live: `PATH=TTL`.
    Watch(Vec<String>),
    /// Every setting.
    All,
}

/// Destination.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Stdout,
    /// An absolute path.
    File(PathBuf),
}

/// A configuration that can be written.
struct Sound {
    text: String,
    /// Things that still have to be made.
    hints: Vec<String>,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    if arguments.list {
        list(context)?;
        return Ok(End::Done);
    }
    let mut place = arguments
        .output
        .as_ref()
        .map(|path| place(path, &context.environment));
    let wanted = match wanted(arguments)? {
        Some(wanted) => wanted,
        None if context.is_json() || !questions::can_be_asked() => bail!(
            "there is nothing to write a configuration from\n  give --preset NAME (--list names them) or --watch PATH=TTL; on a \
             terminal `lapsed init` asks"
        ),
        None => {
            let usual = usual_place(context)?;
            let (wanted, file) = questions::ask(
                (&context.environment, context.output.screen.width),
                arguments.base_dir.as_deref(),
                place.is_none().then_some(&*usual),
                arguments.force,
            )?;
            place = place.or(file.map(Place::File));
            wanted
        }
    };
    let place = match (place, &wanted) {
        (Some(place), _) => place,
        // It is for reading.
        (None, Wanted::All) => Place::Stdout,
        (None, Wanted::Preset(..) | Wanted::Watch(_)) => Place::File(usual_place(context)?),
    };
    if let Place::File(path) = &place
        && !arguments.force
    {
        file::refuse_to_replace(path)?;
    }
    check_shims(arguments, &wanted, &place)?;
    let sound = compose(
        (&wanted, arguments.shims.is_some()),
        &place,
        arguments.allow_unsafe_roots,
        &context.environment,
    )?;
    match place {
        Place::Stdout => print(context, &sound)?,
        Place::File(path) => {
            let kept = if arguments.force {
                file::replace(&path, &sound.text)?
            } else {
                file::create(&path, &sound.text)?;
                None
            };
            let placed = install_shims(arguments, &wanted, &path)?;
            let written = Written {
                path: &path,
                kept: kept.as_deref(),
                shims: &placed,
            };
            tell(context, &wanted, &sound, &written)?;
        }
    }
    Ok(End::Done)
}

/// Refuses scripts that could not be written, before anything is.
fn check_shims(arguments: &Arguments, wanted: &Wanted, place: &Place) -> anyhow::Result<()> {
    let (Some(dir), Wanted::Preset(preset, _)) = (&arguments.shims, wanted) else {
        return Ok(());
    };
    if preset.shims.is_empty() {
        bail!("the preset \"{}\" has no scripts", preset.name);
    }
    if *place == Place::Stdout {
        bail!("scripts need a configuration that is a file\n  write it to one: --output FILE");
    }
    Ok(shims::check(dir, &preset.shims)?)
}

/// Writes the scripts that were asked for, which use the configuration at `config`.
fn install_shims(
    arguments: &Arguments,
    wanted: &Wanted,
    config: &Path,
) -> anyhow::Result<Vec<Placed>> {
    let (Some(dir), Wanted::Preset(preset, _)) = (&arguments.shims, wanted) else {
        return Ok(Vec::new());
    };
    let binary = std::env::current_exe()?;
    let utf8 = |path: &Path| -> Result<String, ShimError> {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| ShimError::NotUtf8(format!("{:?}", path.to_string_lossy())))
    };
    let (binary, config) = (utf8(&binary)?, utf8(config)?);
    let baked = Baked {
        binary: &binary,
        config: &config,
    };
    Ok(shims::install(dir, &preset.shims, baked)?)
}

fn wanted(arguments: &Arguments) -> anyhow::Result<Option<Wanted>> {
    if arguments.all {
        return Ok(Some(Wanted::All));
    }
    if !arguments.watch.is_empty() {
        return Ok(Some(Wanted::Watch(arguments.watch.clone())));
    }
    let Some(name) = &arguments.preset else {
        return Ok(None);
    };
    let Some(preset) = presets::named(name) else {
        bail!("there is no preset \"{name}\"");
    };
    Ok(Some(Wanted::Preset(preset, arguments.base_dir.clone())))
}

/// Path at which the daemon looks for the file.
fn usual_place(context: &Context) -> anyhow::Result<PathBuf> {
    let overrides = context.overrides(&crate::cli::context::WatchOptions::default());
    Ok(place_for_new(&overrides, &context.environment)?)
}

fn place(output: &Path, environment: &Environment) -> Place {
    if output == Path::new("-") {
        return Place::Stdout;
    }
    Place::File(below_here(output, environment))
}

/// `path` as it is meant by who types it: below the current directory.
fn below_here(path: &Path, environment: &Environment) -> PathBuf {
    let here = environment.current_dir.as_deref().unwrap_or(Path::new("/"));
    here.join(path).components().collect()
}

fn list(context: &mut Context) -> anyhow::Result<()> {
    let widest = presets::ALL.iter().map(|preset| preset.name.len()).max();
    for preset in &*presets::ALL {
        let description = preset.description();
        if context.is_json() {
            let line = json!({"name": preset.name, "description": description});
            context.output.json(&line)?;
        } else {
            let width = widest.unwrap_or(0);
            let line = format!("{:width$}  {description}", preset.name);
            context
                .output
                .paragraph(&line, "", &" ".repeat(width + 2))?;
        }
    }
    Ok(())
}

/// The text that is wanted, found sound as the file at `place`.
fn compose(
    (wanted, has_shims): (&Wanted, bool),
    place: &Place,
    allow_unsafe_roots: bool,
    environment: &Environment,
) -> anyhow::Result<Sound> {
    let text = match wanted {
        Wanted::All => ANNOTATED_DEFAULT.to_owned(),
        Wanted::Watch(watch) => draft::of(watch, allow_unsafe_roots, environment)?,
        Wanted::Preset(preset, None) => preset.text.to_owned(),
        Wanted::Preset(preset, Some(dir)) => {
            presets::with_base_dir(preset.text, &below_here(dir, environment))?
        }
    };
    // The scripts go on being called, until the daemon takes over.
    let text = if has_shims { held_back(&text) } else { text };
    let path = match place {
        Place::Stdout => below_here(Path::new("lapsed.toml"), environment),
        Place::File(path) => path.clone(),
    };
    let (settings, mut hints) = match (judge(&path, &text, environment), wanted) {
        (Ok(judged), _) => judged,
        (Err(mistakes), Wanted::Preset(_, None)) => {
            bail!("{mistakes}\n  if that is not where its files lie, say where: --base-dir DIR")
        }
        (Err(mistakes), Wanted::Preset(_, Some(_)) | Wanted::Watch(_) | Wanted::All) => {
            return Err(mistakes);
        }
    };
    let base = settings.as_ref().map(|settings| &*settings.base_dir);
    match (wanted, base) {
        (Wanted::Preset(_, Some(dir)), Some(base)) if below_here(dir, environment) != base => {
            hints.push(format!(
                "here the environment says that its files lie below \"{}\", which goes before --base-dir",
                base.display()
            ));
        }
        (Wanted::Preset(_, None), Some(base)) if !hints.is_empty() => hints.push(format!(
            "what has no other place lies below \"{}\"; --base-dir DIR says another place",
            base.display()
        )),
        (Wanted::Preset(..) | Wanted::Watch(_) | Wanted::All, _) => {}
    }
    Ok(Sound { text, hints })
}

/// Loads `text` as the file at `path` will be. What is wrong with it is an error; what is wrong
/// with the environment it is loaded in is a hint, and then there are no settings; so are
/// directories that are not there yet.
fn judge(
    path: &Path,
    text: &str,
    environment: &Environment,
) -> anyhow::Result<(Option<Settings>, Vec<String>)> {
    let load =
        |environment: &Environment| load_text(path, text, &Overrides::default(), environment);
    let error = match load(environment) {
        Ok(settings) => {
            let hints = absences(&settings);
            return Ok((Some(settings), hints));
        }
        Err(error) => error,
    };
    // Whether it is the environment's fault shows in one without anything.
    let places = ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"];
    let mut bare = environment.clone();
    bare.vars
        .retain(|name, _| places.iter().any(|place| name == place));
    match load(&bare) {
        Err(own) if !own.is_of_unset_variables() => Err(own.into()),
        Ok(_) | Err(_) => Ok((None, vec![error.to_string()])),
    }
}

fn absences(settings: &Settings) -> Vec<String> {
    let roots = settings.policy.roots.values();
    let absent = roots.filter(|root| !root.path.is_dir());
    let hint = |root: &crate::core::policy::Root| {
        format!(
            "root \"{}\": \"{}\" is not there yet and is waited for",
            root.name,
            root.path.display()
        )
    };
    absent.map(hint).collect()
}

fn print(context: &mut Context, sound: &Sound) -> anyhow::Result<()> {
    if context.is_json() {
        let object = json!({"file": null, "text": sound.text, "hints": sound.hints});
        return context.output.json(&object);
    }
    context.output.bytes(sound.text.as_bytes())?;
    // Not into what may be on its way into a file.
    for hint in &sound.hints {
        for line in hint.lines() {
            eprintln!("hint: {}", human::safe(line.trim_start()));
        }
    }
    Ok(())
}

/// Files that were written.
struct Written<'a> {
    /// The configuration.
    path: &'a Path,
    /// Path of an older one.
    kept: Option<&'a Path>,
    /// Scripts.
    shims: &'a [Placed],
}

fn tell(
    context: &mut Context,
    wanted: &Wanted,
    sound: &Sound,
    written: &Written<'_>,
) -> anyhow::Result<()> {
    let (path, kept) = (written.path, written.kept);
    let file = text::for_shell(&path.to_string_lossy());
    let steps = [
        ("check", "", "what it will do, with examples from the tree"),
        (
            "serve",
            " --dry-run",
            "watches, counts and tells, removes nothing",
        ),
        ("serve", "", "lets lapse what is due"),
    ];
    let command =
        |(name, option, _): (&str, &str, &str)| format!("lapsed {name} --config {file}{option}");
    let output = &mut context.output;
    if output.format == crate::cli::output::Format::Json {
        let preset = match wanted {
            Wanted::Preset(preset, _) => Some(preset.name),
            Wanted::Watch(_) | Wanted::All => None,
        };
        return output.json(&json!({
            "file": path.to_string_lossy(),
            "preset": preset,
            "kept": kept.map(Path::to_string_lossy),
            "shims": written.shims.iter().map(|shim| json!({
                "path": shim.path.to_string_lossy(),
                "kept": shim.kept.as_ref().map(|kept| kept.to_string_lossy()),
            })).collect::<Vec<_>>(),
            "hints": sound.hints,
            "next": steps.map(command),
        }));
    }
    let kept = kept.map_or_else(String::new, |kept| {
        format!("; what was there is kept as \"{}\"", kept.display())
    });
    let line = format!("wrote \"{}\"{kept}", path.display());
    output.paragraph(&line, "", "  ")?;
    for shim in written.shims {
        let original = shim.kept.as_ref().map_or_else(String::new, |kept| {
            format!("; the original is kept as \"{}\"", kept.display())
        });
        let line = format!("wrote \"{}\"{original}", shim.path.display());
        output.paragraph(&line, "", "  ")?;
    }
    for hint in &sound.hints {
        for line in format!("hint: {hint}").lines() {
            output.paragraph(line.trim_start(), "", "  ")?;
        }
    }
    output.line("")?;
    output.line("next:")?;
    for step in steps {
        // To be copied, so never broken.
        output.line(&format!("  {}", human::safe(&command(step))))?;
        output.paragraph(step.2, "      ", "      ")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
