//! Line of the ledger.
//!
//! **Invariant:** the order of the fields is always the order in the file: people read it from the
//! left.
//! **Invariant:** bytes that are not UTF-8 never break a line: the path has its exact bytes beside
//! it, in base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::core::claim::Unit;
use crate::core::jobs::JobRow;
use crate::core::principal::Principal;
use crate::core::time::Timestamp;

/// Removal, or a later change to one; or a change of a pin or a pause.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Unique number, never given twice. Nearly in the order of the file.
    pub id: u64,
    /// Instant at which the name was gone from its place.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// The root's name.
    pub root: String,
    /// The absolute path; lossy when [`Line::path_b64`] is there.
    pub path: String,
    /// Base64 of the path's bytes, if they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_b64: Option<String>,
    /// Kind of the thing that lapsed as a whole.
    pub unit: LineUnit,
    /// The job that the root's owner template captures from the path.
    pub owner: Option<String>,
    /// The rule's name.
    pub rule: String,
    /// The kind of timestamp that decided.
    pub since: String,
    /// The timestamp that decided.
    #[serde(with = "rfc3339")]
    pub basis: Timestamp,
    /// The deadline that had passed.
    #[serde(with = "rfc3339")]
    pub deadline: Timestamp,
    /// From the deadline, or the end of a hold that outlasted it, to `at`.
    pub late_ms: i64,
    /// Number of regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Result of the removal.
    pub result: Mark,
    /// Origin of the removal.
    pub by: Principal,
    /// Number of the run that removed it; absent when its deadline passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The limit that made it due before its time: `max_size`, or `root.max_size` for one of its
    /// root. Then `deadline` is the instant from which the limit might remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The job that owned it, as its source described it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<LineJob>,
    /// Absolute paths of all pieces of a job's unit, if there are several (lossy, as
    /// [`Line::path`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Number of further lines with the same `id` that precede this one in the segment. They have
    /// the rest of `paths`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_lines: u32,
    /// Position of a further line, from 1; 0 for the line that decides, which alone has `files` and
    /// `bytes`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
    /// The pin that the line is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<LinePin>,
    /// The pause that the line is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<LinePause>,
    /// The thing of the trash that the line is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash: Option<LineTrash>,
}

/// Fields of a line that filters compare, borrowed from its text. Decoding them also checks that
/// the whole line is well-formed JSON.
#[derive(Debug, Deserialize)]
pub struct LineFields<'t> {
    /// [`Line::at`].
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// [`Line::root`].
    #[serde(borrow)]
    pub root: Cow<'t, str>,
    /// [`Line::path`].
    #[serde(borrow)]
    pub path: Cow<'t, str>,
    /// [`Line::path_b64`].
    #[serde(borrow, default)]
    pub path_b64: Option<Cow<'t, str>>,
    /// [`Line::owner`].
    #[serde(borrow)]
    pub owner: Option<Cow<'t, str>>,
    /// [`Line::rule`].
    #[serde(borrow)]
    pub rule: Cow<'t, str>,
    /// [`Line::run`].
    #[serde(default)]
    pub run: Option<u64>,
    /// [`Line::paths`].
    #[serde(borrow, default)]
    pub paths: Vec<Cow<'t, str>>,
}

impl LineFields<'_> {
    /// Returns the bytes of the absolute path.
    #[must_use]
    pub fn path_bytes(&self) -> Vec<u8> {
        unpack(&self.path, self.path_b64.as_deref())
    }
}

/// Job, as its source described it when its files were removed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LineJob {
    /// The source's name.
    pub source: String,
    /// Fate of its record: `keep`, `mark`, or `forget`.
    pub record: String,
    /// Its row.
    #[serde(flatten)]
    pub row: JobRow,
    /// Number of files of its row that are left out here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files_left_out: u64,
}

/// Pin that was set, extended, or removed. In its line `basis` is the instant at which it was set
/// and `deadline` the one at which it ends; `rule` and `since` are empty.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinePin {
    /// Its number.
    pub id: u64,
    /// Name or number of the user who set it.
    pub who: String,
    /// Reason that the user gave.
    pub why: String,
}

/// Pause that began, or that a user ended. In its line `basis` is the instant at which it began and
/// `deadline` the one at which it ends by itself; without a root it is one of all roots.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinePause {
    /// Name or number of the user who ordered it.
    pub who: String,
    /// Reason that the user gave.
    pub why: String,
}

/// Thing that came into the trash or left it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineTrash {
    /// Number of the line that says that it was moved there.
    pub id: u64,
    /// End of its undo window.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
    /// True if it is a part of a unit that another root's line counts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub share: bool,
}

/// Kind of thing that lapsed as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineUnit {
    /// One file.
    #[default]
    File,
    /// A top-level directory.
    Dir,
    /// All that a job owned in the rule's roots.
    Job,
    /// A directory that a removal emptied.
    EmptyDir,
}

/// Result of a removal, or change of a pin or a pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// It is removed. After a crash the next start completes the removal.
    #[default]
    Removed,
    /// It is in the quarantine under a name that begins with `displaced-`, and is never deleted by
    /// the daemon. `files` is the number of regular files that are kept.
    Displaced,
    /// It was put back although an earlier line says that it was removed: a process opened it in
    /// that instant.
    PutBack,
    /// Nothing was removed: a pin was set.
    Pinned,
    /// Nothing was removed: a pin ends at another time.
    Extended,
    /// Nothing was removed: a pin was taken away.
    Unpinned,
    /// Nothing was removed: removals were paused.
    Paused,
    /// Nothing was removed: a pause was ended before its time.
    Resumed,
    /// It was moved to the trash of its root. Its bytes are not free yet.
    Trashed,
    /// It was brought back from the trash; `path` is where it is now.
    Restored,
    /// It was deleted from the trash. `files` and `bytes` are those that became free.
    Purged,
}

impl Line {
    /// Returns the bytes of the absolute path.
    #[must_use]
    pub fn path_bytes(&self) -> Vec<u8> {
        unpack(&self.path, self.path_b64.as_deref())
    }

    /// Returns the line without its unit's paths, and with the fields of bounded size of the job's
    /// row.
    #[must_use]
    pub fn without_pieces(&self) -> Self {
        let job = self.job.as_ref().map(|job| LineJob {
            source: job.source.clone(),
            record: job.record.clone(),
            row: JobRow {
                kind: job.row.kind.clone(),
                moments: job.row.moments,
                ..JobRow::new(job.row.id.clone(), job.row.status)
            },
            files_left_out: job.row.files.len() as u64,
        });
        Self {
            root: self.root.clone(),
            path: self.path.clone(),
            limit: self.limit.clone(),
            path_b64: self.path_b64.clone(),
            owner: self.owner.clone(),
            rule: self.rule.clone(),
            since: self.since.clone(),
            by: self.by.clone(),
            job,
            paths: Vec::new(),
            pin: self.pin.clone(),
            pause: self.pause.clone(),
            ..*self
        }
    }
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl From<Unit> for LineUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::File => Self::File,
            Unit::Dir => Self::Dir,
            Unit::Job => Self::Job,
        }
    }
}

/// Returns `bytes` as text, lossy if they are not UTF-8, and in that case as base64 as well.
#[must_use]
pub fn pack(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (
            String::from_utf8_lossy(bytes).into_owned(),
            Some(STANDARD.encode(bytes)),
        ),
    }
}

/// Returns the bytes that [`pack`] was given; those of the lossy text if the base64 is broken.
#[must_use]
pub fn unpack(text: &str, b64: Option<&str>) -> Vec<u8> {
    b64.and_then(|b64| STANDARD.decode(b64).ok())
        .unwrap_or_else(|| text.as_bytes().to_vec())
}

/// Serialization of timestamps as RFC 3339 in UTC with milliseconds.
mod rfc3339 {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::core::time::Timestamp;

    /// Text that is borrowed where it has no escapes.
    #[derive(Deserialize)]
    struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for this signature"
    )]
    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let Text(text) = Text::deserialize(from)?;
        let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Timestamp::from_unix_ms(at.as_millisecond()))
    }
}

#[cfg(test)]
pub(super) fn sample(id: u64) -> Line {
    Line {
        id,
        at: Timestamp::from_unix_ms(1_700_000_000_000 + i64::try_from(id).unwrap()),
        root: "results".into(),
        path: format!("/srv/results/a b/\u{1}\"\n{id}"),
        rule: "old".into(),
        since: "newest".into(),
        basis: Timestamp::from_unix_ms(1_699_999_000_000),
        deadline: Timestamp::from_unix_ms(1_699_999_999_000),
        late_ms: 3,
        files: 1,
        bytes: 42,
        ..Line::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_from_the_left_and_comes_back_as_it_was() {
        let mut line = sample(7);
        line.by = Principal::Uid(1000);
        line.unit = LineUnit::EmptyDir;
        line.path = "/srv/results/x".into();
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            "{\"id\":7,\"at\":\"2023-11-14T22:13:20.007Z\",\"root\":\"results\",\"path\":\"/srv/results/x\",\
             \"unit\":\"empty-dir\",\"owner\":null,\"rule\":\"old\",\"since\":\"newest\",\
             \"basis\":\"2023-11-14T21:56:40.000Z\",\"deadline\":\"2023-11-14T22:13:19.000Z\",\"late_ms\":3,\
             \"files\":1,\"bytes\":42,\"result\":\"removed\",\"by\":{\"uid\":1000}}"
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }

    #[test]
    fn hostile_bytes_stay_on_one_line_and_are_not_lost() {
        let hostile = b"/srv/\xff\xfe\n\r\x00\"\\,\xc3";
        let (path, path_b64) = pack(hostile);
        let line = Line {
            path,
            path_b64,
            ..sample(1)
        };
        let text = serde_json::to_string(&line).unwrap();
        assert!(!text.contains('\n'));
        let back: Line = serde_json::from_str(&text).unwrap();
        assert_eq!(back.path_bytes(), hostile);
    }
}
