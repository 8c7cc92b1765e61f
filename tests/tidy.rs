//! The shape of the code: which way its parts depend on one another, and what none of them may have.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_push_string,
    clippy::similar_names,
    reason = "a test is the users' file system and clock, and fails where it must"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longer modules do two things.
const LINES_MAX: usize = 450;

/// What each part may use besides itself; `src/ARCHITECTURE.md` draws it.
const MAY_USE: [(&str, &[&str]); 17] = [
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "daemon", "app", "http", "types", "config", "ledger", "clock", "core", "sources",
        ],
    ),
    (
        "daemon",
        &[
            "app", "http", "types", "config", "watch", "sources", "reap", "registry", "cache",
            "fs", "ledger", "clock", "core",
        ],
    ),
    ("http", &["app", "types", "config", "clock", "core"]),
    ("app", &["types", "registry", "ledger", "clock", "core"]),
    ("types", &["registry", "ledger", "core"]),
    ("watch", &["fs", "clock", "core"]),
    ("sources", &["fs", "clock", "core"]),
    ("reap", &["fs", "ledger", "clock", "core"]),
    ("registry", &["clock", "core"]),
    ("cache", &["clock", "core"]),
    ("fs", &["core"]),
    ("ledger", &["core"]),
    ("clock", &["core"]),
    ("config", &["sources", "core"]),
    ("core", &[]),
];

/// Parts that may use a crate; others ask them for what it does.
const CRATES: [(&str, &[&str]); 9] = [
    ("axum", &["http", "cli"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("globset", &["core"]),
    ("rusqlite", &["registry", "sources"]),
    ("rustls", &["sources"]),
    ("sd_notify", &["daemon"]),
    ("sled", &["cache"]),
    ("tokio_postgres", &["config", "sources"]),
];

/// What would make `core` depend on something else than its arguments.
const NOT_IN_CORE: [&str; 13] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::thread",
    "std::process",
    "tokio",
    "rustix",
    "libc",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
];

/// Parts whose words are those of the house: plain English, and names of the trade.
const WORDED: [&str; 15] = [
    "app", "cache", "cli", "clock", "config", "core", "daemon", "fs", "http", "ledger", "reap",
    "registry", "sources", "types", "watch",
];

/// Widest comment: rustfmt does not wrap them.
const COMMENT_COLUMNS_MAX: usize = 100;

/// First words of documentation that asks instead of telling.
const QUESTIONS: [&str; 10] = [
    "What", "Whether", "Who", "Whose", "Whom", "How", "Where", "When", "Why", "Which",
];

/// Words that no name of an item may have: inventions that a search engine does not find, and
/// agents without a name.
const BANNED: [&str; 18] = [
    "lain", "heed", "mind", "hear", "told", "heard", "nobody", "somebody", "anybody", "whoever",
    "greeting", "recalled", "doomed", "ear", "bell", "unasked", "homeless", "noted",
];

struct Source {
    /// From `src`.
    name: String,
    text: String,
}

impl Source {
    /// `core` for `core/index/page.rs`, `clock` for `clock.rs`.
    fn part(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether all of it is compiled for tests only.
    fn is_test(&self) -> bool {
        let mut parts = self.name.split('/').rev();
        let file = parts.next().unwrap_or_default();
        file == "tests.rs"
            || file.ends_with("_test.rs")
            || file.ends_with("_tests.rs")
            || parts.any(|dir| dir == "tests")
    }

    /// Its lines with their numbers, without comments; items for tests only when `with_tests`.
    fn code(&self, with_tests: bool) -> impl Iterator<Item = (usize, &str)> {
        let mut in_test_item = false;
        let mut is_kept = move |line: &str| {
            let begins = line == "#[cfg(test)]";
            in_test_item |= begins;
            let is_kept = with_tests || !in_test_item;
            // As rustfmt lays it out, an item ends with the first line at the margin that ends so.
            let is_end = !line.starts_with(' ') && line.ends_with([';', '}']);
            in_test_item &= begins || !is_end;
            is_kept && !line.trim().is_empty()
        };
        let is_left_out = self.is_test() && !with_tests;
        (1..)
            .zip(self.text.lines().map(without_comment))
            .filter(move |(_, line)| !is_left_out && is_kept(line))
    }
}

/// The words that a name is made of, in lower case: `take_up`, `TakeUp` and `TAKE_UP` have two.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words
}

/// The names of items that a line of code declares.
fn declared(line: &str) -> Vec<&str> {
    const KINDS: [&str; 8] = [
        "fn", "struct", "enum", "trait", "mod", "const", "static", "type",
    ];
    let words: Vec<&str> = line
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    let pairs = words.windows(2).filter(|pair| KINDS.contains(&pair[0]));
    pairs.map(|pair| pair[1]).collect()
}

/// The line up to a comment that stands behind a space or at its begin.
fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") {
        return "";
    }
    line.find(" // ").map_or(line, |end| &line[..end])
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(dir) = open.pop() {
        let entries = std::fs::read_dir(&dir).expect("the sources are readable");
        let paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("the sources are readable").path())
            .collect();
        for path in paths {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).expect("it lies beneath");
                sources.push(Source {
                    name: name.to_str().expect("names are UTF-8").to_owned(),
                    text: std::fs::read_to_string(&path).expect("the sources are UTF-8"),
                });
            }
        }
    }
    sources.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(sources.len() > 100, "these are not all");
    sources
}

#[track_caller]
fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Whether `word` stands in `line` as a whole word.
fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

/// The parts of the crate that a piece of code names: `crate::core::…`, also in `crate::{core::…, fs}`.
fn parts_named(line: &str, crate_name: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut parts = Vec::new();
    for (at, _) in line.match_indices(&format!("{crate_name}::")) {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &line[at + crate_name.len() + 2..];
        match rest.strip_prefix('{') {
            None => parts.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut fresh = true;
                for (at, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        c if fresh && !c.is_whitespace() => {
                            parts.push(word(&list[at..]));
                            fresh = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    parts
}

#[test]
fn dependencies_point_one_way() {
    let may_use: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let part = source.part().to_owned();
        let Some(allowed) = may_use.get(part.as_str()) else {
            wrong.push(format!("{}: no place in the order is known", source.name));
            continue;
        };
        // On one line, so that a list over several lines is read as a whole.
        let code: Vec<&str> = source.code(false).map(|(_, line)| line.trim()).collect();
        let code = code.join(" ");
        let crate_name = if part == "main" { "lapsed" } else { "crate" };
        for named in parts_named(&code, crate_name) {
            let is_item_of_the_root = !may_use.contains_key(named.as_str());
            if named != part && !allowed.contains(&named.as_str()) && !is_item_of_the_root {
                wrong.push(format!("{} uses {named}", source.name));
            }
        }
    }
    assert_none("these reach upwards or sideways", &wrong);
}

#[test]
fn the_order_has_no_circle() {
    let mut left: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    while !left.is_empty() {
        let free: Vec<&str> = left
            .iter()
            .filter(|(_, uses)| uses.iter().all(|used| !left.contains_key(used)))
            .map(|(part, _)| *part)
            .collect();
        assert!(!free.is_empty(), "a circle among {:?}", left.keys());
        left.retain(|part, _| !free.contains(part));
    }
}

#[test]
fn the_core_decides_by_its_arguments_alone() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.part() == "core") {
        for (number, line) in source.code(false) {
            for word in NOT_IN_CORE {
                if names(line, word) {
                    wrong.push(format!("{}:{number} names {word}", source.name));
                }
            }
        }
    }
    assert_none("core has no I/O, no clock, no random order", &wrong);
}

#[test]
fn every_module_says_what_it_is_for() {
    let headless: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! ") && !source.text.starts_with("#![doc"))
        .map(|source| source.name)
        .collect();
    assert_none("no `//!` head", &headless);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file may be searched as well.
    let words =
        ["TO DO", "FIX ME", "XX X", "unimplemented !", "todo !"].map(|word| word.replace(' ', ""));
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            for word in &words {
                if line.contains(word.as_str()) {
                    wrong.push(format!("{}:{number} has {word}", source.name));
                }
            }
        }
    }
    assert_none("unfinished", &wrong);
}

#[test]
fn no_module_is_too_long_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), &source.name))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, name)| format!("{name} has {lines} lines"))
        .collect();
    assert_none(&format!("more than {LINES_MAX} lines"), &long);
}

#[test]
fn crates_are_used_where_they_belong() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code(false) {
            for (name, parts) in CRATES {
                let is_used = line.contains(&format!("{name}::")) && names(line, name);
                if is_used && !parts.contains(&source.part()) {
                    wrong.push(format!("{}:{number} uses {name}", source.name));
                }
            }
        }
    }
    assert_none("crates in the wrong part", &wrong);
}

/// A file that no module names is not compiled, and its tests do not run.
#[test]
fn every_integration_test_is_a_module() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let named = std::fs::read_to_string(dir.join("main.rs")).unwrap();
    let forgotten: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["main.rs", "snapshots"].contains(&name.as_str()))
        .filter(|name| !named.contains(&format!("\nmod {};", name.trim_end_matches(".rs"))))
        .collect();
    assert_none("in no module", &forgotten);
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code(false) {
            if line.contains(".unwrap()") || line.contains(".unwrap_err()") {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    assert_none("say with `expect` why it cannot fail", &wrong);
}

#[test]
fn every_expectation_names_an_invariant() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in source.code(false) {
            if line.contains(".expect(\"") && !line.contains(".expect(\"invariant: ") {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    assert_none("`expect(\"invariant: …\")` says why it cannot fail", &wrong);
}

#[test]
fn comments_fit_on_a_page() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = (1..).zip(source.text.lines());
        for (number, line) in lines.filter(|_| WORDED.contains(&source.part())) {
            let is_wide = line.chars().count() > COMMENT_COLUMNS_MAX;
            if is_wide && line.trim_start().starts_with("//") {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    let what = format!("comments of more than {COMMENT_COLUMNS_MAX} columns");
    assert_none(&what, &wrong);
}

#[test]
fn documentation_tells_and_does_not_ask() {
    let mut wrong = Vec::new();
    for source in sources() {
        let mut before = "";
        let lines = (1..).zip(source.text.lines());
        for (number, line) in lines.filter(|_| WORDED.contains(&source.part())) {
            let line = line.trim_start();
            let doc = ["/// ", "//! "]
                .iter()
                .find_map(|begin| line.strip_prefix(begin));
            let is_first = !before.starts_with("///") && !before.starts_with("//!");
            let asks = |doc: &str| {
                let first = doc.split(|c: char| !c.is_alphabetic()).next();
                first.is_some_and(|word| QUESTIONS.contains(&word))
            };
            if is_first && doc.is_some_and(asks) {
                wrong.push(format!("{}:{number}", source.name));
            }
            before = line;
        }
    }
    assert_none(
        "begin with a noun, or with a verb in the third person",
        &wrong,
    );
}

#[test]
fn names_are_words_of_the_trade() {
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| WORDED.contains(&source.part()))
    {
        for (number, line) in source.code(true) {
            for name in declared(line) {
                let words = words_of(name);
                if words.iter().any(|word| BANNED.contains(&word.as_str())) {
                    wrong.push(format!("{}:{number} declares {name}", source.name));
                }
            }
        }
    }
    assert_none("say it as the field does", &wrong);
}

#[test]
fn mod_rs_documents_and_declares() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !source.name.ends_with("mod.rs") || source.is_test() {
            continue;
        }
        for (number, line) in source.code(true) {
            if names(line, "fn") || names(line, "impl") || names(line, "struct") {
                wrong.push(format!("{}:{number}", source.name));
            }
        }
    }
    assert_none("logic in a mod.rs", &wrong);
}

#[test]
fn the_checks_find_what_they_look_for() {
    assert_eq!(
        parts_named("use crate::core::x; let y = crate::fs::Dir;", "crate"),
        ["core", "fs"]
    );
    assert_eq!(
        parts_named("use crate::{core::{a, b}, watch, reap::c};", "crate"),
        ["core", "watch", "reap"]
    );
    assert_eq!(parts_named("use mycrate::core;", "crate"), [""; 0]);
    assert_eq!(words_of("TakeUp2Pages"), ["take", "up2", "pages"]);
    assert_eq!(words_of("TOLD_MAX"), ["told", "max"]);
    assert_eq!(declared("pub(super) fn told(of: Told) {"), ["told"]);
    assert_eq!(declared("impl Iterator for Told {"), [""; 0]);
    assert!(names("use std::time::Instant;", "Instant"));
    assert!(!names("struct Instants;", "Instant"));
    let source = Source {
        name: "core/a.rs".to_owned(),
        text: "//! head\nlet a = b; // c\n#[cfg(test)]\nmod tests;\nmod d;\n#[cfg(test)]\n#[path = \"e\"]\n\
               mod e {\n    fn f() {}\n}\nuse g;\n"
            .to_owned(),
    };
    let code: Vec<_> = source.code(false).collect();
    assert_eq!(code, [(2, "let a = b;"), (5, "mod d;"), (11, "use g;")]);
    assert_eq!(source.code(true).count(), 10);
    assert_eq!(source.part(), "core");
}
