//! Imports between the files of a part run in no circle.
//!
//! An import is a `use` of another file of the same part, outside of tests. What a `pub use` hands
//! on is none: a `mod.rs` declares its files and does not need them.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Source, assert_none, sources};

/// The files that each file imports, by the names of their modules: `core/index/page`.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn module_of(file: &str) -> &str {
    let module = file.strip_suffix(".rs").unwrap_or(file);
    module.strip_suffix("/mod").unwrap_or(module)
}

/// The paths that the `use` lines of a piece of code name, without those of `pub use`.
fn used_paths(source: &Source) -> Vec<String> {
    let mut paths = Vec::new();
    let mut statement: Option<String> = None;
    for (_, line) in source.code(false) {
        let line = line.trim();
        let text = match (&mut statement, line.strip_prefix("use ")) {
            (Some(begun), _) => std::mem::take(begun) + line,
            (None, Some(begin)) => begin.to_owned(),
            (None, None) => continue,
        };
        match text.split_once(';') {
            Some((tree, _)) => paths.extend(expanded(tree)),
            None => statement = Some(text),
        }
        if line.contains(';') {
            statement = None;
        }
    }
    paths
}

/// The paths of a tree: `a::{b, c::{d, e}}` has `a::b`, `a::c::d` and `a::c::e`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, list)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let list = list.strip_suffix('}').expect("a list ends");
    let mut depth = 0;
    let branches = list.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    branches
        .filter(|branch| !branch.trim().is_empty())
        .flat_map(expanded)
        .map(|path| format!("{before}{path}"))
        .collect()
}

/// The file that `path` names an item of, in the code of `module`: the longest part of the path
/// that is a file.
fn file_used(path: &str, module: &str, files: &BTreeSet<&str>) -> Option<String> {
    let mut base: Vec<&str> = module.split('/').collect();
    let mut segments = path.split("::").peekable();
    match *segments.peek()? {
        "crate" => {
            base.clear();
            segments.next();
        }
        "super" | "self" => {
            segments.next_if_eq(&"self");
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => return None,
    }
    base.extend(segments);
    let names = (1..=base.len())
        .rev()
        .map(|length| base[..length].join("/"));
    names.into_iter().find(|name| files.contains(name.as_str()))
}

fn imports(sources: &[Source]) -> Imports {
    let tested = || sources.iter().filter(|source| !source.is_test());
    let files: BTreeSet<&str> = tested().map(|source| module_of(&source.name)).collect();
    let mut imports = Imports::new();
    for source in tested() {
        let module = module_of(&source.name);
        let part = |file: &str| file.split('/').next().map(str::to_owned);
        let used = used_paths(source)
            .iter()
            .filter_map(|path| file_used(path, module, &files))
            .filter(|used| used != module && part(used) == part(module))
            .collect();
        imports.insert(module.to_owned(), used);
    }
    imports
}

/// All files that `file` imports, and those that these import.
fn reach<'a>(imports: &'a Imports, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = vec![file];
    while let Some(used) = open.pop().and_then(|file| imports.get(file)) {
        open.extend(
            used.iter()
                .map(String::as_str)
                .filter(|used| reached.insert(*used)),
        );
    }
    reached
}

/// The groups of files each of which reaches all others of its group.
fn circles(imports: &Imports) -> BTreeSet<Vec<&str>> {
    let reaches: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (file.as_str(), reach(imports, file)))
        .collect();
    let groups = reaches.iter().map(|(file, reached)| {
        let is_mutual =
            |other: &&&str| reaches.get(**other).is_some_and(|back| back.contains(file));
        reached.iter().filter(is_mutual).copied().collect()
    });
    groups
        .filter(|group: &Vec<&str>| !group.is_empty())
        .collect()
}

#[test]
fn files_of_a_part_import_one_another_in_no_circle() {
    let imports = imports(&sources());
    let found: Vec<String> = circles(&imports)
        .iter()
        .map(|group| group.join(", "))
        .collect();
    assert_none("these import one another in a circle", &found);
}

#[test]
fn circles_are_found() {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        expanded("crate::a::{b, c::{self, d},\n e::F}"),
        [
            "crate::a::b",
            "crate::a::c::self",
            "crate::a::c::d",
            "crate::a::e::F"
        ]
    );
    let part = [
        source("a/mod.rs", "mod b;\nmod c;\nmod d;\npub use b::B;\n"),
        // Through a list over several lines, and the name of an item.
        source(
            "a/b.rs",
            "use super::{\n    c::{C, D},\n    e,\n};\nuse crate::z::Z;\n",
        ),
        source("a/c.rs", "fn f() {\n    use crate::a::d::D;\n}\n"),
        source(
            "a/d.rs",
            "use super::B;\nuse super::b::B;\n#[cfg(test)]\nuse super::e::E;\n",
        ),
        source("a/e.rs", "use super::d::D;\npub(super) use super::b::B;\n"),
        source("a/tests.rs", "use super::b::B;\n"),
        source("z.rs", "use crate::a::b::B;\n"),
    ];
    let imports = imports(&part);
    assert_eq!(
        imports["a/b"],
        BTreeSet::from(["a/c".to_owned(), "a/e".to_owned()])
    );
    assert_eq!(
        imports["a/d"],
        BTreeSet::from(["a".to_owned(), "a/b".to_owned()])
    );
    assert_eq!(imports["z"], BTreeSet::new());
    let group = vec!["a/b", "a/c", "a/d", "a/e"];
    assert_eq!(circles(&imports), BTreeSet::from([group]));
}
