//! `lapsed config schema|man|show|path`: the configuration file, and the settings in force.

use clap::{Args, Subcommand};
use serde_json::{Map, json};

use crate::cli::context::{Context, End, WatchOptions};
use crate::config::{ShownSection, effective, manual_page, path_of_file, schema_file};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Print the JSON schema of the file, for editors
    Schema,
    /// Print the manual page of the file, for man -l
    Man,
    /// Print every setting with its value and its origin
    Show(WatchOptions),
    /// Print the path of the file
    Path,
}

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.order {
        Order::Schema => context.output.line(schema_file().trim_end())?,
        Order::Man => context.output.line(manual_page().trim_end())?,
        Order::Path => path(context)?,
        Order::Show(watching) => show(context, watching)?,
    }
    Ok(End::Done)
}

fn path(context: &mut Context) -> anyhow::Result<()> {
    let overrides = context.overrides(&WatchOptions::default());
    let path = path_of_file(&overrides, &context.environment)?.unwrap_or_default();
    if context.is_json() {
        return context
            .output
            .json(&json!({ "path": path.to_string_lossy() }));
    }
    context.output.line(&path.display().to_string())
}

fn show(context: &mut Context, watching: &WatchOptions) -> anyhow::Result<()> {
    let overrides = context.overrides(watching);
    let sections = effective(&overrides, &context.environment)?;
    if context.is_json() {
        return context.output.json(&object(&sections));
    }
    for (place, section) in sections.iter().enumerate() {
        if let Some((name, are_many)) = &section.table {
            let heading = if *are_many {
                format!("[[{name}]]")
            } else {
                format!("[{name}]")
            };
            if place > 0 {
                context.output.line("")?;
            }
            context.output.line(&heading)?;
        }
        for setting in &section.settings {
            let (key, origin) = (&setting.key, &setting.origin);
            let line = match &setting.value {
                Some(value) => format!("{key} = {value}  # {origin}"),
                None => format!("# {key} is hidden  # {origin}"),
            };
            context.output.line(&crate::cli::human::safe(&line))?;
        }
    }
    Ok(())
}

/// All settings for programs: tables by name, each setting with its value in TOML and its origin.
fn object(sections: &[ShownSection]) -> serde_json::Value {
    let mut all = Map::new();
    for section in sections {
        let settings = section.settings.iter().map(|setting| {
            let value = json!({ "value": setting.value, "origin": setting.origin });
            (setting.key.clone(), value)
        });
        let settings: Map<_, _> = settings.collect();
        match &section.table {
            None => all.extend(settings),
            Some((name, false)) => drop(all.insert(name.clone(), settings.into())),
            Some((name, true)) => {
                let list = all.entry(name.clone()).or_insert_with(|| json!([]));
                list.as_array_mut()
                    .into_iter()
                    .for_each(|list| list.push(settings.clone().into()));
            }
        }
    }
    all.into()
}
