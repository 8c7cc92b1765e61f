//! `lapsed check`: validates the configuration, and says in plain words what it will do, with
//! examples from the trees.
//!
//! - `settings`: what the configuration says
//! - `findings`: what it makes of the trees as they are
//! - `object`: both for programs
//! - `warnings`: likely mistakes
//!
//! **Invariant:** nothing is written, made or locked, beyond what SQLite itself puts beside a
//! database in WAL mode that is read: it can be asked at any time, a running daemon or none.

use std::sync::Arc;

use clap::Args;

use crate::app::survey::{Findings, survey_of};
use crate::cli::context::{Context, End, WatchOptions};
use crate::cli::output::Output;
use crate::clock;
use crate::config::Settings;
use crate::core::policy::Policy;
use crate::core::time::Timestamp;
use crate::daemon::{Baseline, Fit, fit, survey};

mod findings;
mod object;
mod settings;
mod warnings;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Read only the configuration, not the trees
    #[arg(long, visible_alias = "no-examples")]
    quick: bool,
    #[command(flatten)]
    watching: WatchOptions,
}

/// All that there is to tell.
struct Report {
    settings: Settings,
    policy: Arc<Policy>,
    /// Findings in the trees, and their instant; `None` if the trees were not read.
    found: Option<(Findings, Timestamp)>,
    /// Reason why pins and API jobs are unknown.
    unread: Option<String>,
    warnings: Vec<String>,
}

/// Kind of a line, which decides its indent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A sentence of its own.
    Sentence,
    /// A finding about the sentence before.
    Finding,
    /// A path, about the finding before.
    Path,
}

/// One line for people.
type Line = (Kind, String);

pub(super) fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    let mut settings = context.settings(&arguments.watching)?;
    let (mut misfits, mut unasked) = (Vec::new(), Vec::new());
    for asked in settings.sources.values() {
        match fit(asked) {
            Fit::Fits => {}
            Fit::Unasked(why) => unasked.push(why),
            Fit::Misfit(why) => misfits.push(why),
        }
    }
    if !misfits.is_empty() {
        anyhow::bail!(misfits.join("\n"));
    }
    let policy = Arc::new(std::mem::take(&mut settings.policy));
    let (found, unread) = if arguments.quick {
        (None, None)
    } else {
        let survey = survey(&settings, &policy, Baseline::FirstStart)?;
        let now = clock::now();
        let findings = survey_of(survey.engine(), now);
        let unread = survey.unread.as_ref().map(ToString::to_string);
        (Some((findings, now.wall)), unread)
    };
    let mut warnings = std::mem::take(&mut settings.notes);
    warnings.extend(warnings::of(
        &policy,
        found.as_ref().map(|(findings, _)| findings),
    ));
    if arguments.quick {
        // Otherwise the reading tells.
        let told = unasked
            .into_iter()
            .map(|why| crate::cli::human::one_line(&why));
        warnings.extend(told.map(|why| format!("its queries were not checked: {why}")));
    }
    let report = Report {
        settings,
        policy,
        found,
        unread,
        warnings,
    };
    if context.is_json() {
        context.output.json(&object::of(&report))?;
        return Ok(End::Done);
    }
    for line in lines(&report) {
        print(&mut context.output, &line)?;
    }
    Ok(End::Done)
}

fn lines(report: &Report) -> Vec<Line> {
    let mut lines = vec![(Kind::Sentence, settings::headline(&report.settings))];
    let variables = settings::variables(&report.settings).into_iter();
    lines.extend(variables.map(|line| (Kind::Sentence, line)));
    let found = report.found.as_ref();
    for (id, sentence) in settings::sources(&report.settings, &report.policy) {
        lines.push((Kind::Sentence, sentence));
        let found = found.and_then(|(findings, _)| findings.sources.get(&id));
        lines.extend(found.into_iter().flat_map(findings::of_source));
    }
    for (id, root) in &report.policy.roots {
        lines.push((Kind::Sentence, settings::root(report, root)));
        let found = found.and_then(|(findings, _)| findings.roots.get(id));
        lines.extend(
            found
                .into_iter()
                .flat_map(|found| findings::of_root(report, root, found)),
        );
    }
    for (place, rule) in report.policy.rules.iter().enumerate() {
        lines.push((Kind::Sentence, super::describe::rule(&report.policy, rule)));
        if let Some((findings, now)) = found
            && let Some(found) = findings.rules.get(place)
        {
            lines.extend(findings::of_rule(&report.policy, rule, found, *now));
        }
    }
    let limits = found.iter().flat_map(|(findings, _)| &findings.limits);
    lines.extend(limits.map(|of| (Kind::Sentence, super::limit::excess(of))));
    let disabled = report.policy.disabled_rules.iter();
    lines.extend(disabled.map(|rule| (Kind::Sentence, settings::disabled_rule(rule))));
    let schedules = settings::schedules(&report.settings, &report.policy).into_iter();
    lines.extend(schedules.map(|line| (Kind::Sentence, line)));
    let rest = settings::rest(&report.settings, &report.policy);
    lines.extend(rest.into_iter().map(|line| (Kind::Sentence, line)));
    if let Some(why) = &report.unread {
        let line = format!("pins and jobs that were told to a daemon are not known: {why}");
        lines.push((Kind::Sentence, crate::cli::human::one_line(&line)));
    }
    let warnings = report.warnings.iter();
    lines.extend(warnings.map(|warning| (Kind::Sentence, format!("warning: {warning}"))));
    lines
}

fn print(output: &mut Output, (kind, text): &Line) -> anyhow::Result<()> {
    match kind {
        Kind::Sentence => output.paragraph(text, "", "    "),
        Kind::Finding => output.paragraph(text, "  - ", "    "),
        Kind::Path => {
            let safe = crate::cli::human::safe(text);
            let room = output
                .screen
                .width
                .map(|width| width.saturating_sub(6).max(12));
            let path = room.map_or_else(
                || safe.clone(),
                |room| crate::cli::human::fit_path(&safe, room),
            );
            output.line(&format!("      {path}"))
        }
    }
}
