//! Glob patterns in gitignore's habit.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// A set of glob patterns in gitignore's habit: `*` and `?` do not cross `/`, `**` does.
#[derive(Debug, Clone)]
pub struct Globs {
    patterns: Vec<Glob>,
    set: GlobSet,
}

impl Globs {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// The first pattern that cannot be compiled, with the reason.
    pub fn compile<S: AsRef<str>>(patterns: &[S]) -> Result<Self, globset::Error> {
        let patterns = patterns
            .iter()
            .map(|pattern| {
                GlobBuilder::new(pattern.as_ref())
                    .literal_separator(true)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(pattern.clone());
        }
        Ok(Self {
            set: set.build()?,
            patterns,
        })
    }

    /// Whether a pattern matches `path` as a whole.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.set.is_match_candidate(&Candidate::from_bytes(path))
    }

    /// Whether a pattern matches `path` or a directory that it lies in.
    #[must_use]
    pub fn matches_within(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|&(_, &b)| b == b'/')
            .map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| self.matches(&path[..end]))
    }

    /// The patterns as they were written.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(Glob::glob)
    }
}
