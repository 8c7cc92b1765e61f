//! A copy without what sled never gives back, in the cache's place.
//!
//! sled's file does not shrink, and grows under churn. Past a ceiling everything in it goes into a fresh database, which takes
//! its place.
//!
//! **Invariant:** at every instant one of the two is whole, and the next start knows which ([`Places::tidy`]).

use super::db::{Batch, Db};
use super::error::Fault;
use super::place::Places;
use super::value::Tree;

/// Keys that are copied in one batch.
const BATCH_KEYS_MAX: usize = 100;

/// Replaces `db` by a copy of it. The cache is whole afterwards in any case, when it can be opened at all.
pub(super) fn compact(places: &Places, db: Db) -> Result<(Db, Result<(), Fault>), Fault> {
    let copied = copy(places, &db);
    db.close();
    let swapped = match copied {
        Ok(()) => places.swap().map_err(Fault::of_io),
        Err(error) => {
            let _ = places.drop_new();
            Err(error)
        }
    };
    places.tidy().map_err(Fault::of_io)?;
    Ok((Db::open(&places.cache())?, swapped))
}

fn copy(places: &Places, from: &Db) -> Result<(), Fault> {
    places.drop_new().map_err(Fault::of_io)?;
    let to = Db::open(&places.new_copy())?;
    let copied = Tree::ALL
        .into_iter()
        .try_for_each(|tree| copy_tree(from, &to, tree))
        .and_then(|()| to.flush());
    to.close();
    copied
}

fn copy_tree(from: &Db, to: &Db, tree: Tree) -> Result<(), Fault> {
    let mut batch = Batch::new(tree);
    let mut failed = None;
    from.each(tree, |key, payload| {
        // What cannot be believed is left behind.
        if failed.is_none() && payload.is_some() {
            batch.set(key, payload);
            if batch.len >= BATCH_KEYS_MAX {
                let full = std::mem::replace(&mut batch, Batch::new(tree));
                failed = to.apply(full).err();
            }
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    to.apply(batch)
}
