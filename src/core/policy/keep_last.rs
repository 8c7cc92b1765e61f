//! The newest members of groups, which a rule keeps whatever their age.

use std::borrow::Cow;

use crate::core::claim::Unit;
use crate::core::template::{Class, Template};

/// Number of newest members of each group that a rule keeps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeepLast {
    /// At least 1, at most [`KeepLast::COUNT_MAX`].
    pub count: usize,
    /// The groups.
    pub per: Grouping,
}

/// Groups of what a rule takes in one root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grouping {
    /// All of it is one group.
    Rule,
    /// The things in one directory are one group.
    Dir,
    /// Paths for which the placeholders of the template stand for the same. Paths that it does not
    /// match are one group.
    Template(Template),
}

impl KeepLast {
    /// The largest number: each claim names so many members, and the reaper looks at each of them.
    pub const COUNT_MAX: usize = 1000;

    /// Name of the group of `path`, a file's or a directory's. Two paths are in one group exactly
    /// if their groups have the same name.
    #[must_use]
    pub fn group<'p>(&self, path: &'p [u8], unit: Unit) -> Cow<'p, [u8]> {
        match &self.per {
            Grouping::Rule => Cow::Borrowed(b""),
            Grouping::Dir => {
                let slash = path.iter().rposition(|&byte| byte == b'/');
                Cow::Borrowed(&path[..slash.unwrap_or(0)])
            }
            Grouping::Template(template) => {
                let found = template.captures(path);
                let found = found.or_else(|| match unit {
                    Unit::Dir => template.captures_within(path),
                    Unit::File | Unit::Job => None,
                });
                // No path has this byte, so no group of the template has this name.
                let Some(found) = found else {
                    return Cow::Borrowed(b"\0");
                };
                let mut parts = Class::ALL.into_iter().filter_map(|class| found.get(class));
                let first = parts.next().unwrap_or_default();
                parts.fold(Cow::Borrowed(first), |name, part| {
                    Cow::Owned([&*name, b"/", part].concat())
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(template: &str) -> KeepLast {
        KeepLast {
            count: 1,
            per: Grouping::Template(Template::parse(template).unwrap()),
        }
    }

    #[test]
    fn a_group_is_what_the_placeholders_stand_for() {
        let backups = by("{name}-20*.tar.gz");
        let group = |path: &str| backups.group(path.as_bytes(), Unit::File).into_owned();
        assert_eq!(group("app-db-2026-01-02.tar.gz"), b"app-db");
        assert_eq!(group("app-web-2026-01-02.tar.gz"), b"app-web");
        assert_eq!(group("notes.txt"), b"\0");
        assert_eq!(
            by("{name}/{digits}/**").group(b"a/7/x/y", Unit::File),
            &b"a/7"[..]
        );
        assert_eq!(by("{name}-*").group(b"a-1", Unit::Dir), &b"a"[..]);
        assert_eq!(by("{name}-*/**").group(b"a-1", Unit::Dir), &b"a"[..]);
    }

    #[test]
    fn a_directory_or_the_rule_is_a_group() {
        let of =
            |per, path: &'static str| KeepLast { count: 1, per }.group(path.as_bytes(), Unit::File);
        assert_eq!(of(Grouping::Dir, "a/b/c"), &b"a/b"[..]);
        assert_eq!(of(Grouping::Dir, "c"), &b""[..]);
        assert_eq!(of(Grouping::Rule, "a/b/c"), &b""[..]);
    }
}
