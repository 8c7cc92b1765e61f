//! Limits: what is counted, in which order things are removed, and where the removal ends.
//!
//! - [`Sums`]: files and blocks of what each limit counts, changed page by page
//! - [`LazyOrder`]: things in order, without opening what comes later
//! - [`Plan`]: the smallest part of that order that brings a limit to its low mark
//!
//! **Invariant:** pure, and exact: nothing is sampled or estimated.

mod charge;
mod lazy_order;
mod plan;
mod sums;

pub use charge::{Charge, LinkCharge};
pub use lazy_order::LazyOrder;
pub use plan::{Goal, Plan, Verdict};
pub use sums::{Fill, PagePart, SlotCharge, SlotNo, Sums};
