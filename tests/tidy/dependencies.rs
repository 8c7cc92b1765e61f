//! Which way the parts depend on one another, and which crates they may use.

use std::collections::BTreeMap;

use crate::sources::{assert_none, names, sources};

/// What each part may use besides itself; `src/ARCHITECTURE.md` draws it.
const MAY_USE: [(&str, &[&str]); 20] = [
    ("main", &["cli"]),
    ("lib", &[]),
    (
        "cli",
        &[
            "adapter", "daemon", "app", "http", "types", "config", "ledger", "clock", "core",
            "sources", "remote",
        ],
    ),
    (
        "daemon",
        &[
            "adapter",
            "app",
            "http",
            "types",
            "config",
            "watch",
            "sources",
            "reap",
            "registry",
            "cache",
            "fs",
            "ledger",
            "clock",
            "core",
            "notifications",
        ],
    ),
    (
        "http",
        &["adapter", "app", "types", "config", "clock", "core"],
    ),
    (
        "app",
        &[
            "adapter",
            "types",
            "registry",
            "ledger",
            "clock",
            "core",
            "notifications",
        ],
    ),
    ("adapter", &["types", "clock", "core"]),
    (
        "notifications",
        &["adapter", "types", "registry", "remote", "clock", "core"],
    ),
    ("types", &["core"]),
    ("watch", &["fs", "clock", "core"]),
    ("sources", &["fs", "clock", "core"]),
    ("reap", &["fs", "ledger", "clock", "core"]),
    ("registry", &["clock", "core"]),
    ("cache", &["clock", "core"]),
    ("fs", &["core"]),
    ("ledger", &["core"]),
    ("clock", &["core"]),
    (
        "config",
        &["adapter", "notifications", "remote", "sources", "core"],
    ),
    ("remote", &[]),
    ("core", &[]),
];

/// Parts that may use a crate; others ask them for what it does.
const CRATES: [(&str, &[&str]); 16] = [
    ("axum", &["http", "cli"]),
    ("clap", &["cli"]),
    ("comfy_table", &["cli"]),
    ("crossterm", &["cli"]),
    ("getrandom", &["app"]),
    ("globset", &["core"]),
    ("jsonwebtoken", &["app", "config"]),
    ("minijinja", &["adapter"]),
    ("ratatui_core", &["cli"]),
    ("rusqlite", &["registry", "sources"]),
    ("rustls", &["http", "remote", "sources"]),
    ("sd_notify", &["daemon"]),
    ("sha2", &["app", "notifications", "reap"]),
    ("sled", &["cache"]),
    ("subtle", &["app"]),
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

#[test]
fn parts_are_found_in_imports() {
    assert_eq!(
        parts_named("use crate::core::x; let y = crate::fs::Dir;", "crate"),
        ["core", "fs"]
    );
    assert_eq!(
        parts_named("use crate::{core::{a, b}, watch, reap::c};", "crate"),
        ["core", "watch", "reap"]
    );
    assert_eq!(parts_named("use mycrate::core;", "crate"), [""; 0]);
}
