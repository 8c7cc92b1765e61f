//! The sources of the crate, as text.

use std::path::{Path, PathBuf};

pub struct Source {
    /// From `src`.
    pub name: String,
    pub text: String,
}

impl Source {
    /// `core` for `core/index/page.rs`, `clock` for `clock.rs`.
    pub fn part(&self) -> &str {
        let first = self.name.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether all of it is compiled for tests only.
    pub fn is_test(&self) -> bool {
        let mut parts = self.name.split('/').rev();
        let file = parts.next().unwrap_or_default();
        file == "tests.rs"
            || file.ends_with("_test.rs")
            || file.ends_with("_tests.rs")
            || parts.any(|dir| dir == "tests")
    }

    /// Its lines with their numbers, without comments; items for tests only when `with_tests`.
    pub fn code(&self, with_tests: bool) -> impl Iterator<Item = (usize, &str)> {
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

/// The line up to a comment that stands behind a space or at its begin.
fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") {
        return "";
    }
    line.find(" // ").map_or(line, |end| &line[..end])
}

/// The sources of the crate itself.
pub fn sources() -> Vec<Source> {
    sources_in("src")
}

/// The sources in the directory `dir` of the repository, named from there.
pub fn sources_in(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
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
    assert!(!sources.is_empty(), "no sources in {dir}");
    sources
}

#[track_caller]
pub fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Whether `word` stands in `line` as a whole word.
pub fn names(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part)
    })
}

#[test]
fn code_is_told_from_comments_and_tests() {
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
