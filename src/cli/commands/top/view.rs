//! Drawing of the model.
//!
//! **Invariant:** all text goes through [`Canvas::put`], which spells out control characters.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Position, Rect};
use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::terminal::Frame;
use unicode_width::UnicodeWidthStr;

use super::keys::HELP;
use super::line::{Line, Tone, width};
use super::model::{Model, Page, Prompt, Shown};
use super::overview;
use crate::cli::commands::ls;
use crate::cli::human;
use crate::cli::output::Screen;
use crate::types::SortBy;

/// Keys, in the last line, as far as there is room.
const FOOTER: [&str; 9] = [
    "q quit",
    "? help",
    "/ filter",
    "s sort",
    "p pin",
    "e explain",
    "Enter details",
    "Tab overview",
    "r reverse",
];

/// The socket or URL is left out where it would be shorter.
const PLACE_COLUMNS_MIN: usize = 12;

/// Rows that the list has at least, and then as many as the figures above it.
const LIST_ROWS_MIN: u16 = 5;

/// Colors, if they are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    has_color: bool,
}

impl Theme {
    pub(super) const fn new(has_color: bool) -> Self {
        Self { has_color }
    }

    fn style(self, tone: Tone) -> Style {
        let (color, modifier) = match tone {
            Tone::Plain => return Style::new(),
            Tone::Dim => (None, Modifier::DIM),
            Tone::Bold => (None, Modifier::BOLD),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Warn => (Some(Color::Yellow), Modifier::empty()),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        match color.filter(|_| self.has_color) {
            Some(color) => style.fg(color),
            None => style,
        }
    }
}

/// Draws `model`, and returns what keys go by.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) -> Shown {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let Some(body_rows) = area.height.checked_sub(2).filter(|_| area.width > 0) else {
        return Shown::default();
    };
    let mut canvas = Canvas { buffer, theme };
    let head = area.rows().next().unwrap_or_default();
    headline(&mut canvas, head, model);
    let body = Rect {
        y: area.y + 1,
        height: body_rows,
        ..area
    };
    let shown = match &model.page {
        Page::Files => files_page(&mut canvas, body, model),
        Page::Overview => {
            let lines = overview::lines(model, usize::from(body.width));
            text_page(&mut canvas, body, model, &wrapped(&lines, body.width))
        }
        Page::Help => {
            let lines = HELP.iter().map(|(keys, meaning)| {
                Line::new(&format!("  {keys:<22}"), Tone::Bold).and(meaning, Tone::Plain)
            });
            text_page(&mut canvas, body, model, &lines.collect::<Vec<_>>())
        }
        Page::Text { lines, .. } => {
            let lines: Vec<Line> = lines.iter().map(|line| Line::plain(line)).collect();
            text_page(&mut canvas, body, model, &wrapped(&lines, body.width))
        }
    };
    let foot = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    if let Some(cursor) = footer(&mut canvas, foot, model) {
        frame.set_cursor_position(cursor);
    }
    shown
}

/// Buffer that is drawn on.
struct Canvas<'b> {
    buffer: &'b mut Buffer,
    theme: Theme,
}

impl Canvas<'_> {
    /// Draws as much of `line` as fits into the first row of `area`. Returns the column behind it.
    fn put(&mut self, area: Rect, line: &Line, over: Style) -> u16 {
        let mut x = area.x;
        for (text, tone) in &line.0 {
            let left = usize::from(area.right().saturating_sub(x));
            let style = self.theme.style(*tone).patch(over);
            let text = human::safe(text);
            (x, _) = self.buffer.set_stringn(x, area.y, text, left, style);
        }
        x
    }
}

fn headline(canvas: &mut Canvas<'_>, area: Rect, model: &Model) {
    let end = canvas.put(area, &overview::headline(model), Style::new());
    let time = human::time_of_day(model.now);
    let left = usize::from(area.right().saturating_sub(end));
    let Some(left) = left.checked_sub(time.len() + 3) else {
        return;
    };
    let place = match left.checked_sub(2) {
        Some(left) if left >= PLACE_COLUMNS_MIN => {
            format!("{}  ", human::fit_path(&human::safe(&model.place), left))
        }
        Some(_) | None => String::new(),
    };
    let line = Line::new(&format!("{place}{time} "), Tone::Dim);
    let columns = u16::try_from(width(&line)).unwrap_or(u16::MAX);
    let x = area.right().saturating_sub(columns).max(end);
    let width = area.right() - x;
    canvas.put(Rect { x, width, ..area }, &line, Style::new());
}

/// Figures, and below them the list.
fn files_page(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Shown {
    let lines = overview::lines(model, usize::from(area.width));
    let for_list = LIST_ROWS_MIN.max(area.height / 2) + 1;
    let room = usize::from(area.height.saturating_sub(for_list));
    let is_cut = lines.len() > room;
    let count = if is_cut {
        room.saturating_sub(1)
    } else {
        lines.len()
    };
    let mut rows = area.rows();
    for (line, row) in lines.iter().take(count).zip(&mut rows) {
        canvas.put(row, line, Style::new());
    }
    if is_cut
        && room > 0
        && let Some(row) = rows.next()
    {
        let more = format!("… {} more: Tab", lines.len() - count);
        canvas.put(row, &Line::new(&more, Tone::Dim), Style::new());
    }
    let Some(title) = rows.next() else {
        return Shown::default();
    };
    canvas.put(title, &title_of_list(model), Style::new());
    let rows: Vec<Rect> = rows.collect();
    list(canvas, &rows, model)
}

fn title_of_list(model: &Model) -> Line {
    let files = &model.files;
    let order = match (files.sort, files.is_reversed) {
        (SortBy::Deadline, false) => "lapse next",
        (SortBy::Deadline, true) => "lapse last",
        (SortBy::Size, false) => "largest first",
        (SortBy::Size, true) => "smallest first",
        (SortBy::Path, false) => "by path",
        (SortBy::Path, true) => "by path, from the end",
        (SortBy::Age, false) => "oldest first",
        (SortBy::Age, true) => "newest first",
    };
    let line = Line::new(&format!("── files, {order} "), Tone::Bold);
    let line = if files.filter.is_empty() {
        line
    } else {
        line.and(&format!("/{} ", files.filter), Tone::Warn)
    };
    let last = files.entries.len();
    let position = if last == 0 {
        String::new()
    } else {
        let more = if files.has_more { "+" } else { "" };
        format!(
            "{} of {}{more} ",
            files.selected + 1,
            human::count(last as u64)
        )
    };
    line.and(&position, Tone::Dim)
        .and(&"─".repeat(400), Tone::Dim)
}

fn list(canvas: &mut Canvas<'_>, rows: &[Rect], model: &Model) -> Shown {
    let files = &model.files;
    let Some((head, rows)) = rows.split_first() else {
        return Shown::default();
    };
    let count = rows.len();
    // The selected one is on the screen.
    let first = files.offset.min(files.selected);
    let first = first.max((files.selected + 1).saturating_sub(count));
    let first = first.min(files.entries.len().saturating_sub(count));
    let shown = Shown {
        rows: count,
        offset: first,
    };
    let message = match &files.error {
        Some(error) => Some(Line::warn(&human::one_line(error))),
        None if files.entries.is_empty() => Some(Line::new(
            if model.is_list_known() {
                "no files match"
            } else {
                "…"
            },
            Tone::Dim,
        )),
        None => None,
    };
    if let Some(message) = message {
        canvas.put(*head, &message, Style::new());
        return shown;
    }
    let mut table = ls::table();
    let entries: Vec<_> = files
        .entries
        .iter()
        .enumerate()
        .skip(first)
        .take(count)
        .collect();
    for (_, entry) in &entries {
        ls::row(&mut table, entry, model.now);
    }
    let text = table.render(Screen {
        width: Some(usize::from(head.width)),
        color: false,
    });
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    canvas.put(*head, &Line::new(title, Tone::Bold), Style::new());
    for ((line, (number, entry)), row) in lines.zip(entries).zip(rows) {
        let tone = match (&model.absence, &entry.hold, entry.pin) {
            (Some(_), _, _) => Tone::Dim,
            (None, Some(_), _) => Tone::Warn,
            (None, None, Some(_)) => Tone::Good,
            (None, None, None) => Tone::Plain,
        };
        let is_selected = number == files.selected;
        let over = if is_selected {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        let blanks = " ".repeat(usize::from(row.width).saturating_sub(line.width()));
        canvas.put(*row, &Line::new(line, tone).and(&blanks, tone), over);
    }
    shown
}

/// Lines that may be scrolled.
fn text_page(canvas: &mut Canvas<'_>, area: Rect, model: &Model, lines: &[Line]) -> Shown {
    let rows = usize::from(area.height);
    let offset = model.scroll.min(lines.len().saturating_sub(rows));
    for (line, row) in lines.iter().skip(offset).zip(area.rows()) {
        canvas.put(row, line, Style::new());
    }
    Shown { rows, offset }
}

/// Lines that fit into `columns`.
fn wrapped(lines: &[Line], columns: u16) -> Vec<Line> {
    let columns = usize::from(columns);
    let mut all = Vec::new();
    for line in lines {
        if width(line) <= columns {
            all.push(line.clone());
            continue;
        }
        let tone = line.0.last().map_or(Tone::Plain, |(_, tone)| *tone);
        let text: String = line.0.iter().map(|(text, _)| human::safe(text)).collect();
        for text in human::wrap(&text, Some(columns), "", "  ") {
            // A word that is longer than a line, such as a path.
            let mut rest = text.as_str();
            while rest.width() > columns {
                let head = human::take_columns(rest.chars(), columns);
                if head.is_empty() {
                    break;
                }
                rest = &rest[head.len()..];
                all.push(Line::new(&head, tone));
            }
            all.push(Line::new(rest, tone));
        }
    }
    all
}

/// As many keys as `width` columns hold.
fn keys_in(width: usize) -> Line {
    let mut text = String::new();
    for key in FOOTER {
        let gap = if text.is_empty() { "" } else { "  " };
        if text.len() + gap.len() + key.len() > width {
            break;
        }
        text.extend([gap, key]);
    }
    Line::new(&text, Tone::Dim)
}

/// A question, a notice, or the keys. Returns where the cursor is.
fn footer(canvas: &mut Canvas<'_>, area: Rect, model: &Model) -> Option<Position> {
    let width = usize::from(area.width);
    let shortened = |path: &str, taken: usize| {
        human::fit_path(&human::safe(path), width.saturating_sub(taken).max(8))
    };
    let notice = model.notice();
    let Some(prompt) = &model.prompt else {
        let line = notice.cloned().unwrap_or_else(|| keys_in(width));
        canvas.put(area, &line, Style::new());
        return None;
    };
    let (question, typed) = match prompt {
        Prompt::Filter(text) => ("/".to_owned(), text.as_str()),
        Prompt::PinFor { path, text } => (
            format!("pin {} for: ", shortened(&path.path, 20)),
            text.as_str(),
        ),
        Prompt::Unpin { id, path } => (
            format!(
                "end pin {id}, which holds {}? [y/N] ",
                shortened(&path.path, 40)
            ),
            "",
        ),
    };
    let line = Line::new(&question, Tone::Bold).and(typed, Tone::Plain);
    let end = canvas.put(area, &line, Style::new());
    if let Some(notice) = notice {
        let x = end.saturating_add(2).min(area.right());
        let width = area.right() - x;
        canvas.put(Rect { x, width, ..area }, notice, Style::new());
    }
    Some(Position {
        x: end.min(area.right().saturating_sub(1)),
        y: area.y,
    })
}
