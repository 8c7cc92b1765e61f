//! Encoding of lines as a segment holds them.
//!
//! **Invariant:** an encoded line is never longer than [`LINE_BYTES_MAX`].
//! **Invariant:** the further lines of a removal always precede the line that decides, in the same
//! write. A crash in between leaves no line that decides, and the next start cuts the further lines
//! off.

use super::error::LedgerError;
use super::line::{Line, LineJob};
use crate::core::jobs::JobRow;
use crate::core::time::Timestamp;

/// Longest line that is written. A path has at most a few times `PATH_MAX` bytes, escaped six-fold;
/// longer lists of paths are split, and longer rows of jobs are shortened.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Bytes of paths in one line, ~100 paths: a reader holds a line in memory, and people read it.
const PATHS_BYTES: usize = 64 << 10;

/// Bytes of an ordinary line: room for it is made at once.
const TYPICAL_BYTES: usize = 512;

/// Bytes of a job's claims, of its error, and of its attributes in one line.
const JOB_BYTES: usize = 64 << 10;

/// One removal in its written form. It is made once, and appended as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedLine {
    /// Whole lines of JSON, each with its newline; the one that decides is the last.
    pub(super) bytes: Vec<u8>,
    /// Instant of the removal.
    pub(super) at: Timestamp,
    /// True if the line records an order to keep rather than a removal.
    pub(super) is_order: bool,
}

impl Line {
    /// Encodes the line, and before it further lines with those of its paths that it has no room
    /// for.
    ///
    /// # Errors
    /// [`LedgerError::TooLong`] when the line cannot be kept within its limit.
    pub fn encode(&self) -> Result<EncodedLine, LedgerError> {
        let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
        encode_parts(&mut bytes, self)?;
        Ok(EncodedLine {
            bytes,
            at: self.at,
            is_order: self.pin.is_some() || self.pause.is_some(),
        })
    }
}

fn encode_parts(bytes: &mut Vec<u8>, line: &Line) -> Result<(), LedgerError> {
    let room = within(&line.paths, PATHS_BYTES).max(1);
    let is_long = line.job.as_ref().is_some_and(is_long);
    if room >= line.paths.len() && !is_long {
        return encode_one(bytes, line);
    }
    let (mut rest, mut further) = (&line.paths[room.min(line.paths.len())..], Vec::new());
    while !rest.is_empty() {
        let (these, left) = rest.split_at(within(rest, PATHS_BYTES).max(1));
        further.push(these);
        rest = left;
    }
    let short = line.without_pieces();
    // In reverse: a reader that goes backwards gets the line that decides, then the others in their
    // order.
    let count = u32::try_from(further.len()).unwrap_or(u32::MAX);
    for (number, paths) in (1..=count).rev().zip(further.iter().rev()) {
        let part = Line {
            path: paths[0].clone(),
            path_b64: None,
            files: 0,
            bytes: 0,
            job: None,
            paths: paths.to_vec(),
            part: number,
            ..short.clone()
        };
        encode_one(bytes, &part)?;
    }
    let job = line.job.as_ref();
    let first = Line {
        paths: line.paths[..room.min(line.paths.len())].to_vec(),
        further_lines: count,
        job: job.map(|job| if is_long { shortened(job) } else { job.clone() }),
        ..short
    };
    encode_one(bytes, &first)
}

fn encode_one(bytes: &mut Vec<u8>, line: &Line) -> Result<(), LedgerError> {
    let start = bytes.len();
    serde_json::to_writer(&mut *bytes, line).expect("invariant: a line has only text and numbers");
    let length = bytes.len() - start;
    if length > LINE_BYTES_MAX {
        return Err(LedgerError::TooLong {
            id: line.id,
            length,
            limit: LINE_BYTES_MAX,
        });
    }
    bytes.push(b'\n');
    Ok(())
}

/// Counts those of `texts` that fit into `room` bytes.
fn within(texts: &[String], room: usize) -> usize {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len() + 3;
        bytes <= room
    };
    texts.iter().take_while(fits).count()
}

fn attributes_bytes(row: &JobRow) -> usize {
    serde_json::to_vec(&row.attributes).map_or(usize::MAX, |json| json.len())
}

fn is_long(job: &LineJob) -> bool {
    let row = &job.row;
    within(&row.files, JOB_BYTES) < row.files.len()
        || row
            .error
            .as_ref()
            .is_some_and(|error| error.len() > JOB_BYTES)
        || attributes_bytes(row) > JOB_BYTES
}

/// Returns the job with as much of its row as a line has room for.
fn shortened(job: &LineJob) -> LineJob {
    let mut short = job.clone();
    let row = &mut short.row;
    let files = within(&row.files, JOB_BYTES);
    short.files_left_out = (row.files.len() - files) as u64;
    row.files.truncate(files);
    if let Some(error) = &mut row.error {
        error.truncate(error.floor_char_boundary(JOB_BYTES));
    }
    if attributes_bytes(row) > JOB_BYTES {
        row.attributes.clear();
    }
    short
}

#[cfg(test)]
mod tests {
    use super::super::line::sample;
    use super::*;
    use crate::core::jobs::Status;

    fn lines(line: &Line) -> Vec<Line> {
        let encoded = line.encode().unwrap();
        let texts = encoded.bytes.split(|&byte| byte == b'\n');
        let texts = texts.filter(|text| !text.is_empty());
        texts
            .map(|text| {
                assert!(text.len() <= LINE_BYTES_MAX, "{}", text.len());
                serde_json::from_slice(text).unwrap()
            })
            .collect()
    }

    #[test]
    fn each_path_of_a_large_unit_is_in_one_of_its_lines() {
        let paths: Vec<String> = (0..10_000)
            .map(|at| format!("/srv/{at}/\u{1}{}", "x".repeat(450)))
            .collect();
        let mut row = JobRow::new("j", Status::Failed);
        row.files.clone_from(&paths);
        row.error = Some("\u{1f98a}".repeat(3_000_000));
        let one = Line {
            files: 10_000,
            paths: paths.clone(),
            job: Some(LineJob {
                source: "app".into(),
                record: "mark".into(),
                row,
                files_left_out: 0,
            }),
            ..sample(7)
        };
        let mut lines = lines(&one);
        lines.reverse();
        let (first, further) = lines.split_first().unwrap();
        assert_eq!((first.id, first.part, first.files), (7, 0, 10_000));
        assert_eq!(first.further_lines as usize, further.len());
        let job = first.job.as_ref().unwrap();
        assert_eq!(
            job.row.files.len() as u64 + job.files_left_out,
            10_000,
            "what is left out is counted"
        );
        for (number, part) in (1..).zip(further) {
            assert_eq!((part.id, part.part, part.files), (7, number, 0));
        }
        let found: Vec<String> = lines.into_iter().flat_map(|line| line.paths).collect();
        assert_eq!(found, paths);
    }

    #[test]
    fn a_line_that_cannot_be_split_is_refused() {
        let line = Line {
            path: "\u{1}".repeat(LINE_BYTES_MAX),
            ..sample(9)
        };
        let error = line.encode().unwrap_err().to_string();
        assert!(error.contains("the line of removal 9"), "{error}");
    }
}
