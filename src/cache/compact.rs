//! Compaction: replacement of the database by a smaller copy.
//!
//! sled's file never shrinks, and grows under churn. Above a limit its contents are copied into a
//! new database, which takes its place.
//!
//! **Invariant:** at every instant one of the two must be whole, and the next start must know which
//! ([`CacheFiles::tidy`]).

use super::db::{Batch, Db};
use super::error::Fault;
use super::files::CacheFiles;
use super::value::Tree;

/// Number of keys that are copied in one batch.
const BATCH_KEYS_MAX: usize = 100;

/// Replaces `db` by a copy of it. The cache is whole afterwards, also on error, if it can be
/// opened.
pub(super) fn compact(files: &CacheFiles, db: Db) -> Result<(Db, Result<(), Fault>), Fault> {
    let copied = copy(files, &db);
    db.close();
    let swapped = match copied {
        Ok(()) => files.swap().map_err(Fault::of_io),
        Err(error) => {
            let _ = files.drop_new();
            Err(error)
        }
    };
    files.tidy().map_err(Fault::of_io)?;
    Ok((Db::open(&files.cache())?, swapped))
}

fn copy(files: &CacheFiles, from: &Db) -> Result<(), Fault> {
    files.drop_new().map_err(Fault::of_io)?;
    let to = Db::open(&files.new_copy())?;
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
        // Values that are damaged are not copied.
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
