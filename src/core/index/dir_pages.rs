//! The pages of one directory.
//!
//! **Invariant:** a page is here once, and those that came earlier stand before those that came
//! later.

use super::names::NameIndex;
use super::record::PageId;

/// The pages of a directory: most have one at most.
pub(super) enum DirPages {
    None,
    One(PageId),
    Many(Box<ManyPages>),
}

/// The pages of a directory with several.
pub(super) struct ManyPages {
    /// In order of arrival.
    order: Vec<PageId>,
    /// Page of each name, once there are too many pages to search.
    names: Option<NameIndex>,
}

impl DirPages {
    /// In order of arrival.
    pub(super) fn ids(&self) -> &[PageId] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(many) => &many.order,
        }
    }

    pub(super) fn names(&self) -> Option<&NameIndex> {
        match self {
            Self::None | Self::One(_) => None,
            Self::Many(many) => many.names.as_ref(),
        }
    }

    pub(super) fn names_mut(&mut self) -> Option<&mut NameIndex> {
        match self {
            Self::None | Self::One(_) => None,
            Self::Many(many) => many.names.as_mut(),
        }
    }

    /// Puts another name index in place.
    pub(super) fn set_names(&mut self, names: NameIndex) {
        match self {
            Self::Many(many) => many.names = Some(names),
            Self::None | Self::One(_) => {
                unreachable!("only directories with many pages have a name index")
            }
        }
    }

    /// Gives the name index up: pages are searched one by one again.
    pub(super) fn drop_names(&mut self) {
        if let Self::Many(many) = self {
            many.names = None;
        }
    }

    /// Adds a page behind the others.
    pub(super) fn push(&mut self, id: PageId) {
        match self {
            Self::None => *self = Self::One(id),
            Self::One(first) => {
                let order = vec![*first, id];
                *self = Self::Many(Box::new(ManyPages { order, names: None }));
            }
            Self::Many(many) => many.order.push(id),
        }
    }

    /// Takes a page out; a name index must not know it any more, and goes when fewer than `indexed`
    /// pages are left.
    pub(super) fn remove(&mut self, id: PageId, indexed: usize) {
        if let Self::Many(many) = self {
            // From behind, where whole directories are dropped from.
            let place = many.order.iter().rposition(|&other| other == id);
            many.order
                .remove(place.expect("invariant: a page of this directory"));
            if many.order.len() < indexed {
                many.names = None;
            }
            if let &[last] = &many.order[..] {
                *self = Self::One(last);
            }
        } else {
            *self = Self::None;
        }
    }
}
