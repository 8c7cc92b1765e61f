//! Dry run: the looks that come before a removal, and nothing after them.
//!
//! **Invariant:** a preview moves, records and locks nothing, and makes no quarantine.
//! **Invariant:** what the looks before a removal refuse, a preview refuses for the same reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::abort::Abort;
use super::back::refused;
use super::context::LookContext;
use super::hooks::Hooks;
use super::judge::BoundedClock;
use super::location::{RootLocation, unreached};
use super::look::{Handles, Look};
use super::quarantines::unlocked;
use super::reaper::ReapError;
use super::rows::JobLookupCache;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Removal};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::policy::Policy;
use crate::fs::{RootDir, quarantine};

/// Claims that are looked at, and nothing more.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The policy that is asked again.
    pub policy: Arc<Policy>,
    /// Places of the roots; those that are left out are missing.
    pub places: BTreeMap<RootId, RootLocation>,
    /// The claims. Those of one directory are best together.
    pub claims: Vec<Claim>,
}

/// The thread that looks. When this is dropped it ends after the look that it is at; nobody waits
/// for it.
pub struct Previewer {
    looks: Arc<LookContext>,
    /// `None`: it is to end.
    orders: Option<Sender<Preview>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Previewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Previewer").finish_non_exhaustive()
    }
}

impl Previewer {
    /// Starts the thread, which gives its answers to `answer`. Of `hooks` it asks those about
    /// owners, pins and sources.
    ///
    /// # Errors
    /// [`ReapError::Thread`].
    pub fn start(
        hooks: Hooks,
        state_dir: &Path,
        answer: impl Fn(Vec<Reaped>) + Send + 'static,
    ) -> Result<Self, ReapError> {
        let state = state_dir.canonicalize().ok();
        let state = state.and_then(|path| RootDir::open(&path).ok());
        let looks = Arc::new(LookContext::new(hooks, state.map(|dir| dir.key())));
        let (orders, asked): (_, Receiver<Preview>) = channel();
        let ours = Arc::clone(&looks);
        let thread = std::thread::Builder::new()
            .name("preview".to_owned())
            .spawn(move || {
                for preview in asked {
                    answer(look_at(&ours, preview));
                }
            })
            .map_err(ReapError::Thread)?;
        Ok(Self {
            looks,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// Ends the thread, and waits for that: what it holds is closed then.
    pub fn end(&mut self) {
        self.looks.stopping.store(true, Ordering::Relaxed);
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Takes claims. Returns at once; every claim is answered once, unless this is dropped.
    pub fn submit(&self, preview: Preview) {
        // It has ended: so does the process.
        let _ = self.orders.as_ref().map(|orders| orders.send(preview));
    }
}

impl Drop for Previewer {
    fn drop(&mut self) {
        self.looks.stopping.store(true, Ordering::Relaxed);
    }
}

/// The roots of a preview, or the answer for every claim of one that cannot be used.
type Roots = BTreeMap<RootId, Result<RootDir, Outcome>>;

fn look_at(looks: &LookContext, preview: Preview) -> Vec<Reaped> {
    let Preview {
        policy,
        places,
        claims,
    } = preview;
    let roots: Roots = places
        .iter()
        .map(|(&id, place)| (id, open(place)))
        .collect();
    let root_of = |id| match roots.get(&id) {
        Some(root) => root.as_ref().map_err(Outcome::clone),
        None => Err(Outcome::Held(Hold::RootMissing)),
    };
    let look = Look {
        looks,
        policy: &policy,
        root_of: &root_of,
        clock: BoundedClock(clock::now()),
    };
    let mut rows = JobLookupCache::new(looks, &policy);
    let mut done = Vec::new();
    for claim in claims {
        if looks.is_stopping() {
            break;
        }
        let outcome = match preview_one(&look, &claim, &mut rows) {
            Ok(outcome) => Some(outcome),
            Err(abort) => abort.outcome(),
        };
        let Some(outcome) = outcome else { break };
        done.push(Reaped { claim, outcome });
    }
    done
}

fn preview_one(
    look: &Look<'_>,
    claim: &Claim,
    rows: &mut JobLookupCache<'_>,
) -> Result<Outcome, Abort> {
    rows.agree(&claim.owners)?;
    // No lease is held between two claims: the next one may be waited for.
    let mut handles = Handles::new(true);
    let seen = look.look(claim, rows, &mut handles)?;
    for (target, part) in seen.parts() {
        let home = handles.home_of(look.root(target.root)?, target, part);
        let home = home.map_err(|error| unreached(&error))?;
        let (dir, name) = (&home.dir, target.name_of(part));
        let moved = dir.check_move(name);
        moved.map_err(|error| refused(&error, dir, name))?;
    }
    let (files, bytes) = seen.sums();
    Ok(Outcome::Removed(Removal {
        at: clock::now().wall,
        deadline: seen.due.deadline,
        files,
        bytes,
        id: 0,
        pruned: Vec::new(),
        partial: seen.is_partial(),
        share: seen.share,
        trashed: None,
    }))
}

/// Opens the root at `place`, if its quarantine could be had.
fn open(place: &RootLocation) -> Result<RootDir, Outcome> {
    let root = RootDir::open_as(&place.path, place.key).map_err(|error| unreached(&error))?;
    match quarantine::check(&root) {
        Ok(()) => Ok(root),
        Err(error) => Err(Outcome::Held(unlocked(error, root.top()))),
    }
}
