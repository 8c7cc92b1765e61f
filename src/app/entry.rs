//! Entries as JSON, fast: a list of a million of them shall not take longer than sending it.
//!
//! **Invariant:** what is written here is what [`crate::types::Entry`] reads, byte for byte what
//! serde would write.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::core::jobs::Status;
use crate::core::time::Timestamp;
use crate::types::{JsonPath, Trigger};

const DAY_MS: i64 = 86_400_000;

/// Values of an entry besides its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    /// The root's name, as a JSON string.
    pub root: &'a [u8],
    pub size: u64,
    pub mtime: Timestamp,
    pub job: Option<&'a [u8]>,
    /// The source's name, as a JSON string.
    pub source: Option<&'a [u8]>,
    pub status: Option<Status>,
    /// The rule's name, as a JSON string.
    pub rule: Option<&'a [u8]>,
    pub deadline: Option<Timestamp>,
    /// Instant of the removal.
    pub lapses_at: Option<Timestamp>,
    pub reason: Option<Trigger>,
    /// A hold's code: needs no escape.
    pub hold: Option<&'static str>,
    pub pin: Option<u64>,
}

/// Writes entries. Remembers the last day, since times of neighbours mostly share it.
#[derive(Debug, Default)]
pub(crate) struct EntryWriter {
    day: Option<(i64, [u8; 11])>,
}

/// A directory's absolute path with a closing slash, ready to be put in front of names.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    raw: Vec<u8>,
    /// Escaped for JSON, when it is UTF-8.
    escaped: Option<Vec<u8>>,
}

impl Prefix {
    pub(crate) fn new(dir: &Path) -> Self {
        let mut raw = dir.as_os_str().as_bytes().to_vec();
        if raw.last() != Some(&b'/') {
            raw.push(b'/');
        }
        let escaped = std::str::from_utf8(&raw).ok().map(|text| {
            let quoted = quote(text);
            quoted[1..quoted.len() - 1].to_vec()
        });
        Self { raw, escaped }
    }

    /// The bytes of the path, with its closing slash.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.raw
    }
}

/// `text` as a JSON string.
pub(crate) fn quote(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("invariant: a string can be expressed in JSON")
}

impl EntryWriter {
    /// Appends the entry `name` in `dir` as an object.
    pub(crate) fn push(
        &mut self,
        to: &mut Vec<u8>,
        dir: &Prefix,
        name: &[u8],
        values: &Values<'_>,
    ) {
        push_path(to, dir, name);
        to.extend_from_slice(b",\"root\":");
        to.extend_from_slice(values.root);
        to.extend_from_slice(b",\"size\":");
        push_number(to, values.size);
        to.extend_from_slice(b",\"mtime\":");
        self.push_time(to, values.mtime);
        to.extend_from_slice(b",\"job\":");
        match values.job {
            Some(job) => to.extend_from_slice(&quote(&String::from_utf8_lossy(job))),
            None => to.extend_from_slice(b"null"),
        }
        to.extend_from_slice(b",\"source\":");
        to.extend_from_slice(values.source.unwrap_or(b"null"));
        to.extend_from_slice(b",\"status\":");
        push_word(to, values.status.map(Status::as_str));
        to.extend_from_slice(b",\"rule\":");
        to.extend_from_slice(values.rule.unwrap_or(b"null"));
        to.extend_from_slice(b",\"deadline\":");
        self.push_time_or_null(to, values.deadline);
        to.extend_from_slice(b",\"lapses_at\":");
        self.push_time_or_null(to, values.lapses_at);
        to.extend_from_slice(b",\"reason\":");
        push_word(to, values.reason.map(Trigger::as_str));
        to.extend_from_slice(b",\"hold\":");
        push_word(to, values.hold);
        to.extend_from_slice(b",\"pin\":");
        match values.pin {
            Some(pin) => push_number(to, pin),
            None => to.extend_from_slice(b"null"),
        }
        to.push(b'}');
    }

    fn push_time_or_null(&mut self, to: &mut Vec<u8>, at: Option<Timestamp>) {
        match at {
            Some(at) => self.push_time(to, at),
            None => to.extend_from_slice(b"null"),
        }
    }

    /// Appends `at` as a JSON string, the same as its `Display`.
    fn push_time(&mut self, to: &mut Vec<u8>, at: Timestamp) {
        let ms = at.unix_ms();
        let (day, in_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
        let date = match self.day {
            Some((known, date)) if known == day => date,
            Some(_) | None => {
                let Some(date) = date_of(day) else {
                    to.extend_from_slice(&quote(&at.to_string()));
                    return;
                };
                self.day = Some((day, date));
                date
            }
        };
        to.push(b'"');
        to.extend_from_slice(&date);
        let seconds = in_day / 1000;
        push_digits(to, seconds / 3600, 2);
        to.push(b':');
        push_digits(to, seconds / 60 % 60, 2);
        to.push(b':');
        push_digits(to, seconds % 60, 2);
        to.push(b'.');
        push_digits(to, in_day % 1000, 3);
        to.extend_from_slice(b"Z\"");
    }
}

/// Appends `{"path":…`, and `path_b64` where it is needed.
fn push_path(to: &mut Vec<u8>, dir: &Prefix, name: &[u8]) {
    let is_plain = |&byte: &u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    to.extend_from_slice(b"{\"path\":");
    if let Some(prefix) = &dir.escaped
        && name.iter().all(is_plain)
    {
        to.push(b'"');
        to.extend_from_slice(prefix);
        to.extend_from_slice(name);
        to.push(b'"');
        return;
    }
    let bytes = [&dir.raw, name].concat();
    let path = JsonPath::new(Path::new(std::ffi::OsStr::from_bytes(&bytes)));
    to.extend_from_slice(&quote(&path.path));
    if let Some(coded) = &path.path_b64 {
        to.extend_from_slice(b",\"path_b64\":");
        to.extend_from_slice(&quote(coded));
    }
}

/// Appends a word that needs no escape.
fn push_word(to: &mut Vec<u8>, word: Option<&'static str>) {
    match word {
        Some(word) => {
            to.push(b'"');
            to.extend_from_slice(word.as_bytes());
            to.push(b'"');
        }
        None => to.extend_from_slice(b"null"),
    }
}

/// `YYYY-MM-DDT` of a day since 1970, within the years 1 to 9998 (in the last one RFC 3339 and jiff
/// end at different hours).
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn date_of(day: i64) -> Option<[u8; 11]> {
    const FIRST: i64 = -719_162;
    const LAST: i64 = 2_932_531;
    if !(FIRST..=LAST).contains(&day) {
        return None;
    }
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = Vec::with_capacity(11);
    push_digits(&mut text, year, 4);
    text.push(b'-');
    push_digits(&mut text, month, 2);
    text.push(b'-');
    push_digits(&mut text, day_of_month, 2);
    text.push(b'T');
    text.try_into().ok()
}

/// The last `count` digits of `number`, which is not negative.
fn push_digits(to: &mut Vec<u8>, number: i64, count: usize) {
    let start = to.len();
    to.resize(start + count, b'0');
    let mut rest = number.unsigned_abs();
    for digit in to[start..].iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

fn push_number(to: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Entry;

    fn time(at: Timestamp) -> String {
        let mut to = Vec::new();
        EntryWriter::default().push_time(&mut to, at);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn the_ends_of_time_are_those_of_display() {
        for at in [
            Timestamp::MIN,
            Timestamp::MAX,
            Timestamp::from_unix_ms(0),
            Timestamp::from_unix_ms(-1),
        ] {
            assert_eq!(time(at), format!("\"{at}\""));
        }
    }

    proptest! {
        #[test]
        fn times_are_written_as_display_writes_them(ms in prop_oneof![
            any::<i64>(),
            -63_000_000_000_000_i64..254_000_000_000_000,
            0_i64..3_000_000_000_000,
        ]) {
            let at = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(time(at), format!("\"{}\"", at));
        }

        #[test]
        fn entries_read_back_and_are_what_serde_writes(
            dir in proptest::collection::vec(any::<u8>(), 0..12),
            name in proptest::collection::vec(any::<u8>(), 1..12),
            ascii in "[ -~]{1,12}",
            use_ascii in any::<bool>(),
            size in any::<u64>(),
            times in (any::<i64>(), proptest::option::of(0_i64..3_000_000_000_000), proptest::option::of(any::<i64>())),
            words in (proptest::option::of(".*"), proptest::option::of(".*"), ".*"),
            is_held in any::<bool>(),
            source in proptest::option::of(".*"),
            pin in proptest::option::of(any::<u64>()),
        ) {
            let name = if use_ascii { ascii.into_bytes() } else { name };
            let dir = [b"/srv/", &dir[..]].concat();
            let prefix = Prefix::new(Path::new(std::ffi::OsStr::from_bytes(&dir)));
            let (job, rule, root) = words;
            let rule_json = rule.as_deref().map(quote);
            let source_json = source.as_deref().map(quote);
            let values = Values {
                root: &quote(&root),
                size,
                mtime: Timestamp::from_unix_ms(times.0),
                job: job.as_deref().map(str::as_bytes),
                source: source_json.as_deref(),
                status: is_held.then_some(Status::Running),
                rule: rule_json.as_deref(),
                deadline: times.1.map(Timestamp::from_unix_ms),
                lapses_at: times.2.map(Timestamp::from_unix_ms),
                reason: is_held.then_some(Trigger::Schedule),
                hold: is_held.then_some("open"),
                pin,
            };
            let mut written = Vec::new();
            EntryWriter::default().push(&mut written, &prefix, &name, &values);
            let path = [prefix.as_bytes(), &name].concat();
            let path = Path::new(std::ffi::OsStr::from_bytes(&path));
            let entry = Entry {
                path: JsonPath::new(path),
                root: root.clone(),
                size: Some(size),
                mtime: Some(values.mtime.to_string()),
                job: job.clone(),
                source: source.clone(),
                status: values.status,
                rule: rule.clone(),
                deadline: values.deadline.map(|at| at.to_string()),
                lapses_at: values.lapses_at.map(|at| at.to_string()),
                reason: values.reason,
                hold: values.hold.map(str::to_owned),
                pin,
            };
            prop_assert_eq!(String::from_utf8(written.clone()).unwrap(), serde_json::to_string(&entry).unwrap());
            let back: Entry = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(back.path.decode().unwrap(), path);
        }
    }
}
