//! Samples for charts: a bounded ring for each step.

use rusqlite::params;

use super::error::RegistryError;
use super::handle::Registry;
use crate::core::time::Timestamp;

impl Registry {
    /// Returns the samples of `step` from `since` until `until`, oldest first.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub fn samples(
        &self,
        step: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<(Timestamp, String)>, RegistryError> {
        self.read("read samples", |connection| {
            let mut query = connection.prepare_cached(
                "SELECT at, body FROM sample WHERE step = ?1 AND at BETWEEN ?2 AND ?3 ORDER BY at",
            )?;
            let found = query
                .query_map(params![step, since.unix_ms(), until.unix_ms()], |row| {
                    Ok((Timestamp::from_unix_ms(row.get(0)?), row.get(1)?))
                })?;
            Ok(found.collect::<Result<_, rusqlite::Error>>()?)
        })
    }

    /// Saves `samples` of `step`, each in place of an earlier one of the same instant, and keeps
    /// the newest `kept` of them.
    ///
    /// # Errors
    /// When the registry cannot be written. Nothing is changed then.
    pub fn put_samples(
        &self,
        step: &str,
        samples: &[(Timestamp, String)],
        kept: u32,
    ) -> Result<(), RegistryError> {
        self.write("keep samples", |changes| {
            let mut put = changes.prepare_cached(
                "INSERT OR REPLACE INTO sample (step, at, body) VALUES (?1, ?2, ?3)",
            )?;
            for (at, body) in samples {
                put.execute(params![step, at.unix_ms(), body])?;
            }
            changes
                .prepare_cached(
                    "DELETE FROM sample WHERE step = ?1 AND at <= (SELECT at FROM sample
                     WHERE step = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![step, kept])?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_a_ring_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let registry = Registry::open(place.path()).unwrap();
        let at = Timestamp::from_unix_ms;
        let one = |ms: i64, body: &str| (at(ms), body.to_owned());
        for ms in 0..5 {
            registry.put_samples("a", &[one(ms, "first")], 3).unwrap();
        }
        registry.put_samples("b", &[one(1, "other")], 3).unwrap();
        registry.put_samples("a", &[one(3, "again")], 3).unwrap();
        let all = registry.samples("a", at(0), at(9)).unwrap();
        assert_eq!(all, [one(2, "first"), one(3, "again"), one(4, "first")]);
        assert_eq!(
            registry.samples("a", at(3), at(3)).unwrap(),
            [one(3, "again")]
        );
        assert_eq!(
            registry.samples("b", at(0), at(9)).unwrap(),
            [one(1, "other")]
        );
    }
}
