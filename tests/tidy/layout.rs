//! The layout of files: heads, lengths, what a `mod.rs` holds, and which calls are left out.

use std::path::Path;
use std::process::Command;

use crate::sources::{assert_none, names, sources, sources_in};

/// Longer modules do two things.
const LINES_MAX: usize = 450;

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

/// A stray file, such as the target of a wrong redirection, is not noticed otherwise.
#[test]
fn the_top_level_is_fixed() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !repository.join(".git").exists() {
        return;
    }
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let files = String::from_utf8(listed.stdout).unwrap();
    let known = |name: &str| {
        let is_known = [
            "Cargo.toml",
            "Cargo.lock",
            "CHANGELOG.md",
            "README.md",
            "clippy.toml",
            "src",
            "benches",
            "tests",
            "config",
        ];
        is_known.contains(&name) || name.starts_with('.') || name.starts_with("LICENSE-")
    };
    let tops = files.split_terminator('\0');
    let tops = tops.filter_map(|path| path.split('/').next());
    let stray: Vec<String> = tops.filter(|top| !known(top)).map(str::to_owned).collect();
    assert_none("beside the top level", &stray);
}

#[test]
fn no_module_is_too_long_to_read() {
    let mut long = Vec::new();
    for dir in ["src", "tests", "benches"] {
        for source in sources_in(dir) {
            let lines = source.text.lines().count();
            if lines > LINES_MAX {
                long.push(format!("{dir}/{} has {lines} lines", source.name));
            }
        }
    }
    assert_none(&format!("more than {LINES_MAX} lines"), &long);
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
