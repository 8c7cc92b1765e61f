//! Lines about the daemon and its files, as the other commands tell of them.

use super::line::{Line, Tone};
use super::model::Model;
use crate::cli::commands::history::runs;
use crate::cli::commands::status::{roots, summary, warnings};
use crate::cli::human;
use crate::cli::output::Screen;
use crate::types::{HealthState, LimitLine, Mode, Status};

/// Labels of the lines of a summary, the most important first.
const LABELS: [&str; 8] = [
    "paused", "index", "due", "removed", "next", "limit", "waiting", "schedule",
];

/// Columns of a bar.
const BAR: usize = 20;

/// The first line: the daemon, how it is, and where.
pub(super) fn headline(model: &Model) -> Line {
    let line = Line::new(" lapsed", Tone::Bold);
    let Some(status) = &model.status else {
        return line;
    };
    let mode = match status.mode {
        Mode::Live => "live",
        Mode::DryRun => "dry run: nothing is removed",
        Mode::Shadow => "shadow: nothing is removed",
        Mode::OnRequest => "on request",
    };
    let health = match (&model.absence, status.health) {
        (Some(absence), _) => {
            let since = human::time_of_day(absence.since);
            (format!("away since {since}"), Tone::Bad)
        }
        (None, health @ HealthState::Ready) => (health.to_string(), Tone::Good),
        (None, health) => (health.to_string(), Tone::Warn),
    };
    line.and(&format!(" {}  ", status.version), Tone::Plain)
        .and(&health.0, health.1)
        .and(&format!("  {mode}"), Tone::Plain)
        .and(
            &format!(
                "  up {}",
                human::span(status.uptime_s.max(1).saturating_mul(1000))
            ),
            Tone::Dim,
        )
}

/// All about the daemon, the most important first, on a screen that is `columns` wide.
pub(super) fn lines(model: &Model, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(absence) = &model.absence {
        for line in absence.why.lines() {
            lines.push(Line::new(line.trim(), Tone::Bad));
        }
    }
    let Some(status) = &model.status else {
        return lines;
    };
    let now = model.now;
    let told = warnings(status, now);
    lines.extend(
        told.iter()
            .filter(|line| !line.is_empty())
            .map(|line| Line::warn(line)),
    );
    // The first is the headline.
    let told: Vec<String> = summary(status, now).into_iter().skip(1).collect();
    let rank = |line: &&String| {
        let word = line.split_whitespace().next().unwrap_or_default();
        let known = LABELS.iter().position(|label| *label == word);
        known.unwrap_or(LABELS.len())
    };
    let mut limits = status.limits.iter();
    let mut sorted: Vec<&String> = told.iter().collect();
    sorted.sort_by_key(rank);
    let of_rank = |wanted: std::ops::Range<usize>| {
        let mut some = sorted.clone();
        some.retain(|line| wanted.contains(&rank(line)));
        some
    };
    for line in of_rank(0..LABELS.len()) {
        let line = labelled(line);
        match line.0[0].0.trim() {
            "removed" => lines.extend(removals(model, status)),
            "limit" => {
                let bar = limits.next().map_or_else(String::new, bar);
                lines.push(line.and(&bar, Tone::Dim));
            }
            _ => lines.push(line),
        }
    }
    lines.extend(table(&roots(status).render(plain(columns))));
    lines.extend(
        of_rank(LABELS.len()..LABELS.len() + 1)
            .into_iter()
            .map(|line| labelled(line)),
    );
    if !model.runs.is_empty() {
        let mut runs_table = runs::table();
        for run in &model.runs {
            runs::row(&mut runs_table, run, now, model.is_remote);
        }
        lines.extend(table(&runs_table.render(plain(columns))));
    }
    lines
}

fn plain(columns: usize) -> Screen {
    Screen {
        width: Some(columns),
        color: false,
    }
}

/// The lines of a table, whose head is bold.
fn table(text: &str) -> impl Iterator<Item = Line> {
    let tones = std::iter::once(Tone::Bold).chain(std::iter::repeat(Tone::Plain));
    let lines: Vec<Line> = text
        .lines()
        .zip(tones)
        .map(|(line, tone)| Line::new(line, tone))
        .collect();
    lines.into_iter()
}

/// A line whose first word says what it is about.
fn labelled(line: &str) -> Line {
    match line.split_once(' ') {
        Some((label, rest)) => {
            let rest = rest.trim_start();
            Line::new(&format!("{label:<9}"), Tone::Dim).and(rest, Tone::Plain)
        }
        None => Line::plain(line),
    }
}

/// `removed  1,203 files (4.8 MiB); 1,200 (4.7 MiB) in the last 60 s`, and the lateness.
fn removals(model: &Model, status: &Status) -> Vec<Line> {
    let all = &status.removed;
    let rate = model.rate.last().map_or_else(String::new, |(removed, ms)| {
        format!(
            "; {} ({}) in the last {}",
            human::count(removed.files),
            human::size(removed.bytes),
            human::span(ms)
        )
    });
    let (files, size) = (human::files(all.files), human::size(all.bytes));
    let mut lines = vec![labelled(&format!("removed {files} ({size}){rate}"))];
    let late = &status.lateness;
    if late.count > 0 {
        lines.push(labelled(&format!(
            "late {} ms in the middle, {} ms at p99, {} ms at most",
            late.p50_ms, late.p99_ms, late.max_ms
        )));
    }
    lines
}

/// `  [########------------] 41 %` of the fullest part of a limit.
fn bar(of: &LimitLine) -> String {
    let shares = [(of.bytes, of.max_size), (of.files, of.max_files)];
    let percents = shares.iter().filter_map(|(value, most)| {
        let most = most.filter(|most| *most > 0)?;
        let percent = u128::from(*value) * 100 / u128::from(most);
        usize::try_from(percent).ok()
    });
    percents.max().map_or_else(String::new, |percent| {
        let full = (percent * BAR / 100).min(BAR);
        format!(
            "  [{}{}] {percent} %",
            "#".repeat(full),
            "-".repeat(BAR - full)
        )
    })
}
