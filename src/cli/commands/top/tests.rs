//! The model and its drawing, without terminal and daemon.

use std::time::Duration;

use ratatui_core::backend::TestBackend;
use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier};
use ratatui_core::terminal::Terminal;
use unicode_width::UnicodeWidthStr;

use super::messages::{Answer, Event, Key, Kind, Request};
use super::model::{Model, Page, Prompt};
use super::view::{Theme, draw};
use crate::cli::human;
use crate::core::time::Timestamp;
use crate::types::{Entry, Files, Pin, Problem, Runs, SortBy, SortOrder, Status};

mod drawing;

const EXAMPLES: &str = include_str!("../../../http/examples.json");

/// The example of an answer in the document of the API.
fn example<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let mut all: serde_json::Value = serde_json::from_str(EXAMPLES).unwrap();
    serde_json::from_value(all[name].take()).unwrap()
}

fn start() -> Timestamp {
    human::instant("2026-11-29T07:00:00Z").unwrap()
}

fn entry(path: &str) -> Entry {
    let files: Files = example("Files");
    let mut entry = files.files[1].clone();
    entry.path.path = path.to_owned();
    entry
}

fn files(paths: &[&str], has_more: bool) -> Files {
    Files {
        files: paths.iter().map(|path| entry(path)).collect(),
        cursor: has_more.then(|| "x".to_owned()),
    }
}

/// A dashboard beside a clock that stands still unless the test moves it.
struct Desk {
    model: Model,
    now: Timestamp,
}

impl Desk {
    /// One that has asked, and got its answers.
    fn new() -> Self {
        let mut desk = Self {
            model: Model::new("/run/lapsed/lapsed.sock".to_owned(), "", start()),
            now: start(),
        };
        desk.model.take_status(example("Status"));
        let asked = desk.event(Event::Tick);
        let kinds: Vec<Kind> = asked.iter().map(Request::kind).collect();
        assert_eq!(kinds, [Kind::Runs, Kind::Files]);
        let runs: Runs = example("Runs");
        desk.answer(Answer::Runs(runs.runs));
        desk.list(&asked[1], files(&["/srv/a", "/srv/b", "/srv/c"], false));
        desk
    }

    fn event(&mut self, event: Event) -> Vec<Request> {
        self.model.update(event, self.now)
    }

    fn answer(&mut self, answer: Answer) -> Vec<Request> {
        self.event(Event::Answer(answer))
    }

    fn key(&mut self, key: Key) -> Vec<Request> {
        self.event(Event::Key(key))
    }

    fn keys(&mut self, text: &str) -> Vec<Request> {
        text.chars().flat_map(|c| self.key(Key::Char(c))).collect()
    }

    /// Lets time pass, and returns what is asked then.
    fn after(&mut self, ms: i64) -> Vec<Request> {
        self.now = self.now.plus_ms(ms);
        self.event(Event::Tick)
    }

    /// Answers `request`, which is one for files.
    fn list(&mut self, request: &Request, files: Files) -> Vec<Request> {
        self.list_after(request, files, Duration::from_millis(1))
    }

    fn list_after(&mut self, request: &Request, files: Files, took: Duration) -> Vec<Request> {
        let Request::Files { number, .. } = request else {
            panic!("{request:?}")
        };
        self.answer(Answer::Files {
            number: *number,
            files,
            took,
        })
    }

    fn draw(&self, columns: u16, rows: u16, has_color: bool) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal
            .draw(|frame| {
                draw(frame, &self.model, Theme::new(has_color));
            })
            .unwrap();
        terminal.backend().buffer().clone()
    }
}

fn query_of(request: &Request) -> &crate::types::FilesQuery {
    match request {
        Request::Files { query, .. } => query,
        other => panic!("{other:?}"),
    }
}

fn refusal(status: u16, detail: &str) -> Problem {
    let text = format!(r#"{{"status": {status}, "detail": "{detail}"}}"#);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_order_and_the_filter_are_asked_of_the_daemon() {
    let mut desk = Desk::new();
    for (key, sort, order) in [
        ('s', SortBy::Size, None),
        ('r', SortBy::Size, Some(SortOrder::Asc)),
        ('s', SortBy::Path, None),
        ('r', SortBy::Path, Some(SortOrder::Desc)),
        ('s', SortBy::Age, None),
        ('s', SortBy::Deadline, None),
    ] {
        let asked = desk.key(Key::Char(key));
        let query = query_of(&asked[0]);
        assert_eq!((query.sort, query.order), (Some(sort), order), "{key}");
        assert!(query.limit.is_some_and(|limit| limit < 300));
        desk.list(&asked[0], files(&["/srv/a"], false));
    }
    // What is typed is no command.
    assert_eq!(desk.keys("/qse rule:old"), []);
    assert_eq!(desk.key(Key::Backspace), []);
    let asked = desk.key(Key::Enter);
    let query = query_of(&asked[0]);
    assert_eq!(query.rule.as_deref(), Some("ol"));
    assert_eq!(query.glob.as_deref(), Some("{**/*qse*,**/*qse*/**}"));
    desk.list(&asked[0], files(&[], false));
    // One that is given up changes nothing.
    desk.keys("/x");
    assert_eq!(desk.key(Key::Escape), []);
    assert!(desk.model.files.filter.starts_with("qse"));
    let asked = desk.key(Key::Escape);
    assert_eq!(query_of(&asked[0]).glob, None);
    desk.list(&asked[0], files(&["/srv/a"], false));
    // One that is wrong is not asked.
    desk.keys("/size:much");
    assert_eq!(desk.key(Key::Enter), []);
    let error = desk.model.files.error.clone().unwrap();
    assert!(
        error.starts_with("size:much") && error.contains("rule:"),
        "{error}"
    );
    // One that the daemon refuses is told, and can be mended.
    desk.keys("/");
    desk.key(Key::Ctrl('u'));
    desk.keys("root:x");
    assert_eq!(desk.key(Key::Enter).len(), 1);
    desk.answer(Answer::Refused(Kind::Files, refusal(404, "no root x")));
    assert_eq!(desk.model.files.error.as_deref(), Some("no root x"));
    assert_eq!(desk.key(Key::Escape).len(), 1);
}

#[test]
fn a_file_is_pinned_and_its_pin_ended() {
    let mut desk = Desk::new();
    desk.key(Key::Down);
    desk.keys("p");
    let path = entry("/srv/b").path;
    assert!(
        matches!(&desk.model.prompt, Some(Prompt::PinFor { path: asked, .. }) if *asked == path)
    );
    // Not for a time that is none.
    desk.keys("x");
    assert_eq!(desk.key(Key::Enter), []);
    assert!(
        desk.model
            .notice()
            .unwrap()
            .text()
            .contains("give a duration")
    );
    desk.key(Key::Ctrl('w'));
    desk.keys("2d");
    let lasting = "2d".to_owned();
    assert_eq!(desk.key(Key::Enter), [Request::Pin { path, lasting }]);
    // The same order is not given twice.
    desk.keys("p");
    assert_eq!(desk.key(Key::Enter), []);
    let asked = desk.answer(Answer::Pinned(example("Pin")));
    assert_eq!(
        asked.iter().map(Request::kind).collect::<Vec<_>>(),
        [Kind::Files]
    );
    assert!(desk.model.notice().unwrap().text().starts_with("pin "));

    let mut pinned = files(&["/srv/a", "/srv/b"], false);
    pinned.files[1].pin = Some(12);
    desk.list(&asked[0], pinned);
    desk.keys("p");
    assert_eq!(desk.keys("n"), [], "it is asked for consent");
    desk.keys("p");
    assert_eq!(desk.key(Key::Enter), []);
    desk.keys("p");
    assert_eq!(desk.keys("y"), [Request::Unpin(12)]);
    desk.answer(Answer::Refused(
        Kind::Order,
        refusal(403, "permission denied"),
    ));
    assert_eq!(desk.model.notice().unwrap().text(), "permission denied");
    desk.now = desk.now.plus_ms(60_000);
    desk.model.now = desk.now;
    assert_eq!(desk.model.notice(), None, "it is old");
    let pin: Pin = example("Pin");
    assert!(desk.answer(Answer::Unpinned(pin.id)).len() > 1);
}

#[test]
fn the_list_is_asked_for_when_it_changed_and_not_more_often_than_it_costs() {
    let mut desk = Desk::new();
    let kinds = |asked: &[Request]| asked.iter().map(Request::kind).collect::<Vec<_>>();
    assert_eq!(desk.after(1000), []);
    assert_eq!(kinds(&desk.after(1000)), [Kind::Status]);
    // One question at a time.
    assert_eq!(desk.after(2000), []);
    assert_eq!(
        desk.answer(Answer::Status(example("Status"))),
        [],
        "nothing changed"
    );
    let mut changed: Box<Status> = example("Status");
    changed.removed.files += 1;
    assert_eq!(kinds(&desk.after(2000)), [Kind::Status, Kind::Runs]);
    let asked = desk.answer(Answer::Status(changed.clone()));
    assert_eq!(kinds(&asked), [Kind::Files]);
    // An answer that took a second is worth twenty.
    desk.list_after(&asked[0], files(&["/srv/a"], false), Duration::from_secs(1));
    changed.removed.files += 1;
    desk.answer(Answer::Runs(Vec::new()));
    assert_eq!(kinds(&desk.after(2000)), [Kind::Status]);
    assert_eq!(desk.answer(Answer::Status(changed)), []);
    assert!(!kinds(&desk.after(17_000)).contains(&Kind::Files));
    assert!(kinds(&desk.after(1000)).contains(&Kind::Files));
}

#[test]
fn the_selected_file_stays_selected_and_old_answers_are_not_shown() {
    let mut desk = Desk::new();
    desk.key(Key::Down);
    assert_eq!(desk.model.selected().unwrap().path.path, "/srv/b");
    let asked = desk.key(Key::Ctrl('l'));
    desk.list(&asked[0], files(&["/srv/0", "/srv/1", "/srv/b"], true));
    assert_eq!(desk.model.selected().unwrap().path.path, "/srv/b");
    let asked = desk.key(Key::Ctrl('l'));
    // Another order is wanted before the answer is there.
    assert_eq!(desk.keys("s"), []);
    let next = desk.list(&asked[0], files(&["/srv/old"], false));
    assert_eq!(desk.model.files.entries.len(), 3);
    assert_eq!(query_of(&next[0]).sort, Some(SortBy::Size));
    desk.list(&next[0], files(&["/srv/new"], false));
    assert_eq!(desk.model.selected().unwrap().path.path, "/srv/new");
    // A list that becomes shorter, and empty.
    let asked = desk.key(Key::Ctrl('l'));
    desk.list(&asked[0], files(&[], false));
    assert_eq!(desk.model.selected(), None);
    for key in [
        Key::Down,
        Key::End,
        Key::PageDown,
        Key::Enter,
        Key::Char('e'),
        Key::Char('p'),
    ] {
        assert_eq!(desk.key(key), []);
    }
}

#[test]
fn more_files_are_asked_for_when_the_user_comes_near_the_end() {
    let mut desk = Desk::new();
    let many: Vec<String> = (0..130).map(|number| format!("/srv/{number:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let asked = desk.key(Key::Ctrl('l'));
    desk.list(&asked[0], files(&many, true));
    desk.key(Key::End);
    let asked = desk.after(2500);
    let asked = asked.iter().find(|request| request.kind() == Kind::Files);
    let limit = query_of(asked.unwrap()).limit.unwrap();
    assert!((200..=1000).contains(&limit), "{limit}");
}

#[test]
fn a_daemon_that_is_away_is_asked_until_it_comes_back() {
    let mut desk = Desk::new();
    desk.after(2000);
    assert_eq!(desk.answer(Answer::Lost("no daemon".to_owned())), []);
    assert_eq!(desk.after(1000), []);
    assert_eq!(desk.after(1000), [Request::Status], "it alone");
    desk.answer(Answer::Lost("still none".to_owned()));
    let absence = desk.model.absence.clone().unwrap();
    assert_eq!(absence.since, start().plus_ms(2000));
    assert_eq!(absence.why, "still none");
    // Orders are not kept for later.
    desk.keys("p");
    assert_eq!(desk.key(Key::Enter), []);
    assert!(
        desk.model
            .notice()
            .unwrap()
            .text()
            .contains("does not answer")
    );
    // A daemon that refuses the token is away, too.
    assert_eq!(desk.after(2000), [Request::Status]);
    desk.answer(Answer::Refused(Kind::Status, refusal(401, "expired")));
    assert_eq!(desk.model.absence.as_ref().unwrap().why, "expired");
    assert_eq!(desk.after(2000), [Request::Status]);
    let asked = desk.answer(Answer::Status(example("Status")));
    assert!(desk.model.absence.is_none());
    let kinds: Vec<Kind> = asked.iter().map(Request::kind).collect();
    assert_eq!(kinds, [Kind::Runs, Kind::Files]);
}

#[test]
fn texts_are_read_and_left() {
    let mut desk = Desk::new();
    assert_eq!(desk.keys("e").len(), 1);
    assert_eq!(desk.keys("e"), [], "it is asked already");
    desk.answer(Answer::Explained(example("Explanation")));
    assert!(matches!(desk.model.page, Page::Text { .. }));
    desk.key(Key::Down);
    desk.key(Key::Escape);
    assert_eq!(desk.model.page, Page::Files);
    for (key, page) in [(Key::Tab, Page::Overview), (Key::Char('?'), Page::Help)] {
        desk.key(key);
        assert_eq!(desk.model.page, page);
        desk.key(key);
        assert_eq!(desk.model.page, Page::Files);
    }
    desk.key(Key::Enter);
    assert!(matches!(desk.model.page, Page::Text { .. }));
    assert!(!desk.model.is_over());
    desk.keys("q");
    assert!(desk.model.is_over());
    for key in [Key::Ctrl('c'), Key::Ctrl('z')] {
        let mut desk = Desk::new();
        desk.keys("/");
        desk.key(key);
        assert_eq!(desk.model.is_over(), key == Key::Ctrl('c'));
        assert_eq!(desk.model.wants_suspension(), key == Key::Ctrl('z'));
    }
}
