//! Finds the first reading of a path by a template: the leftmost shortest one.
//!
//! **Invariant:** the quick and the thorough way find the same reading; they differ only in what they remember.
//! **Invariant:** the thorough way looks at each (step, place) at most once for each value of a repeated placeholder, of
//! which there are no more than the path has bytes (the parser sees to it): the worst case is polynomial.

use std::ops::{Range, RangeInclusive};

use super::{Class, Op};

/// Characters of a UUID in canonical form.
pub(super) const UUID_LEN: usize = 36;

/// Whether a UUID has a dash at `place`.
pub(super) const fn is_uuid_dash(place: usize) -> bool {
    matches!(place, 8 | 13 | 18 | 23)
}

/// How many ends of wildcards the quick way tries for each byte of the path: honest names need about one.
const QUICK_TRIES_PER_BYTE: usize = 8;

type Found<'p> = [Option<&'p [u8]>; Class::ALL.len()];

/// What each class captured; `None` when the template does not match all of `path`, which has no empty component.
pub(super) fn search<'p>(ops: &[Op], path: &'p [u8]) -> Option<Found<'p>> {
    let mut quick = Search {
        ops,
        path,
        found: Found::default(),
        memory: Memory::Tries(QUICK_TRIES_PER_BYTE * path.len()),
    };
    match quick.matches(0, 0) {
        Ok(matched) => matched.then_some(quick.found),
        Err(OutOfTries) => search_thoroughly(ops, path),
    }
}

/// [`search`], in time that no path can make more than polynomial, at the price of a table.
pub(super) fn search_thoroughly<'p>(ops: &[Op], path: &'p [u8]) -> Option<Found<'p>> {
    let mut thorough = Search {
        ops,
        path,
        found: Found::default(),
        memory: Memory::Failed(Failed::new(ops.len(), path.len())),
    };
    let matched = thorough.matches(0, 0) == Ok(true);
    matched.then_some(thorough.found)
}

struct Search<'t, 'p> {
    ops: &'t [Op],
    path: &'p [u8],
    /// Entries of a reading that failed are overwritten by the next: each step on the way to the end sets its own.
    found: Found<'p>,
    memory: Memory,
}

/// How trying everything twice is avoided.
enum Memory {
    /// Not at all, for so many more tries: cheap, and enough for honest names.
    Tries(usize),
    /// By remembering what has failed.
    Failed(Failed),
}

/// The quick way has tried enough.
#[derive(PartialEq, Eq, Debug)]
struct OutOfTries;

impl Search<'_, '_> {
    /// Whether the steps from `op` on match all of the path from `at` on.
    fn matches(&mut self, mut op: usize, mut at: usize) -> Result<bool, OutOfTries> {
        // What leaves no choice is walked straight; what does recurses, at most once a wildcard of the template.
        loop {
            let Some(step) = self.ops.get(op) else {
                return Ok(at == self.path.len());
            };
            let end = match step {
                Op::Text(text) => self.after(text, at),
                &Op::Again(class) => self.found[class.index()]
                    .and_then(|text| self.after(text, at))
                    .filter(|&end| self.may_end(class, end, self.farthest(class, at))),
                Op::Rest => return Ok(at < self.path.len()),
                Op::Capture { .. } | Op::Star | Op::Dirs => return self.choose(op, at),
            };
            let Some(end) = end else {
                return Ok(false);
            };
            (op, at) = (op + 1, end);
        }
    }

    /// Tries all ends of the wildcard `op` at `at`, the nearest first.
    fn choose(&mut self, op: usize, at: usize) -> Result<bool, OutOfTries> {
        if let Memory::Failed(failed) = &self.memory
            && failed.has(op, at)
        {
            return Ok(false);
        }
        let matched = match self.ops[op] {
            Op::Dirs => self.choose_dirs(op, at)?,
            Op::Star => self.choose_end(op, at, None)?,
            Op::Capture { class, until } => self.choose_end(op, at, Some((class, until)))?,
            Op::Text(_) | Op::Again(_) | Op::Rest => {
                unreachable!("invariant: only steps that leave a choice are chosen for")
            }
        };
        if !matched {
            let through = self.fails_through(op, at);
            if let Memory::Failed(failed) = &mut self.memory {
                failed.add(op, at..=through);
            }
        }
        Ok(matched)
    }

    /// The last place from which the wildcard `op` fails too when it fails from `at`: its ends from there have all been
    /// tried from here. A repeated placeholder stands for something else from elsewhere.
    fn fails_through(&self, op: usize, at: usize) -> usize {
        match self.ops[op] {
            Op::Dirs => self.path.len(),
            Op::Star => self.component_end(at),
            Op::Capture { class, until } if until == op && class != Class::Uuid => {
                self.farthest(class, at).max(at)
            }
            Op::Capture { .. } | Op::Text(_) | Op::Again(_) | Op::Rest => at,
        }
    }

    fn choose_dirs(&mut self, op: usize, mut at: usize) -> Result<bool, OutOfTries> {
        loop {
            self.count_try()?;
            if self.matches(op + 1, at)? {
                return Ok(true);
            }
            match self.path[at..].iter().position(|&b| b == b'/') {
                Some(slash) => at += slash + 1,
                None => return Ok(false),
            }
        }
    }

    /// The ends of `*`, or of a placeholder's first use.
    fn choose_end(
        &mut self,
        op: usize,
        at: usize,
        capture: Option<(Class, usize)>,
    ) -> Result<bool, OutOfTries> {
        let (nearest, farthest) = match capture {
            None => (at, self.component_end(at)),
            Some((class @ Class::Uuid, _)) => (at + UUID_LEN, self.farthest(class, at)),
            Some((class, _)) => (at + 1, self.farthest(class, at)),
        };
        let next = self.ops.get(op + 1);
        for end in nearest..=farthest {
            self.count_try()?;
            let fits = match next {
                None => end == self.path.len(),
                Some(Op::Text(text)) => self.path[end..].starts_with(text),
                Some(Op::Capture { .. } | Op::Again(_) | Op::Star | Op::Dirs | Op::Rest) => true,
            };
            if !fits {
                continue;
            }
            if let Some((class, until)) = capture {
                if !self.may_end(class, end, farthest) {
                    continue;
                }
                self.found[class.index()] = Some(&self.path[at..end]);
                if let Memory::Failed(failed) = &mut self.memory {
                    // What failed while the class stood for something else may match now.
                    failed.forget(op + 1..until + 1);
                }
            }
            if self.matches(op + 1, end)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The end of `text`, when it stands at `at`.
    fn after(&self, text: &[u8], at: usize) -> Option<usize> {
        self.path[at..].starts_with(text).then_some(at + text.len())
    }

    /// The farthest end that the class allows a capture from `at`; not beyond `at` when it allows none.
    fn farthest(&self, class: Class, at: usize) -> usize {
        match class {
            Class::Job | Class::Name => self.component_end(at),
            Class::Stem => {
                let start = self.path[..at]
                    .iter()
                    .rposition(|&b| b == b'/')
                    .map_or(0, |slash| slash + 1);
                let end = self.component_end(at);
                self.path[start..end]
                    .iter()
                    .rposition(|&b| b == b'.')
                    .filter(|&dot| dot > 0)
                    .map_or(end, |dot| start + dot)
            }
            Class::Uuid if is_uuid(&self.path[at..]) => at + UUID_LEN,
            Class::Uuid => at,
            Class::Digits => {
                let digits = self.path[at..].iter().take_while(|b| b.is_ascii_digit());
                at + digits.count()
            }
        }
    }

    /// Whether a capture of `class`, which can reach to `farthest`, may end at `end`.
    fn may_end(&self, class: Class, end: usize, farthest: usize) -> bool {
        match class {
            Class::Stem => end == farthest || (end < farthest && self.path[end] != b'.'),
            Class::Job | Class::Name | Class::Uuid | Class::Digits => true,
        }
    }

    /// The end of the component that `at` lies in.
    fn component_end(&self, at: usize) -> usize {
        let rest = &self.path[at..];
        at + rest.iter().position(|&b| b == b'/').unwrap_or(rest.len())
    }

    fn count_try(&mut self) -> Result<(), OutOfTries> {
        match &mut self.memory {
            Memory::Tries(left) => *left = left.checked_sub(1).ok_or(OutOfTries)?,
            Memory::Failed(_) => {}
        }
        Ok(())
    }
}

/// A set of (step, place) from which nothing matches: a bitmap, one row a step.
struct Failed {
    words: Vec<u64>,
    words_per_step: usize,
}

impl Failed {
    fn new(steps: usize, path_len: usize) -> Self {
        let words_per_step = path_len / 64 + 1;
        Self {
            words: vec![0; steps * words_per_step],
            words_per_step,
        }
    }

    fn has(&self, step: usize, at: usize) -> bool {
        self.words[step * self.words_per_step + at / 64] & (1 << (at % 64)) != 0
    }

    fn add(&mut self, step: usize, places: RangeInclusive<usize>) {
        for at in places {
            self.words[step * self.words_per_step + at / 64] |= 1 << (at % 64);
        }
    }

    fn forget(&mut self, steps: Range<usize>) {
        self.words[steps.start * self.words_per_step..steps.end * self.words_per_step].fill(0);
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
