//! Thresholds of disk use that people want to hear of.

use super::Amount;
use crate::core::facts::Space;
use crate::core::size;

/// Thresholds of a root.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Alert {
    /// Free space of its file system.
    pub free_below: Option<Amount>,
    /// Bytes of its files.
    pub size_above: Option<u64>,
}

/// Threshold that is crossed.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Debug,
    serde::Serialize,
    serde::Deserialize,
    strum::IntoStaticStr,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum AlertKind {
    /// The file system has less free space than `free_below`.
    FreeBelow,
    /// The root is larger than `size_above`.
    SizeAbove,
}

/// A value beside its threshold.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub struct Measure {
    /// The threshold.
    #[serde(rename = "alert")]
    pub kind: AlertKind,
    /// Bytes that are free, or that the root has.
    pub bytes: u64,
    /// The threshold in bytes.
    pub threshold: u64,
}

impl AlertKind {
    /// Returns the word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Alert {
    /// Returns true if there is no threshold.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.free_below.is_none() && self.size_above.is_none()
    }

    /// Measures a root of `size` bytes on a file system with `space`; what is unknown is left out.
    pub fn measures(
        &self,
        size: Option<u64>,
        space: Option<Space>,
    ) -> impl Iterator<Item = Measure> {
        let free = self.free_below.zip(space).map(|(least, space)| Measure {
            kind: AlertKind::FreeBelow,
            bytes: space.available_bytes,
            threshold: least.of(space.size_bytes),
        });
        let size = self.size_above.zip(size).map(|(threshold, bytes)| Measure {
            kind: AlertKind::SizeAbove,
            bytes,
            threshold,
        });
        free.into_iter().chain(size)
    }
}

impl Measure {
    /// Describes it, after the name of the root.
    #[must_use]
    pub fn describe(&self, is_crossed: bool) -> String {
        let (bytes, threshold) = (size::short(self.bytes), size::short(self.threshold));
        match (self.kind, is_crossed) {
            (AlertKind::FreeBelow, true) => {
                format!("its file system has {bytes} free, less than {threshold}")
            }
            (AlertKind::FreeBelow, false) => {
                format!("its file system has {bytes} free, enough for free_below = {threshold}")
            }
            (AlertKind::SizeAbove, true) => format!("its size is {bytes}, more than {threshold}"),
            (AlertKind::SizeAbove, false) => {
                format!("its size is {bytes}, not too much for size_above = {threshold}")
            }
        }
    }

    /// Returns true if the threshold is crossed. One that was crossed is so until the value is a
    /// twentieth past the threshold.
    #[must_use]
    pub const fn is_crossed(&self, was_crossed: bool) -> bool {
        let margin = if was_crossed { self.threshold / 20 } else { 0 };
        match self.kind {
            AlertKind::FreeBelow => self.bytes < self.threshold.saturating_add(margin),
            AlertKind::SizeAbove => self.bytes > self.threshold.saturating_sub(margin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_crossed_until_the_value_is_a_twentieth_past_it() {
        for (kind, bytes, first, then) in [
            (AlertKind::FreeBelow, 99, true, true),
            (AlertKind::FreeBelow, 100, false, true),
            (AlertKind::FreeBelow, 104, false, true),
            (AlertKind::FreeBelow, 105, false, false),
            (AlertKind::SizeAbove, 101, true, true),
            (AlertKind::SizeAbove, 100, false, true),
            (AlertKind::SizeAbove, 96, false, true),
            (AlertKind::SizeAbove, 95, false, false),
        ] {
            let measure = Measure {
                kind,
                bytes,
                threshold: 100,
            };
            let found = (measure.is_crossed(false), measure.is_crossed(true));
            assert_eq!(found, (first, then), "{measure:?}");
        }
    }

    #[test]
    fn what_is_unknown_is_not_measured() {
        let alert = Alert {
            free_below: Some(Amount::Share(0.1)),
            size_above: Some(50),
        };
        let space = Space {
            size_bytes: 1000,
            available_bytes: 40,
            inodes: 0,
            available_inodes: 0,
        };
        let kinds = |size, space| -> Vec<(AlertKind, u64, u64)> {
            let measures = alert.measures(size, space);
            measures
                .map(|of| (of.kind, of.bytes, of.threshold))
                .collect()
        };
        assert_eq!(kinds(None, None), []);
        assert_eq!(
            kinds(Some(60), Some(space)),
            [
                (AlertKind::FreeBelow, 40, 100),
                (AlertKind::SizeAbove, 60, 50)
            ]
        );
    }
}
