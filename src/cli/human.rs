//! Sizes, counts, times and paths as people read them.
//!
//! **Invariant:** nothing that a file's name contains reaches a terminal as a control sequence.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::core::report::Counted;
pub use crate::core::size::short as size;
pub use crate::core::span::{long as duration, short as span};
use crate::core::time::Timestamp;

const SECOND_MS: u64 = 1000;

/// A number with its thousands apart: `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`.
#[must_use]
pub fn files(number: u64) -> String {
    counted(number, "file", "files")
}

/// `1 file`, `2 jobs`: of what the breaker counts.
#[must_use]
pub fn counted_as(number: u64, what: Counted) -> String {
    match what {
        Counted::Files => files(number),
        Counted::Jobs => counted(number, "job", "jobs"),
    }
}

/// A number with its noun.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// An instant as seen from `now`: `in 3 h`, `12 min ago`, `now`.
#[must_use]
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let ms = at.ms_since(now);
    match ms.unsigned_abs() {
        0..SECOND_MS => "now".to_owned(),
        ahead if ms > 0 => format!("in {}", span(ahead)),
        past => format!("{} ago", span(past)),
    }
}

/// The instant that `text` (RFC 3339) names; `None` when it names none.
#[must_use]
pub fn instant(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_unix_ms(at.as_millisecond()))
}

/// An instant by the clock on the wall here, and as seen from `now`: `2026-11-22 03:12 (in 9 h)`.
#[must_use]
pub fn by_the_clock(at: Timestamp, now: Timestamp) -> String {
    let seen = relative(at, now);
    // What no calendar has is told as it is.
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.unix_ms()) else {
        return seen;
    };
    let here = instant.to_zoned(jiff::tz::TimeZone::system());
    format!("{} ({seen})", here.strftime("%Y-%m-%d %H:%M"))
}

/// `text` with its instants (RFC 3339, UTC) by the clock on the wall here: `2026-11-22 03:12`.
#[must_use]
pub fn in_local_time(text: &str) -> String {
    let local = |word: &str| {
        let stem = word.trim_end_matches(['.', ',', ':', ';', ')']);
        let instant: jiff::Timestamp = stem.parse().ok()?;
        let here = instant.to_zoned(jiff::tz::TimeZone::system());
        Some(here.strftime("%Y-%m-%d %H:%M").to_string() + &word[stem.len()..])
    };
    let mut is_quoted = false;
    let words = text.split(' ').map(|word| {
        // What is quoted is a name: it stays as it is.
        let is_name = is_quoted || word.contains('"');
        is_quoted ^= word.matches('"').count() % 2 == 1;
        let local = local(word).filter(|_| !is_name);
        local.unwrap_or_else(|| word.to_owned())
    });
    words.collect::<Vec<_>>().join(" ")
}

/// An instant to come by the clock on the wall here: `03:00` within a day from `now`, `2026-11-22
/// 03:00` after that.
#[must_use]
pub fn clock_time(at: Timestamp, now: Timestamp) -> String {
    const DAY_MS: i64 = 86_400_000;
    let Ok(instant) = jiff::Timestamp::from_millisecond(at.unix_ms()) else {
        return relative(at, now);
    };
    let here = instant.to_zoned(jiff::tz::TimeZone::system());
    let is_near = (0..DAY_MS).contains(&at.ms_since(now));
    let format = if is_near { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    here.strftime(format).to_string()
}

/// An instant of these days by the clock on the wall here: `03:00:59`.
#[must_use]
pub fn time_of_day(at: Timestamp) -> String {
    let instant = jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or_default();
    let here = instant.to_zoned(jiff::tz::TimeZone::system());
    here.strftime("%H:%M:%S").to_string()
}

/// `text` in lines of at most `width` columns (`None`: one line), `first` before the first and
/// `rest` before the others. A word that is longer than a line stays whole, and so do a number and
/// what it counts.
#[must_use]
pub fn wrap(text: &str, width: Option<usize>, first: &str, rest: &str) -> Vec<String> {
    let width = width.unwrap_or(usize::MAX);
    let mut lines = vec![first.to_owned()];
    let mut columns = first.width();
    let mut is_begun = false;
    for word in words(text) {
        let gap = usize::from(is_begun);
        if is_begun && columns + gap + word.width() > width {
            lines.push(rest.to_owned());
            columns = rest.width();
        } else if is_begun && let Some(line) = lines.last_mut() {
            line.push(' ');
            columns += gap;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(word);
            columns += word.width();
        }
        is_begun = true;
    }
    lines
}

/// Parts that are never broken: `open`, `7 days`, `(in`, `9 h)`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let blanks = text.match_indices(' ');
        let is_end = |at: usize| {
            let word = text[..at].rsplit(' ').next().unwrap_or_default();
            let digits = word.trim_start_matches('(').replace([',', '.'], "");
            digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        let end = blanks.map(|(at, _)| at).find(|&at| is_end(at));
        rest = end.map(|at| &text[at + 1..]);
        Some(end.map_or(text, |at| &text[..at]))
    })
}

/// `text` (RFC 3339, or absent) as seen from `now`; `absent` stands for nothing.
#[must_use]
pub fn relative_or(text: Option<&str>, now: Timestamp, absent: &str) -> String {
    match text {
        None => absent.to_owned(),
        Some(text) => instant(text).map_or_else(|| text.to_owned(), |at| relative(at, now)),
    }
}

/// `text` with its control characters spelled out.
#[must_use]
pub fn safe(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Joins the lines of a message into one.
#[must_use]
pub fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    safe(&lines.join("; "))
}

/// Control characters, those that end a line or turn the direction of what follows, and those that
/// take no room: all make a name look like another one.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(c, '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `path` in at most `width` columns: the last component stays whole as long as it can, and the
/// beginning as far as there is room; `…` stands for the rest.
#[must_use]
pub fn fit_path(path: &str, width: usize) -> String {
    if path.width() <= width {
        return path.to_owned();
    }
    let name_at = path.trim_end_matches('/').rfind('/').unwrap_or(0);
    let name = &path[name_at..];
    if name.width() + 2 <= width {
        let head = take_columns(path[..name_at].chars(), width - 1 - name.width());
        return format!("{head}…{name}");
    }
    // A long name: both of its ends tell it apart (the tail has the extension).
    let tail_width = width.saturating_sub(1) * 2 / 3;
    let tail: String = take_columns(name.chars().rev(), tail_width)
        .chars()
        .rev()
        .collect();
    let head = take_columns(path.chars(), width.saturating_sub(1 + tail.width()));
    format!("{head}…{tail}")
}

/// The first of `chars`, as many as fit into `width` columns.
pub(super) fn take_columns(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut left = width;
    chars
        .take_while(|c| {
            let columns = c.width().unwrap_or(0);
            let fits = columns <= left;
            left = left.saturating_sub(columns);
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_nothing_is_lost() {
        let text =
            "all that a job owns lapses  7 days after its end /a/very/long/path/that/stays/whole";
        assert_eq!(wrap(text, None, "> ", ""), [format!("> {text}")]);
        assert_eq!(
            wrap(text, Some(20), "", "  "),
            [
                "all that a job owns",
                "  lapses  7 days",
                "  after its end",
                "  /a/very/long/path/that/stays/whole",
            ]
        );
        for width in 8..60 {
            let lines = wrap(text, Some(width), "", "");
            assert_eq!(lines.join(" "), text, "{width}");
            let fits = |line: &String| line.width() <= width || !line.contains(' ');
            assert!(lines.iter().all(fits), "{width}: {lines:?}");
        }
    }

    #[test]
    fn an_instant_stands_by_the_clock_and_from_here() {
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let told = by_the_clock(now.plus_ms(9 * 3_600_000), now);
        assert!(
            told.starts_with("2023-11-1") && told.ends_with(" (in 9 h)"),
            "{told}"
        );
        assert_eq!(
            by_the_clock(Timestamp::MAX, now),
            relative(Timestamp::MAX, now)
        );
    }

    #[test]
    fn instants_in_a_sentence_stand_by_the_clock() {
        let text = "it lapses at 2023-11-14T22:13:20.000Z: in  2 h, 12:00 Z.";
        let told = in_local_time(text);
        assert!(told.starts_with("it lapses at 2023-11-1"), "{told}");
        assert!(told.ends_with(": in  2 h, 12:00 Z."), "{told}");
        assert!(!told.contains('T') && !told.contains(".000"), "{told}");
        let name = "\"/srv/a 2023-11-14T22:13:20.000Z b\" is a file.";
        assert_eq!(in_local_time(name), name);
    }

    #[test]
    fn sizes_and_counts() {
        let sizes = [
            0,
            1023,
            1024,
            1536,
            10_240,
            1_048_575,
            1 << 20,
            3 << 40,
            u64::MAX,
        ];
        let texts = sizes.map(size);
        assert_eq!(
            texts,
            [
                "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB", "1.0 MiB", "1.0 MiB", "3.0 TiB",
                "16 EiB"
            ]
        );
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([files(1), files(2000)], ["1 file", "2,000 files"]);
    }

    #[test]
    fn instants_are_seen_from_now() {
        let now = Timestamp::from_unix_ms(1_000_000_000_000);
        let seen = |ms: i64| relative(now.plus_ms(ms), now);
        assert_eq!(seen(0), "now");
        assert_eq!(seen(-999), "now");
        assert_eq!(seen(10_400), "in 10 s");
        assert_eq!(seen(-720_000), "12 min ago");
        assert_eq!(seen(3 * 3_600_000), "in 3 h");
        assert_eq!(seen(14 * 86_400_000), "in 14 d");
        assert_eq!(relative(Timestamp::MAX, Timestamp::MIN), "in 292471209 y");
        assert_eq!(
            relative_or(Some("2001-09-09T01:46:50.000Z"), now, "never"),
            "in 10 s"
        );
        assert_eq!(relative_or(None, now, "never"), "never");
    }

    #[test]
    fn names_cannot_speak_to_the_terminal() {
        assert_eq!(safe("/srv/ä b.txt"), "/srv/ä b.txt");
        assert_eq!(safe("a\n\x1b[2Jb\u{202e}"), "a\\n\\u{1b}[2Jb\\u{202e}");
        for c in ['\u{61c}', '\u{200b}', '\u{2028}', '\u{2060}', '\u{feff}'] {
            assert!(safe(&format!("a{c}b")).is_ascii(), "{c:?}");
        }
    }

    #[test]
    fn paths_are_shortened_in_the_middle() {
        let path = "/srv/results/2024/11/job-4711/summary.csv";
        assert_eq!(fit_path(path, 60), path);
        assert_eq!(fit_path(path, 30), "/srv/results/2024…/summary.csv");
        assert_eq!(fit_path(path, 14), "/…/summary.csv");
        assert_eq!(
            fit_path("/srv/a-very-long-name-of-a-file.tar.gz", 20),
            "/srv/a-…-file.tar.gz"
        );
        for width in 1..45 {
            assert!(fit_path(path, width).width() <= width.max(1), "{width}");
            assert!(
                fit_path("/日本語/日本語日本語日本語", width).width() <= width.max(1),
                "{width}"
            );
        }
    }
}
