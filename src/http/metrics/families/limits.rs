//! Families of metrics of limits.

use strum::VariantNames as _;

use super::Exposition;
use crate::types::{LimitLine, LimitState};

/// Name, help, and value of a gauge.
type Gauge = (&'static str, &'static str, fn(&LimitLine) -> Option<u64>);

/// Adds them.
pub(super) fn add(all: &mut Exposition, limits: &[LimitLine]) {
    if limits.is_empty() {
        return;
    }
    let gauges: [Gauge; 6] = [
        (
            "lapsed_limit_bytes",
            "Bytes on disk that the limit counts.",
            |of| Some(of.bytes),
        ),
        (
            "lapsed_limit_max_bytes",
            "Most bytes that the limit allows.",
            |of| of.max_size,
        ),
        ("lapsed_limit_files", "Files that the limit counts.", |of| {
            Some(of.files)
        }),
        (
            "lapsed_limit_max_files",
            "Most files that the limit allows.",
            |of| of.max_files,
        ),
        (
            "lapsed_limit_min_free_bytes",
            "Bytes that the file system is to have free.",
            |of| of.min_free,
        ),
        (
            "lapsed_limit_min_free_inodes",
            "Inodes that the file system is to have free.",
            |of| of.min_free_inodes,
        ),
    ];
    for (name, help, value) in gauges {
        let mut family = all.family(name, help);
        for of in limits {
            if let Some(value) = value(of) {
                family.sample(&labels(of), value);
            }
        }
    }
    let mut family = all.family("lapsed_limit_state", "1 for the state of the limit.");
    for of in limits {
        family.states(&labels(of), LimitState::VARIANTS, of.state.as_str());
    }
}

fn labels(of: &LimitLine) -> [(&'static str, &str); 3] {
    [
        ("root", of.root.as_str()),
        ("rule", of.rule.as_deref().unwrap_or_default()),
        ("owner", of.owner.as_deref().unwrap_or_default()),
    ]
}
