//! A row in few bytes: what decides about files, and nothing else.
//!
//! **Invariant:** two rows have the same bytes exactly when each decides as the other
//! ([`JobRow::decides_as`]).
//! **Invariant:** the bytes are ours: made here, read here, never from outside.

use super::row::{JobRow, Moments, Status};
use crate::core::time::Timestamp;

const UUID: u8 = 1 << 3;
const KIND: u8 = 1 << 4;
const ODD: u8 = 1 << 5;
const FILES: u8 = 1 << 6;
const UNREAD_FILES: u8 = 1 << 7;

/// Contents of a packed row.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Unpacked {
    pub(super) id: String,
    pub(super) status: Status,
    /// The kind's number.
    pub(super) kind: Option<u16>,
    pub(super) moments: Moments,
    pub(super) unreadable: bool,
    pub(super) files: Vec<String>,
    pub(super) has_unread_files: bool,
}

/// Packs `row`, whose kind has the number `kind`.
pub(super) fn pack(row: &JobRow, kind: Option<u16>) -> Box<[u8]> {
    let mut out = Vec::with_capacity(48);
    let status = Status::ALL
        .iter()
        .position(|&status| status == row.status)
        .expect("invariant: every status is listed");
    let uuid = uuid_of(&row.id);
    let is_odd = row.unknown_status.is_some() || row.unreadable.is_some();
    let mut head = u8::try_from(status).expect("invariant: there are five");
    for (bit, is_set) in [
        (UUID, uuid.is_some()),
        (KIND, kind.is_some()),
        (ODD, is_odd),
        (FILES, !row.files.is_empty()),
        (UNREAD_FILES, row.has_unread_files),
    ] {
        if is_set {
            head |= bit;
        }
    }
    out.push(head);
    match uuid {
        Some(bytes) => out.extend(bytes),
        None => put_text(&mut out, &row.id),
    }
    if let Some(kind) = kind {
        out.extend(kind.to_le_bytes());
    }
    put_moments(&mut out, &row.moments);
    if is_odd {
        for text in [&row.unknown_status, &row.unreadable] {
            out.push(u8::from(text.is_some()));
            put_text(&mut out, text.as_deref().unwrap_or_default());
        }
    }
    if !row.files.is_empty() {
        put(&mut out, row.files.len() as u64);
        for file in &row.files {
            put_text(&mut out, file);
        }
    }
    out.into()
}

/// The id in a packed row, without the rest.
pub(super) fn id(packed: &[u8]) -> String {
    let mut at = 1;
    take_id(packed, &mut at)
}

/// Returns true if a packed row is of the job `id`.
pub(super) fn is_of(packed: &[u8], id: &str) -> bool {
    match (packed[0] & UUID != 0, uuid_of(id)) {
        (true, Some(bytes)) => packed[1..17] == bytes,
        (false, None) => {
            let mut at = 1;
            let len = usize::try_from(take(packed, &mut at)).unwrap_or(usize::MAX);
            len == id.len() && packed[at..].starts_with(id.as_bytes())
        }
        (true, None) | (false, Some(_)) => false,
    }
}

/// The status in a packed row, without the rest.
pub(super) fn status(packed: &[u8]) -> Status {
    Status::ALL[usize::from(packed[0] & 7)]
}

/// Everything in a packed row.
pub(super) fn unpack(packed: &[u8]) -> Unpacked {
    let head = packed[0];
    let mut at = 1;
    let id = take_id(packed, &mut at);
    let kind = (head & KIND != 0).then(|| {
        let kind = u16::from_le_bytes([packed[at], packed[at + 1]]);
        at += 2;
        kind
    });
    let moments = take_moments(packed, &mut at);
    let mut unreadable = false;
    if head & ODD != 0 {
        for is_value in [false, true] {
            let is_set = packed[at] == 1;
            at += 1;
            take_text(packed, &mut at);
            unreadable |= is_value && is_set;
        }
    }
    let mut files = Vec::new();
    if head & FILES != 0 {
        let count = take(packed, &mut at);
        files.extend((0..count).map(|_| take_text(packed, &mut at)));
    }
    Unpacked {
        id,
        status: status(packed),
        kind,
        moments,
        unreadable,
        files,
        has_unread_files: head & UNREAD_FILES != 0,
    }
}

/// The sixteen bytes of a UUID that is written in the usual way: lower case, with dashes.
fn uuid_of(id: &str) -> Option<[u8; 16]> {
    let text = id.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0; 16];
    let mut digits = 0;
    for (place, &byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(bytes)
}

fn take_id(packed: &[u8], at: &mut usize) -> String {
    if packed[0] & UUID == 0 {
        return take_text(packed, at);
    }
    let mut text = String::with_capacity(36);
    for (place, byte) in packed[*at..*at + 16].iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    *at += 16;
    text
}

/// Appends a mask of those that are there, the first as it is, and the others as differences.
fn put_moments(out: &mut Vec<u8>, moments: &Moments) {
    let all = list(moments);
    let mut mask = 0;
    for (bit, moment) in all.iter().enumerate() {
        mask |= u8::from(moment.is_some()) << bit;
    }
    out.push(mask);
    let mut before = 0;
    for moment in all.into_iter().flatten() {
        let ms = moment.unix_ms();
        put(out, fold_sign(ms.wrapping_sub(before)));
        before = ms;
    }
}

fn take_moments(packed: &[u8], at: &mut usize) -> Moments {
    let mask = packed[*at];
    *at += 1;
    let mut before = 0i64;
    let mut next = |bit: u8| {
        (mask & 1 << bit != 0).then(|| {
            before = before.wrapping_add(unfold_sign(take(packed, at)));
            Timestamp::from_unix_ms(before)
        })
    };
    Moments {
        created_at: next(0),
        completed_at: next(1),
        last_activity: next(2),
        expires_at: next(3),
        cleaned_at: next(4),
    }
}

fn list(moments: &Moments) -> [Option<Timestamp>; 5] {
    let Moments {
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    } = *moments;
    [
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    ]
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn take_text(packed: &[u8], at: &mut usize) -> String {
    let len = usize::try_from(take(packed, at)).expect("invariant: a length that was in memory");
    let text = &packed[*at..*at + len];
    *at += len;
    String::from_utf8_lossy(text).into_owned()
}

use crate::core::index::codec::{fold_sign, put, take, unfold_sign};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment() -> impl Strategy<Value = Option<Timestamp>> {
        proptest::option::of(any::<i64>().prop_map(Timestamp::from_unix_ms))
    }

    fn row() -> impl Strategy<Value = JobRow> {
        let id = prop_oneof![
            "[a-z0-9_/.-]{1,40}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9A-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        ];
        let moments = (moment(), moment(), moment(), moment(), moment());
        let texts = (proptest::collection::vec(".{0,12}", 0..3), any::<bool>());
        let odd = (
            proptest::option::of(".{0,5}"),
            proptest::option::of(".{0,5}"),
        );
        (id, 0..5usize, moments, texts, odd).prop_map(|(id, status, moments, files, odd)| JobRow {
            moments: Moments {
                created_at: moments.0,
                completed_at: moments.1,
                last_activity: moments.2,
                expires_at: moments.3,
                cleaned_at: moments.4,
            },
            files: files.0,
            has_unread_files: files.1,
            unknown_status: odd.0,
            unreadable: odd.1,
            ..JobRow::new(id, Status::ALL[status])
        })
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(row in row(), kind: Option<u16>) {
            let packed = pack(&row, kind);
            let back = unpack(&packed);
            prop_assert_eq!(&back.id, &row.id);
            prop_assert_eq!(&id(&packed), &row.id);
            prop_assert!(is_of(&packed, &row.id));
            prop_assert_eq!((back.status, status(&packed)), (row.status, row.status));
            prop_assert_eq!(back.kind, kind);
            prop_assert_eq!(back.moments, row.moments);
            prop_assert_eq!(back.files, row.files);
            prop_assert_eq!(back.has_unread_files, row.has_unread_files);
            prop_assert_eq!(back.unreadable, row.unreadable.is_some());
        }

        #[test]
        fn rows_that_decide_otherwise_have_other_bytes(a in row(), b in row()) {
            prop_assert_eq!(pack(&a, None) == pack(&b, None), a.decides_as(&b));
        }
    }
}
