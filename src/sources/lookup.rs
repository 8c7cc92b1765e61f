//! Row of one id in a database.
//!
//! **Invariant:** a row whose id the database takes for the same is never "none": a file that is
//! named after another spelling of it has an owner.

use super::decode::{Columns, Decoder};
use super::error::Fault;
use super::sql_value::SqlValue;
use crate::core::jobs::{JobLookup, JobRow};

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

    /// The same of a part of the row.
    pub(super) fn map<G>(self, map: impl FnOnce(F) -> G) -> Lookup<G> {
        match self {
            Self::Found(found) => Lookup::Found(map(found)),
            Self::OtherSpelling(other) => Lookup::OtherSpelling(other),
            Self::Unnamed => Lookup::Unnamed,
            Self::Missing => Lookup::Missing,
        }
    }
}

/// A job and the values that its row has.
pub(super) struct FoundRow<V> {
    /// The job, complete.
    pub(super) job: JobRow,
    /// Each column of `select`, as it is in the database; empty where they were not asked for.
    pub(super) values: Vec<(String, V)>,
}

/// Rows that a database gives for one id. A column that compares without regard to case, or to
/// zeros before a number, gives others, too.
pub(super) struct Candidates<'a, V> {
    id: &'a str,
    decoder: &'a Decoder,
    found: Option<FoundRow<V>>,
    other: Lookup<FoundRow<V>>,
}

impl<'a, V> Candidates<'a, V> {
    /// None yet.
    pub(super) fn new(decoder: &'a Decoder, id: &'a str) -> Self {
        Self {
            id,
            decoder,
            found: None,
            other: Lookup::Missing,
        }
    }

    /// Adds a row, whose `values` are needed of the first one only.
    ///
    /// # Errors
    /// When it does not say the same of the job as another one.
    pub(super) fn add(
        &mut self,
        columns: &Columns,
        row: &[SqlValue<'_>],
        values: impl FnOnce() -> Vec<(String, V)>,
    ) -> Result<(), Fault> {
        let spelled = columns.id_in(row);
        if spelled.as_deref() != Some(self.id) {
            self.other.or(spelled);
            return Ok(());
        }
        let mut job = self.decoder.decode(columns, row);
        Decoder::complete(columns, row, &mut job);
        match &self.found {
            Some(other) if !other.job.decides_as(&job) => {
                let what = format!(
                    "several rows have the id \"{}\", and do not say the same",
                    self.id
                );
                let mend = "see that it gives one row for each job";
                return Err(Fault::query("select", what, mend));
            }
            Some(_) => {}
            None => {
                let values = values();
                self.found = Some(FoundRow { job, values });
            }
        }
        Ok(())
    }

    /// Returns what there is of the job.
    pub(super) fn into_lookup(self) -> Lookup<FoundRow<V>> {
        self.found.map_or(self.other, Lookup::Found)
    }
}

/// Looks for `id` with `find`, then for its other spellings.
///
/// # Errors
/// Those of `find`.
pub(super) fn in_any_spelling<F>(
    id: &str,
    mut find: impl FnMut(&str) -> Result<Lookup<F>, Fault>,
) -> Result<Lookup<F>, Fault> {
    let mut found = find(id)?;
    for other in spellings(id) {
        if !matches!(found, Lookup::Missing) {
            break;
        }
        found = match find(&other)? {
            Lookup::Found(_) => Lookup::OtherSpelling(other),
            alike => alike,
        };
    }
    Ok(found)
}

/// Returns what `found`, in the database at `place`, means for those who ask for a job.
pub(super) fn answer<V>(found: Result<Lookup<FoundRow<V>>, Fault>, place: &str) -> JobLookup {
    match found {
        Ok(Lookup::Found(found)) => JobLookup::Row(Box::new(found.job)),
        Ok(Lookup::OtherSpelling(other)) => JobLookup::Unknown(format!(
            "it has that job as \"{other}\"; files have to spell the id as the database does"
        )),
        Ok(Lookup::Unnamed) => JobLookup::Unknown(
            "it has a row whose id would be that job's, if it were text or an integer".to_owned(),
        ),
        Ok(Lookup::Missing) => JobLookup::Gone,
        Err(fault) => JobLookup::Unknown(fault.about(place)),
    }
}

/// Returns the other spellings that a database may have of the UUID `id`: without dashes, in
/// capitals. No other ids have other spellings.
fn spellings(id: &str) -> Vec<String> {
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
