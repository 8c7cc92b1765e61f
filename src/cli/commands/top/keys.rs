//! Keys, and what they mean on each page.

use super::messages::{Key, Request};
use super::model::{Model, Page, Prompt};
use super::texts;
use crate::types::SortBy;

/// Longest text that is typed.
const TYPED_MAX: usize = 200;

/// Time for which a file is pinned if nothing else is typed.
const USUAL_PIN: &str = "7d";

/// Keys and their meaning, for people.
pub(super) const HELP: [(&str, &str); 16] = [
    ("Up Down, k j", "select a file, or scroll"),
    (
        "PgUp PgDn, Home End",
        "by a page, to the beginning, to the end",
    ),
    ("s", "sort by the next of: deadline, size, path, age"),
    ("r", "reverse the order"),
    ("/", "filter by a part of the path, a glob, or words:"),
    ("", "root:NAME rule:NAME job:ID hold:CODE status:WORD"),
    ("", "within:1h older:7d size:10M pinned orphan"),
    ("Escape", "go back; in the list, show all files again"),
    ("Enter", "details of the selected file"),
    ("e", "explain when and why it lapses"),
    ("p", "pin it for a while, or end its pin"),
    (
        "Tab",
        "all about roots, limits, holds, sources, runs, receivers",
    ),
    ("Ctrl-L", "ask for all of it now"),
    ("Ctrl-Z", "suspend, until the shell's fg"),
    ("?", "this help"),
    ("q, Ctrl-C", "quit"),
];

impl Model {
    pub(super) fn on_key(&mut self, key: Key) -> Option<Request> {
        match key {
            Key::Ctrl('c') => {
                self.is_over = true;
                return None;
            }
            Key::Ctrl('z') => {
                self.is_suspended = true;
                return None;
            }
            _ => {}
        }
        self.forget_notice();
        if let Some(prompt) = self.prompt.take() {
            return self.on_key_at_prompt(prompt, key);
        }
        match key {
            Key::Char('q') => self.is_over = true,
            Key::Char('?') => self.turn_to(Page::Help),
            Key::Tab => self.turn_to(Page::Overview),
            Key::Ctrl('l') => self.renew_list(),
            Key::Char('e') => return self.explain_selected(),
            Key::Char('p') => self.ask_for_pin(),
            _ => match self.page {
                Page::Files => self.on_key_in_list(key),
                Page::Overview | Page::Text { .. } | Page::Help => self.on_key_in_text(key),
            },
        }
        None
    }

    fn on_key_in_list(&mut self, key: Key) {
        let (rows, files) = (self.rows, &mut self.files);
        let last = files.entries.len().saturating_sub(1);
        match key {
            Key::Up | Key::Char('k') => files.selected = files.selected.saturating_sub(1),
            Key::Down | Key::Char('j') => files.selected = (files.selected + 1).min(last),
            Key::PageUp => files.selected = files.selected.saturating_sub(rows),
            Key::PageDown => files.selected = (files.selected + rows).min(last),
            Key::Home | Key::Char('g') => files.selected = 0,
            Key::End | Key::Char('G') => files.selected = last,
            Key::Char('s') => {
                files.sort = match files.sort {
                    SortBy::Deadline => SortBy::Size,
                    SortBy::Size => SortBy::Path,
                    SortBy::Path => SortBy::Age,
                    SortBy::Age => SortBy::Deadline,
                };
                files.is_reversed = false;
                self.begin_list();
            }
            Key::Char('r') => {
                files.is_reversed = !files.is_reversed;
                self.begin_list();
            }
            Key::Char('/') => self.prompt = Some(Prompt::Filter(files.filter.clone())),
            Key::Escape if !files.filter.is_empty() => {
                files.filter.clear();
                self.begin_list();
            }
            Key::Enter => {
                if let Some(entry) = self.selected() {
                    let title = entry.path.path.clone();
                    let lines = texts::details(entry, self.status.as_deref(), self.now);
                    self.show_text(title, lines);
                }
            }
            _ => {}
        }
    }

    fn on_key_in_text(&mut self, key: Key) {
        match key {
            Key::Up | Key::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(self.rows),
            Key::PageDown | Key::Char(' ') => self.scroll += self.rows,
            Key::Home | Key::Char('g') => self.scroll = 0,
            // The view knows where the last page begins.
            Key::End | Key::Char('G') => self.scroll = usize::MAX / 2,
            Key::Escape | Key::Enter | Key::Backspace => self.page = Page::Files,
            _ => {}
        }
    }

    /// Goes to `page`, or back from it.
    fn turn_to(&mut self, page: Page) {
        self.page = if self.page == page { Page::Files } else { page };
        self.scroll = 0;
    }

    /// Shows another list from its beginning.
    fn begin_list(&mut self) {
        self.files.selected = 0;
        self.files.offset = 0;
        self.renew_list();
    }

    fn ask_for_pin(&mut self) {
        let Some(entry) = self.selected() else { return };
        let path = entry.path.clone();
        self.prompt = Some(match entry.pin {
            Some(id) => Prompt::Unpin { id, path },
            None => Prompt::PinFor {
                path,
                text: USUAL_PIN.to_owned(),
            },
        });
    }

    fn on_key_at_prompt(&mut self, prompt: Prompt, key: Key) -> Option<Request> {
        match (prompt, key) {
            (Prompt::Unpin { id, .. }, Key::Char('y' | 'Y')) => self.order(Request::Unpin(id)),
            (Prompt::Unpin { .. }, _) | (_, Key::Escape) => None,
            (Prompt::Filter(text), Key::Enter) => {
                self.files.filter = text;
                self.begin_list();
                None
            }
            (Prompt::PinFor { path, text }, Key::Enter) => {
                let lasting = text.trim().to_owned();
                if crate::core::span::parse(&lasting).is_ok_and(|span| !span.is_zero()) {
                    return self.order(Request::Pin { path, lasting });
                }
                self.warn("give a duration such as 90s, 15m, 12h, 7d or 1h30m");
                self.prompt = Some(Prompt::PinFor { path, text });
                None
            }
            (Prompt::Filter(mut text), key) => {
                edit(&mut text, key);
                self.prompt = Some(Prompt::Filter(text));
                None
            }
            (Prompt::PinFor { path, mut text }, key) => {
                edit(&mut text, key);
                self.prompt = Some(Prompt::PinFor { path, text });
                None
            }
        }
    }
}

fn edit(text: &mut String, key: Key) {
    match key {
        Key::Char(c) if text.len() < TYPED_MAX => text.push(c),
        Key::Backspace => {
            text.pop();
        }
        Key::Ctrl('u') => text.clear(),
        Key::Ctrl('w') => {
            let kept = text.trim_end().rfind(' ').map_or(0, |at| at + 1);
            text.truncate(kept);
        }
        _ => {}
    }
}
