//! Contents of the screen.

use super::*;

/// Lines of the screen, without the clock of this host.
fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|cells| {
        let line: String = cells
            .iter()
            .map(ratatui_core::buffer::Cell::symbol)
            .collect();
        line.trim_end().to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace(&human::time_of_day(start()), "HH:MM:SS")
}

fn busy() -> Desk {
    let mut desk = Desk::new();
    let mut status: Box<Status> = example("Status");
    // It is told by the clock of this host.
    status.pauses.clear();
    status.removed.files += 1200;
    status.removed.bytes += 5_000_000;
    status.holds = serde_json::from_str(
        r#"[{"code": "open", "count": 12, "why": "somebody has it open", "example": "/srv/a"}]"#,
    )
    .unwrap();
    status.limits = serde_json::from_str(
        r#"[{"root": "cache", "rule": "cache", "owner": null, "state": "met", "files": 10,
            "max_files": 1000, "bytes": 450, "max_size": 1000, "down_to": null, "min_free": null,
            "free": null, "min_free_inodes": null, "free_inodes": null, "hold": null}]"#,
    )
    .unwrap();
    let mut next = entry("/srv/app/results/job-43/mesh.obj");
    next.hold = Some("open".to_owned());
    desk.model.files.entries[1] = next;
    desk.model.files.entries[2].pin = Some(4);
    desk.now = start().plus_ms(20_000);
    desk.model.now = desk.now;
    desk.model.take_status(status);
    desk.now = start();
    desk.model.now = desk.now;
    desk
}

#[test]
fn a_usual_terminal() {
    insta::assert_snapshot!(text(&busy().draw(80, 24, true)));
}

#[test]
fn a_wide_terminal() {
    insta::assert_snapshot!(text(&busy().draw(130, 36, true)));
}

#[test]
fn a_narrow_terminal() {
    insta::assert_snapshot!(text(&busy().draw(40, 12, true)));
}

#[test]
fn a_daemon_that_is_away() {
    let mut desk = busy();
    desk.answer(Answer::Lost(
        "no daemon listens on socket \"/s\"\n  start it".to_owned(),
    ));
    insta::assert_snapshot!(text(&desk.draw(80, 20, true)));
}

/// Paths of somebody who wants to speak to the terminal.
const HOSTILE: [&str; 8] = [
    "/srv/\u{1b}[2J\u{1b}[31mred",
    "/srv/\u{9b}31m\u{7}\u{8}\r\n\t",
    "/srv/\u{202e}gpj.exe\u{2066}\u{61c}",
    "/srv/\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt",
    "/srv/\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}.txt",
    "/srv/e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{200d}\u{200b}\u{feff}",
    "/srv/\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{1f3fd}",
    "\u{fffd}",
];

#[test]
fn every_size_is_drawn_and_no_name_speaks_to_the_terminal() {
    let mut desk = busy();
    let asked = desk.key(Key::Ctrl('l'));
    desk.list(&asked[0], files(&HOSTILE, true));
    let mut status: Box<Status> = example("Status");
    status.roots[0].name = HOSTILE[0].to_owned();
    status.roots[0].path.path = HOSTILE[1].to_owned();
    status.roots[1].why = Some(HOSTILE[2].to_owned());
    desk.model.take_status(status);
    let screens = |desk: &mut Desk| {
        for page in ["", "/", "p", "\t", "?", "e", "\n"] {
            for c in page.chars() {
                desk.key(match c {
                    '\t' => Key::Tab,
                    '\n' => Key::Enter,
                    c => Key::Char(c),
                });
            }
            if page == "e" {
                let mut explanation: Box<crate::types::Explanation> = example("Explanation");
                explanation.text = HOSTILE.map(str::to_owned).to_vec();
                desk.answer(Answer::Explained(explanation));
            }
            for (columns, rows) in (0..90).map(|n| (n, 24)).chain((0..40).map(|n| (61, n))) {
                let buffer = desk.draw(columns, rows, true);
                for cell in &buffer.content {
                    let symbol = cell.symbol();
                    let is_plain = |c: char| {
                        !c.is_control() && human::safe(&c.to_string()).len() == c.len_utf8()
                    };
                    assert!(symbol.chars().all(is_plain), "{symbol:?}");
                    assert!(symbol.width() <= 2, "{symbol:?}");
                }
            }
            desk.key(Key::Escape);
        }
    };
    for selected in 0..HOSTILE.len() {
        desk.model.files.selected = selected;
        screens(&mut desk);
    }
}

#[test]
fn the_selected_file_is_on_the_screen_wherever_it_is() {
    let mut desk = Desk::new();
    let many: Vec<String> = (0..200).map(|number| format!("/srv/{number:03}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let asked = desk.key(Key::Ctrl('l'));
    desk.list(&asked[0], files(&many, false));
    for key in [
        Key::PageDown,
        Key::Down,
        Key::End,
        Key::Up,
        Key::PageUp,
        Key::Home,
    ] {
        desk.key(key);
        let buffer = desk.draw(80, 24, false);
        let path = &desk.model.selected().unwrap().path.path;
        let drawn = text(&buffer);
        let row = drawn.lines().position(|line| line.ends_with(path.as_str()));
        let row = row.unwrap_or_else(|| panic!("{path} is not on\n{drawn}"));
        let cell = &buffer[(0, u16::try_from(row).unwrap())];
        assert!(cell.modifier.contains(Modifier::REVERSED), "{path}");
    }
}

#[test]
fn color_is_used_only_where_it_is_wanted() {
    let desk = busy();
    let has_color = |buffer: &Buffer| {
        let plain = [Color::Reset, Color::Reset];
        buffer
            .content
            .iter()
            .any(|cell| [cell.fg, cell.bg] != plain)
    };
    assert!(has_color(&desk.draw(80, 24, true)));
    assert!(!has_color(&desk.draw(80, 24, false)));
}
