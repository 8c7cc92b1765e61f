//! Identity of a directory in the tree of watches.

/// Names a directory of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl NodeId {
    /// Stands for the quarantines, which are no nodes of the tree.
    pub const QUARANTINE: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };
}
