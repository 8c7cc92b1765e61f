//! A row in few bytes: what decides about files, and nothing else.
//!
//! **Invariant:** two rows have the same bytes exactly when each decides as the other
//! ([`JobRow::decides_as`]).
//! **Invariant:** the bytes are ours: made here, read here, never from outside.

use serde::{Deserialize, Serialize};

use super::row::{JobRow, JobTimestamps, Status};
use crate::core::time::Timestamp;

/// A row as it is packed: status and id first, which are read without the rest.
#[derive(Serialize, Deserialize)]
pub(super) struct PackedRow<'a> {
    pub(super) status: Status,
    #[serde(borrow)]
    id: Id<'a>,
    /// The kind's number.
    pub(super) kind: Option<u16>,
    /// Those of [`JobTimestamps`] in order: milliseconds, each as the difference to the one
    /// before.
    moments: [Option<i64>; 5],
    /// Parts that most rows do not have.
    #[serde(borrow)]
    rare: Option<Rare<'a>>,
}

/// Id of a job.
#[derive(PartialEq, Serialize, Deserialize)]
enum Id<'a> {
    /// A UUID that is written in the usual way: lower case, with dashes.
    Uuid([u8; 16]),
    Text(&'a str),
}

/// Parts of a row that most rows do not have.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct Rare<'a> {
    unknown_status: Option<&'a str>,
    unreadable: Option<&'a str>,
    #[serde(borrow)]
    files: Vec<&'a str>,
    has_unread_files: bool,
}

impl<'a> Id<'a> {
    fn of(id: &'a str) -> Self {
        uuid_of(id).map_or(Self::Text(id), Self::Uuid)
    }

    fn text(&self) -> String {
        let bytes = match self {
            Self::Text(id) => return (*id).to_owned(),
            Self::Uuid(bytes) => u128::from_be_bytes(*bytes),
        };
        let digits = format!("{bytes:032x}");
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        parts.join("-")
    }
}

impl PackedRow<'_> {
    pub(super) fn id(&self) -> String {
        self.id.text()
    }

    pub(super) fn moments(&self) -> JobTimestamps {
        let mut before = 0i64;
        let [
            created_at,
            completed_at,
            last_activity,
            expires_at,
            cleaned_at,
        ] = self.moments.map(|step| {
            before = before.wrapping_add(step?);
            Some(Timestamp::from_unix_ms(before))
        });
        JobTimestamps {
            created_at,
            completed_at,
            last_activity,
            expires_at,
            cleaned_at,
        }
    }

    /// Returns true if a value of it cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.unreadable.is_some())
    }

    pub(super) fn files(&self) -> &[&str] {
        self.rare.as_ref().map_or(&[], |rare| &rare.files)
    }

    pub(super) fn has_unread_files(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.has_unread_files)
    }
}

/// Packs `row`, whose kind has the number `kind`.
pub(super) fn pack(row: &JobRow, kind: Option<u16>) -> Box<[u8]> {
    let JobTimestamps {
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    } = row.moments;
    let mut before = 0;
    let moments = [
        created_at,
        completed_at,
        last_activity,
        expires_at,
        cleaned_at,
    ];
    let rare = Rare {
        unknown_status: row.unknown_status.as_deref(),
        unreadable: row.unreadable.as_deref(),
        files: row.files.iter().map(String::as_str).collect(),
        has_unread_files: row.has_unread_files,
    };
    let packed = PackedRow {
        status: row.status,
        id: Id::of(&row.id),
        kind,
        moments: moments.map(|moment| {
            let ms = moment?.unix_ms();
            Some(ms.wrapping_sub(std::mem::replace(&mut before, ms)))
        }),
        rare: (rare != Rare::default()).then_some(rare),
    };
    let bytes = postcard::to_stdvec(&packed).expect("invariant: its parts know their length");
    bytes.into()
}

/// Everything in a packed row.
pub(super) fn unpack(packed: &[u8]) -> PackedRow<'_> {
    read(packed)
}

/// The id in a packed row, without the rest.
pub(super) fn id(packed: &[u8]) -> String {
    let (_, id): (Status, Id<'_>) = read(packed);
    id.text()
}

/// Returns true if a packed row is of the job `id`.
pub(super) fn is_of(packed: &[u8], id: &str) -> bool {
    let (_, known): (Status, Id<'_>) = read(packed);
    known == Id::of(id)
}

/// The status in a packed row, without the rest.
pub(super) fn status(packed: &[u8]) -> Status {
    read(packed)
}

fn read<'a, T: Deserialize<'a>>(packed: &'a [u8]) -> T {
    let (value, _) = postcard::take_from_bytes(packed).expect("invariant: it was packed here");
    value
}

/// The bytes of a UUID that is written in the usual way.
fn uuid_of(id: &str) -> Option<[u8; 16]> {
    let is_dash = |place| matches!(place, 8 | 13 | 18 | 23);
    let is_sound = |(place, byte)| match byte {
        b'-' => is_dash(place),
        b'0'..=b'9' | b'a'..=b'f' => !is_dash(place),
        _ => false,
    };
    let is_uuid = id.len() == 36 && id.bytes().enumerate().all(is_sound);
    let digits = is_uuid.then(|| id.replace('-', ""))?;
    let number = u128::from_str_radix(&digits, 16).ok()?;
    Some(number.to_be_bytes())
}

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
            moments: JobTimestamps {
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
            prop_assert_eq!(back.id(), row.id.clone());
            prop_assert_eq!(&id(&packed), &row.id);
            prop_assert!(is_of(&packed, &row.id));
            prop_assert_eq!((back.status, status(&packed)), (row.status, row.status));
            prop_assert_eq!(back.kind, kind);
            prop_assert_eq!(back.moments(), row.moments);
            prop_assert_eq!(back.files(), row.files);
            prop_assert_eq!(back.has_unread_files(), row.has_unread_files);
            prop_assert_eq!(back.is_unreadable(), row.unreadable.is_some());
        }

        #[test]
        fn rows_that_decide_otherwise_have_other_bytes(a in row(), b in row()) {
            prop_assert_eq!(pack(&a, None) == pack(&b, None), a.decides_as(&b));
        }
    }
}
