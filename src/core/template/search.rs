//! Finds the first reading of a path by a template: the leftmost shortest one.
//!
//! A backtracking search over (step, place) that remembers from where nothing matches.
//!
//! **Invariant:** each (step, place) is searched at most once for each value of a repeated
//! placeholder, of which there are no more than the path has bytes (the parser sees to it): the
//! worst case is polynomial.

use std::ops::RangeInclusive;

use super::{Class, Op};

/// Characters of a UUID in canonical form.
pub(super) const UUID_LEN: usize = 36;

/// Returns true if a UUID has a dash at `place`.
pub(super) const fn is_uuid_dash(place: usize) -> bool {
    matches!(place, 8 | 13 | 18 | 23)
}

type Found<'p> = [Option<&'p [u8]>; Class::ALL.len()];

/// Returns what each class captures; `None` when the template does not match all of `path`, which
/// has no empty component. With a `job`, only readings in which that is the job.
pub(super) fn search<'p>(ops: &[Op], path: &'p [u8], job: Option<&'p [u8]>) -> Option<Found<'p>> {
    let mut found = Found::default();
    found[Class::Job as usize] = job;
    let mut search = Search {
        ops,
        path,
        job,
        found,
        failed: Vec::new(),
    };
    search.matches(0, 0).then_some(search.found)
}

struct Search<'t, 'p> {
    ops: &'t [Op],
    path: &'p [u8],
    /// The job that is asked for.
    job: Option<&'p [u8]>,
    /// Entries of a reading that failed are overwritten by the next: each step on the way to the
    /// end sets its own.
    found: Found<'p>,
    /// Bitmap of the (step, place) from which nothing matches, one row of words a step; empty
    /// before the first failure.
    failed: Vec<u64>,
}

impl Search<'_, '_> {
    /// Returns true if the steps from `op` on match all of the path from `at` on.
    fn matches(&mut self, mut op: usize, mut at: usize) -> bool {
        // What leaves no choice is walked straight; what does recurses, at most once a wildcard of
        // the template.
        loop {
            let Some(step) = self.ops.get(op) else {
                return at == self.path.len();
            };
            let end = match step {
                Op::Text(text) => self.after(text, at),
                &Op::Again(class) => self.after_again(class, at),
                Op::Capture { class, .. } if *class == Class::Job && self.job.is_some() => {
                    self.after_again(*class, at)
                }
                Op::Rest => return at < self.path.len(),
                Op::Capture { .. } | Op::Star | Op::Dirs => return self.choose(op, at),
            };
            let Some(end) = end else {
                return false;
            };
            (op, at) = (op + 1, end);
        }
    }

    /// Tries all ends of the wildcard `op` at `at`, the nearest first.
    fn choose(&mut self, op: usize, at: usize) -> bool {
        if self.has_failed(op, at) {
            return false;
        }
        let (nearest, farthest, capture) = match &self.ops[op] {
            Op::Dirs => (at, self.path.len(), None),
            Op::Capture { class, until } => {
                let nearest = at + if *class == Class::Uuid { UUID_LEN } else { 1 };
                let farthest = self.farthest(*class, at);
                // A component ends before a slash, and nowhere else.
                let nearest = match (class, self.ops.get(op + 1)) {
                    (Class::Job | Class::Name, Some(Op::Text(text))) if text.starts_with(b"/") => {
                        nearest.max(farthest)
                    }
                    _ => nearest,
                };
                (nearest, farthest, Some((*class, *until)))
            }
            Op::Star | Op::Text(_) | Op::Again(_) | Op::Rest => (at, self.component_end(at), None),
        };
        for end in nearest..=farthest {
            let may_end = match (&self.ops[op], capture) {
                (Op::Dirs, _) => end == at || self.path[end - 1] == b'/',
                (_, Some((class, _))) => self.may_end(class, end, farthest),
                (_, None) => true,
            };
            if !may_end {
                continue;
            }
            if let Some((class, until)) = capture {
                self.found[class as usize] = Some(&self.path[at..end]);
                if until > op {
                    // What failed while the class stood for something else may match now.
                    self.forget_failed(op + 1..=until);
                }
            }
            if self.matches(op + 1, end) {
                return true;
            }
        }
        // From the places up to the farthest end, all ends have been tried from here. A repeated
        // placeholder stands for something else from there.
        let through = match capture {
            Some((class, until)) if until != op || class == Class::Uuid => at,
            Some(_) | None => farthest.max(at),
        };
        self.note_failed(op, at..=through);
        false
    }

    /// Returns the end of `text`, when it stands at `at`.
    fn after(&self, text: &[u8], at: usize) -> Option<usize> {
        self.path[at..].starts_with(text).then_some(at + text.len())
    }

    /// Returns the end of what `class` captured, when it stands at `at`, too.
    fn after_again(&self, class: Class, at: usize) -> Option<usize> {
        let end = self.after(self.found[class as usize]?, at)?;
        self.may_end(class, end, self.farthest(class, at))
            .then_some(end)
    }

    /// Returns the farthest end that the class allows a capture from `at`; not beyond `at` when it
    /// allows none.
    fn farthest(&self, class: Class, at: usize) -> usize {
        match class {
            Class::Job | Class::Name => self.component_end(at),
            Class::Stem => {
                let slash = self.path[..at].iter().rposition(|&b| b == b'/');
                let start = slash.map_or(0, |slash| slash + 1);
                let end = self.component_end(at);
                let dot = self.path[start..end].iter().rposition(|&b| b == b'.');
                dot.filter(|&dot| dot > 0).map_or(end, |dot| start + dot)
            }
            Class::Uuid if is_uuid(&self.path[at..]) => at + UUID_LEN,
            Class::Uuid => at,
            Class::Digits => {
                let digits = self.path[at..].iter().take_while(|b| b.is_ascii_digit());
                at + digits.count()
            }
        }
    }

    /// Returns true if a capture of `class`, which can reach to `farthest`, may end at `end`.
    fn may_end(&self, class: Class, end: usize, farthest: usize) -> bool {
        match class {
            Class::Stem => end == farthest || (end < farthest && self.path[end] != b'.'),
            Class::Job | Class::Name | Class::Uuid | Class::Digits => true,
        }
    }

    /// Returns the end of the component that `at` is in.
    fn component_end(&self, at: usize) -> usize {
        let rest = &self.path[at..];
        at + rest.iter().position(|&b| b == b'/').unwrap_or(rest.len())
    }

    /// Words of a row of `failed`.
    fn words(&self) -> usize {
        self.path.len() / 64 + 1
    }

    fn has_failed(&self, step: usize, at: usize) -> bool {
        let word = self.failed.get(step * self.words() + at / 64);
        word.is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    fn note_failed(&mut self, step: usize, places: RangeInclusive<usize>) {
        let words = self.words();
        self.failed.resize(self.ops.len() * words, 0);
        for at in places {
            self.failed[step * words + at / 64] |= 1 << (at % 64);
        }
    }

    fn forget_failed(&mut self, steps: RangeInclusive<usize>) {
        let words = self.words();
        let rows = self.failed.chunks_mut(words).enumerate();
        let stale = rows.filter(|(step, _)| steps.contains(step));
        stale.for_each(|(_, row)| row.fill(0));
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() >= UUID_LEN
        && text[..UUID_LEN].iter().enumerate().all(|(place, b)| {
            if is_uuid_dash(place) {
                *b == b'-'
            } else {
                b.is_ascii_hexdigit()
            }
        })
}
