//! Row of one id in a database.
//!
//! **Invariant:** a row whose id the database takes for the same is never "none": a file that is
//! named after another spelling of it has an owner.

/// Result of a lookup by id.
pub(super) enum Lookup<F> {
    /// The row of the job.
    Found(F),
    /// A row whose id is the same by its type, such as that of a UUID in capitals, and is spelled
    /// like this.
    OtherSpelling(String),
    /// A row that the database takes for the job's, and whose id is neither text nor an integer.
    Unnamed,
    /// No row.
    Missing,
}

impl<F> Lookup<F> {
    /// Takes note of another row that the database gives, whose id is `spelled` like this; the
    /// first one counts.
    pub(super) fn or(&mut self, spelled: Option<String>) {
        if matches!(self, Self::Missing) {
            *self = spelled.map_or(Self::Unnamed, Self::OtherSpelling);
        }
    }

    /// Returns the row of the job.
    pub(super) fn found(self) -> Option<F> {
        match self {
            Self::Found(found) => Some(found),
            Self::OtherSpelling(_) | Self::Unnamed | Self::Missing => None,
        }
    }
}

/// Reason for which a job with another spelling of its id is unknown.
pub(super) fn spelled(other: &str) -> String {
    format!("it has that job as \"{other}\"; files have to spell the id as the database does")
}

/// Reason for which a job is unknown where ids are neither text nor integers.
pub(super) const UNNAMED: &str =
    "it has a row whose id would be that job's, if it were text or an integer";

/// Returns the other spellings that a database may have of the UUID `id`: without dashes, in
/// capitals. No other ids have other spellings.
pub(super) fn spellings(id: &str) -> Vec<String> {
    let is_uuid = id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    if !is_uuid {
        return Vec::new();
    }
    let bare = id.replace('-', "");
    let all = [
        id.to_ascii_lowercase(),
        id.to_ascii_uppercase(),
        bare.to_ascii_lowercase(),
        bare.to_ascii_uppercase(),
    ];
    all.into_iter().filter(|other| other != id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_have_other_spellings() {
        let id = "4f2b0c9e-0000-4000-8000-00000000beef";
        assert_eq!(
            spellings(id),
            [
                "4F2B0C9E-0000-4000-8000-00000000BEEF",
                "4f2b0c9e00004000800000000000beef",
                "4F2B0C9E00004000800000000000BEEF"
            ]
        );
        for other in ["", "job-20240101-000000", &id[1..], &id.replace('b', "g")] {
            assert_eq!(spellings(other), Vec::<String>::new(), "{other}");
        }
    }
}
