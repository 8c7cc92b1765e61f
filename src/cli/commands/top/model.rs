//! State of the dashboard, and what follows from an event: no terminal, no clock, no connection.
//!
//! **Invariant:** each kind of question is under way once at most, and the list of files costs the
//! daemon at most a twentieth of its time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::line::Line;
use super::messages::{Answer, Event, Kind, Request};
use super::rate::Rate;
use super::{query, texts};
use crate::core::time::Timestamp;
use crate::types::{Entry, Files, JsonPath, Problem, Run, SortBy, SortOrder, Status};

/// Interval of the questions about the daemon, in milliseconds.
const STATUS_EVERY_MS: i64 = 2000;

/// Interval of the questions about runs.
const RUNS_EVERY_MS: i64 = 6000;

/// The list is asked for again after this time, also if nothing is known to have changed.
const FILES_EVERY_MS: i64 = 30_000;

/// An answer that took a second is asked for again after so many seconds.
const SHARE: i64 = 20;

/// Files that are listed at most: a filter or another order leads to the others.
const FILES_MAX: usize = 1000;

/// Files that are asked for beyond those on the screen, so that keys find them there.
const FILES_AHEAD: usize = 100;

/// Time for which a notice stays, in milliseconds.
const NOTICE_MS: i64 = 8000;

/// Contents of the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Page {
    /// Figures and the list of files.
    Files,
    /// All lines about the daemon.
    Overview,
    /// A text, such as an explanation.
    Text { title: String, lines: Vec<String> },
    /// Keys.
    Help,
}

/// Question to the user, in the last line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Prompt {
    /// Filter of the list.
    Filter(String),
    /// Time for which a file is pinned.
    PinFor { path: JsonPath, text: String },
    /// Consent to the end of a pin.
    Unpin { id: u64, path: JsonPath },
}

/// Daemon that cannot be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Absence {
    pub(super) since: Timestamp,
    pub(super) why: String,
}

/// The list of files.
#[derive(Debug)]
pub(super) struct FileList {
    pub(super) entries: Vec<Entry>,
    pub(super) has_more: bool,
    pub(super) selected: usize,
    /// First entry on the screen.
    pub(super) offset: usize,
    pub(super) sort: SortBy,
    pub(super) is_reversed: bool,
    /// Filter, as it was typed.
    pub(super) filter: String,
    /// Reason why the list could not be had.
    pub(super) error: Option<String>,
    /// Number of the question whose answer is wanted.
    number: u64,
    /// True if that has not been asked.
    is_new: bool,
    /// Figures of the daemon when the list was asked for.
    mark: Option<[u64; 6]>,
    asked: Timestamp,
    /// Earliest instant of the next question.
    next: Timestamp,
}

/// Figures of a drawing that keys go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Shown {
    /// Rows for files, or lines of a text.
    pub(super) rows: usize,
    /// First of them.
    pub(super) offset: usize,
}

/// State.
pub(super) struct Model {
    /// Socket or URL.
    pub(super) place: String,
    /// True if that is on another host.
    pub(super) is_remote: bool,
    pub(super) now: Timestamp,
    pub(super) status: Option<Box<Status>>,
    pub(super) runs: Vec<Run>,
    pub(super) rate: Rate,
    pub(super) files: FileList,
    pub(super) page: Page,
    /// First line of a text.
    pub(super) scroll: usize,
    pub(super) prompt: Option<Prompt>,
    pub(super) absence: Option<Absence>,
    notice: Option<(Timestamp, Line)>,
    pub(super) rows: usize,
    waits: BTreeSet<Kind>,
    next_status: Timestamp,
    next_runs: Timestamp,
    pub(super) is_over: bool,
    pub(super) is_suspended: bool,
}

impl Model {
    pub(super) fn new(place: String, filter: &str, now: Timestamp) -> Self {
        Self {
            place,
            is_remote: false,
            now,
            status: None,
            runs: Vec::new(),
            rate: Rate::default(),
            files: FileList {
                entries: Vec::new(),
                has_more: false,
                selected: 0,
                offset: 0,
                sort: SortBy::Deadline,
                is_reversed: false,
                filter: filter.to_owned(),
                error: None,
                number: 0,
                is_new: true,
                mark: None,
                asked: now,
                next: now,
            },
            page: Page::Files,
            scroll: 0,
            prompt: None,
            absence: None,
            notice: None,
            rows: FILES_AHEAD,
            waits: BTreeSet::new(),
            next_status: now,
            next_runs: now,
            is_over: false,
            is_suspended: false,
        }
    }

    /// Returns true if the user has seen enough.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Returns true once after the user asked for the shell.
    pub(super) fn wants_suspension(&mut self) -> bool {
        std::mem::take(&mut self.is_suspended)
    }

    /// Takes what the view made of it.
    pub(super) fn on_drawn(&mut self, shown: Shown) {
        self.rows = shown.rows.max(1);
        match self.page {
            Page::Files => self.files.offset = shown.offset,
            Page::Overview | Page::Text { .. } | Page::Help => self.scroll = shown.offset,
        }
    }

    /// Takes an event at `now`, and returns what is to be asked.
    pub(super) fn update(&mut self, event: Event, now: Timestamp) -> Vec<Request> {
        self.now = now;
        let mut requests = Vec::new();
        match event {
            Event::Key(key) => requests.extend(self.on_key(key)),
            Event::Resized | Event::Tick => {}
            Event::Answer(answer) => self.on_answer(answer),
        }
        requests.extend(self.questions());
        requests
    }

    /// Returns what is to be asked by now, besides what keys ask for.
    fn questions(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        let now = self.now;
        if now >= self.next_status && self.waits.insert(Kind::Status) {
            requests.push(Request::Status);
        }
        if self.absence.is_some() {
            return requests;
        }
        if now >= self.next_runs && self.waits.insert(Kind::Runs) {
            self.next_runs = now.plus_ms(RUNS_EVERY_MS);
            requests.push(Request::Runs);
        }
        let is_wanted = self.files.is_new || now >= self.files.next && self.is_list_old();
        if is_wanted && !self.waits.contains(&Kind::Files) {
            requests.extend(self.ask_for_files());
        }
        requests
    }

    fn ask_for_files(&mut self) -> Option<Request> {
        let mark = self.status.as_deref().map(mark_of);
        let (now, rows) = (self.now, self.rows);
        let files = &mut self.files;
        files.is_new = false;
        let mut query = match query::parse(&files.filter) {
            Ok(query) => query,
            Err(wrong) => {
                files.error = Some(format!("{wrong}; words: {}", query::WORDS));
                files.entries.clear();
                return None;
            }
        };
        files.mark = mark;
        files.asked = now;
        let wanted = (files.offset + rows).max(files.selected) + FILES_AHEAD;
        query.sort = Some(files.sort);
        query.order = files.is_reversed.then_some(match files.sort {
            SortBy::Age | SortBy::Size => SortOrder::Asc,
            SortBy::Deadline | SortBy::Path => SortOrder::Desc,
        });
        query.limit = Some(wanted.min(FILES_MAX) as u64);
        let query = Box::new(query);
        self.waits.insert(Kind::Files);
        Some(Request::Files {
            number: self.files.number,
            query,
        })
    }

    /// Returns true if the daemon has said which files match.
    pub(super) fn is_list_known(&self) -> bool {
        !self.files.is_new && !self.waits.contains(&Kind::Files)
    }

    /// Returns true if the list may be another one by now.
    fn is_list_old(&self) -> bool {
        let files = &self.files;
        let is_past = |entry: &Entry| {
            let at = entry
                .lapses_at
                .as_deref()
                .and_then(crate::cli::human::instant);
            at.is_some_and(|at| at <= self.now && entry.hold.is_none())
        };
        self.now.ms_since(files.asked) >= FILES_EVERY_MS
            || files.mark != self.status.as_deref().map(mark_of)
            || files.entries.iter().any(is_past)
            || (files.has_more
                && files.entries.len() < FILES_MAX
                && files.selected + self.rows >= files.entries.len())
    }

    /// Wants the list anew, as one of another order or filter.
    pub(super) fn renew_list(&mut self) {
        self.files.number += 1;
        self.files.is_new = true;
        self.files.error = None;
    }

    pub(super) fn take_status(&mut self, status: Box<Status>) {
        self.next_status = self.now.plus_ms(STATUS_EVERY_MS);
        self.rate.add(self.now, status.removed);
        if self.absence.take().is_some() {
            self.notify("the daemon answers again");
            self.renew_list();
        }
        self.status = Some(status);
    }

    fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Status(status) => {
                self.waits.remove(&Kind::Status);
                self.take_status(status);
            }
            Answer::Runs(runs) => {
                self.waits.remove(&Kind::Runs);
                self.runs = runs;
            }
            Answer::Files {
                number,
                files,
                took,
            } => self.take_files(number, files, took),
            Answer::Explained(explanation) => {
                self.waits.remove(&Kind::Explain);
                let lines = texts::explanation(&explanation);
                self.show_text(explanation.path.path.clone(), lines);
            }
            Answer::Pinned(pin) => {
                self.waits.remove(&Kind::Order);
                self.notify(&texts::pinned(&pin, self.now));
                self.renew_list();
            }
            Answer::Unpinned(id) => {
                self.waits.remove(&Kind::Order);
                self.notify(&format!("pin {id} is removed"));
                self.renew_list();
            }
            Answer::Refused(kind, problem) => self.on_refusal(kind, &problem),
            Answer::Lost(why) => {
                self.waits.clear();
                self.next_status = self.now.plus_ms(STATUS_EVERY_MS);
                self.lose(why);
            }
        }
    }

    fn take_files(&mut self, number: u64, answer: Files, took: Duration) {
        self.waits.remove(&Kind::Files);
        let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        let pause = took_ms.saturating_mul(SHARE).max(STATUS_EVERY_MS);
        let files = &mut self.files;
        files.next = self.now.plus_ms(pause);
        if number != files.number {
            return;
        }
        let selected = files
            .entries
            .get(files.selected)
            .map(|entry| entry.path.clone());
        let again = selected.and_then(|path| {
            let mut found = answer.files.iter();
            // The first stays the first: who watches it wants to see what lapses next.
            found
                .position(|entry| entry.path == path)
                .filter(|_| files.selected > 0)
        });
        files.error = None;
        files.has_more = answer.cursor.is_some();
        files.entries = answer.files;
        let last = files.entries.len().saturating_sub(1);
        files.selected = again.unwrap_or(files.selected).min(last);
    }

    fn on_refusal(&mut self, kind: Kind, problem: &Problem) {
        self.waits.remove(&kind);
        match kind {
            Kind::Files => {
                self.files.error = Some(problem.to_string());
                self.files.entries.clear();
                self.files.next = self.now.plus_ms(STATUS_EVERY_MS);
            }
            Kind::Status => {
                self.next_status = self.now.plus_ms(STATUS_EVERY_MS);
                self.lose(problem.to_string());
            }
            Kind::Runs => self.runs.clear(),
            Kind::Explain | Kind::Order => self.warn(&problem.to_string()),
        }
    }

    fn lose(&mut self, why: String) {
        let since = self
            .absence
            .take()
            .map_or(self.now, |absence| absence.since);
        self.absence = Some(Absence { since, why });
    }

    /// The selected file.
    pub(super) fn selected(&self) -> Option<&Entry> {
        self.files.entries.get(self.files.selected)
    }

    pub(super) fn explain_selected(&mut self) -> Option<Request> {
        let path = self.selected()?.path.clone();
        self.waits
            .insert(Kind::Explain)
            .then_some(Request::Explain(path))
    }

    pub(super) fn order(&mut self, request: Request) -> Option<Request> {
        if self.absence.is_some() {
            self.warn("the daemon does not answer");
            return None;
        }
        self.waits.insert(Kind::Order).then_some(request)
    }

    pub(super) fn show_text(&mut self, title: String, lines: Vec<String>) {
        self.page = Page::Text { title, lines };
        self.scroll = 0;
    }

    pub(super) fn notify(&mut self, text: &str) {
        self.notice = Some((self.now, Line::good(text)));
    }

    pub(super) fn warn(&mut self, text: &str) {
        self.notice = Some((self.now, Line::warn(&crate::cli::human::one_line(text))));
    }

    /// Says nothing more about what was.
    pub(super) fn forget_notice(&mut self) {
        self.notice = None;
    }

    /// The last notice, as long as it is new.
    pub(super) fn notice(&self) -> Option<&Line> {
        let (at, line) = self.notice.as_ref()?;
        (0..NOTICE_MS)
            .contains(&self.now.ms_since(*at))
            .then_some(line)
    }
}

/// Figures that change when the list does.
fn mark_of(status: &Status) -> [u64; 6] {
    [
        status.entries,
        status.bytes,
        status.removed.files,
        status.watches.events,
        status.pins,
        status.holds.iter().map(|held| held.count).sum(),
    ]
}
