//! Text to template, or the place and nature of the first mistake.
//!
//! **Invariant:** what is accepted has one meaning: text that looks like a wildcard of another
//! language is refused, and between two wildcards of open length there is always something that
//! tells where the first one ends.

use thiserror::Error;

use super::{Class, Op};

/// Longest template, in bytes. A path is at most 4,096 bytes; a template is written by hand.
const BYTES_MAX: usize = 1024;
/// Most wildcards and placeholders in a template: bounds the time and the depth of a search.
const WILDCARDS_MAX: usize = 16;

/// The first mistake in a text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "template {template:?}, byte {at}: {fault}\n\
     allowed are text, \"*\" within a segment, \"**\" as a segment, and {{job}}, {{name}}, {{stem}}, {{uuid}}, {{digits}}"
)]
pub struct TemplateError {
    /// The text.
    pub template: String,
    /// Place of the mistake, in bytes from the start, from 0.
    pub at: usize,
    /// Kind of the mistake.
    pub fault: Fault,
}

/// A mistake in a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is too long.
    #[error("it is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// It has too many wildcards.
    #[error("more than {WILDCARDS_MAX} wildcards and placeholders")]
    TooManyWildcards,
    /// Nothing stands between two slashes, before the first or after the last one.
    #[error(
        "an empty segment; a template is relative to its root, without a slash at its start or end"
    )]
    EmptySegment,
    /// A segment `.` or `..`.
    #[error("no path has a component \"{0}\"")]
    DotSegment(String),
    /// `{` without `}`.
    #[error("\"{{\" is not closed within its segment")]
    Unclosed,
    /// `}` without `{`.
    #[error("\"}}\" closes nothing")]
    StrayBrace,
    /// A placeholder that does not exist.
    #[error("unknown class {{{0}}}")]
    UnknownClass(String),
    /// A character that means something in globs, or that no path has.
    #[error("{0:?} has no meaning in a template")]
    Reserved(char),
    /// `**` beside something else in its segment.
    #[error("\"**\" must fill its segment")]
    DoubleStar,
    /// Two wildcards of open length side by side.
    #[error("nothing tells where {left} ends and {right} begins; put a separator between them")]
    Adjacent {
        /// The first one.
        left: String,
        /// The second one.
        right: String,
    },
    /// A repeated placeholder whose first use leaves too many choices.
    #[error(
        "{0} is used again, but its first use can be read in too many ways; let that fill a segment before any \"**\""
    )]
    Vague(Class),
}

/// A part of a segment, and its place in the template.
enum Part {
    Text(Vec<u8>),
    Placeholder(Class),
    Star,
}

/// Parses `source` into steps.
pub(super) fn parse(source: &str) -> Result<Box<[Op]>, TemplateError> {
    Parser::default()
        .run(source)
        .map_err(|(at, fault)| TemplateError {
            template: source.to_owned(),
            at,
            fault,
        })
}

#[derive(Default)]
struct Parser {
    ops: Vec<Op>,
    /// Text that no step has yet.
    text: Vec<u8>,
    wildcards: usize,
    /// For each class that has been used, the step of its first use, and in how many ways that can
    /// be read, as a power of the path's length.
    uses: [Option<(usize, u32)>; Class::ALL.len()],
    /// The powers of the classes that are repeated, added up.
    choices: u32,
}

impl Parser {
    fn run(mut self, source: &str) -> Result<Box<[Op]>, (usize, Fault)> {
        if source.is_empty() {
            return Err((0, Fault::Empty));
        }
        if source.len() > BYTES_MAX {
            return Err((BYTES_MAX, Fault::TooLong));
        }
        let mut at = 0;
        for segment in source.split('/') {
            let is_last = at + segment.len() == source.len();
            match segment {
                "" => return Err((at, Fault::EmptySegment)),
                "." | ".." => return Err((at, Fault::DotSegment(segment.to_owned()))),
                "**" => self.wildcard(at, if is_last { Op::Rest } else { Op::Dirs })?,
                _ => {
                    self.segment(&parts(segment, at)?)?;
                    if !is_last {
                        self.text.push(b'/');
                    }
                }
            }
            at += segment.len() + 1;
        }
        self.flush();
        Ok(self.ops.into())
    }

    fn segment(&mut self, parts: &[(usize, Part)]) -> Result<(), (usize, Fault)> {
        for pair in parts.windows(2) {
            let [(_, left), (at, right)] = pair else {
                continue;
            };
            if left.is_open() && right.is_open() {
                let (left, right) = (left.shown(), right.shown());
                return Err((*at, Fault::Adjacent { left, right }));
            }
        }
        for (place, (at, part)) in parts.iter().enumerate() {
            match part {
                Part::Text(text) => self.text.extend(text),
                Part::Star => self.wildcard(*at, Op::Star)?,
                &Part::Placeholder(class) => {
                    let open_before = parts[..place].iter().any(|(_, part)| part.is_open());
                    let open_after = parts[place + 1..].iter().any(|(_, part)| part.is_open());
                    self.placeholder(*at, class, open_before, open_after)?;
                }
            }
        }
        Ok(())
    }

    fn placeholder(
        &mut self,
        at: usize,
        class: Class,
        open_before: bool,
        open_after: bool,
    ) -> Result<(), (usize, Fault)> {
        let Some((first, power)) = self.uses[class as usize] else {
            let deep = self.ops.contains(&Op::Dirs);
            let ends = match class {
                Class::Uuid => u32::from(open_before && open_after),
                Class::Job | Class::Name | Class::Stem | Class::Digits => {
                    u32::from(open_before) + u32::from(open_after)
                }
            };
            self.wildcard(at, Op::Capture { class, until: 0 })?;
            let first = self.ops.len() - 1;
            self.ops[first] = Op::Capture {
                class,
                until: first,
            };
            self.uses[class as usize] = Some((first, u32::from(deep) + ends));
            return Ok(());
        };
        // A search remembers failures for one reading of the repeated placeholders at a time. With
        // one power of the path's length there are a few thousand readings at worst; with two,
        // millions.
        self.choices += power;
        if self.choices > 1 {
            return Err((at, Fault::Vague(class)));
        }
        self.uses[class as usize] = Some((first, 0));
        self.wildcard(at, Op::Again(class))?;
        let until = self.ops.len() - 1;
        self.ops[first] = Op::Capture { class, until };
        Ok(())
    }

    fn wildcard(&mut self, at: usize, op: Op) -> Result<(), (usize, Fault)> {
        self.wildcards += 1;
        if self.wildcards > WILDCARDS_MAX {
            return Err((at, Fault::TooManyWildcards));
        }
        self.flush();
        self.ops.push(op);
        Ok(())
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text);
            self.ops.push(Op::Text(text.into()));
        }
    }
}

impl Part {
    /// Returns true if its length is open.
    fn is_open(&self) -> bool {
        match self {
            Self::Text(_) | Self::Placeholder(Class::Uuid) => false,
            Self::Star
            | Self::Placeholder(Class::Job | Class::Name | Class::Stem | Class::Digits) => true,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Self::Placeholder(class) => class.to_string(),
            Self::Star => "*".to_owned(),
        }
    }
}

/// Takes `segment`, which begins at byte `start` of the template, apart.
fn parts(segment: &str, start: usize) -> Result<Vec<(usize, Part)>, (usize, Fault)> {
    let mut parts: Vec<(usize, Part)> = Vec::new();
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        let at = start + segment.len() - rest.len();
        let mut len = c.len_utf8();
        match c {
            '{' => {
                let close = rest.find('}').ok_or((at, Fault::Unclosed))?;
                let word = &rest[1..close];
                let class = Class::ALL
                    .into_iter()
                    .find(|class| class.as_str() == word)
                    .ok_or_else(|| (at, Fault::UnknownClass(word.to_owned())))?;
                parts.push((at, Part::Placeholder(class)));
                len = close + 1;
            }
            '}' => return Err((at, Fault::StrayBrace)),
            '*' if rest.starts_with("**") => return Err((at, Fault::DoubleStar)),
            '*' => parts.push((at, Part::Star)),
            '?' | '[' | ']' | '\\' | '\0' => return Err((at, Fault::Reserved(c))),
            _ => match parts.last_mut() {
                Some((_, Part::Text(text))) => text.extend(rest[..len].bytes()),
                Some((_, Part::Placeholder(_) | Part::Star)) | None => {
                    parts.push((at, Part::Text(rest[..len].into())));
                }
            },
        }
        rest = &rest[len..];
    }
    Ok(parts)
}
