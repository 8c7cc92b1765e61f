//! The nodes that one watch speaks for.
//!
//! **Invariant:** each node is here once; who takes the last one out ends the watch.

use super::node_id::NodeId;

/// The nodes that stand for a directory: more than one while it is reached through two mounts, or
/// while the tree has not learned yet that it was moved.
pub(super) enum NodeSet {
    One(NodeId),
    Many(Vec<NodeId>),
}

/// Outcome of a removal: whether nodes are left.
#[derive(PartialEq, Eq)]
pub(super) enum RemoveOutcome {
    Some,
    None,
}

impl NodeSet {
    pub(super) fn add(&mut self, node: NodeId) {
        match self {
            Self::One(one) if *one == node => {}
            Self::One(one) => *self = Self::Many(vec![*one, node]),
            Self::Many(nodes) if nodes.contains(&node) => {}
            Self::Many(nodes) => nodes.push(node),
        }
    }

    pub(super) fn remove(&mut self, node: NodeId) -> RemoveOutcome {
        match self {
            Self::One(one) if *one == node => RemoveOutcome::None,
            Self::One(_) => RemoveOutcome::Some,
            Self::Many(nodes) => {
                nodes.retain(|other| *other != node);
                match nodes[..] {
                    [] => RemoveOutcome::None,
                    [one] => {
                        *self = Self::One(one);
                        RemoveOutcome::Some
                    }
                    _ => RemoveOutcome::Some,
                }
            }
        }
    }

    pub(super) fn has(&self, node: NodeId) -> bool {
        match self {
            Self::One(one) => *one == node,
            Self::Many(nodes) => nodes.contains(&node),
        }
    }

    pub(super) fn all(&self) -> Vec<NodeId> {
        match self {
            Self::One(node) => vec![*node],
            Self::Many(nodes) => nodes.clone(),
        }
    }

    pub(super) fn each(self, mut each: impl FnMut(NodeId)) {
        match self {
            Self::One(node) => each(node),
            Self::Many(nodes) => nodes.into_iter().for_each(each),
        }
    }
}
