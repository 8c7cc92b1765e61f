//! What a run would remove: the looks that come before a removal, and nothing after them.
//!
//! **Invariant:** a preview moves, records and locks nothing, and makes no quarantine.
//! **Invariant:** what the looks before a removal refuse, a preview refuses for the same reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::back::refused;
use super::file_look::{Dirs, FileLook, Pick};
use super::found::End;
use super::judge::{Due, Since};
use super::look::UnitLook;
use super::openers::Openers;
use super::parts::Seen;
use super::place::{Looks, Place, unreached};
use super::quarantines::unlocked;
use super::reaper::{Hooks, ReapError};
use super::rows::Rows;
use crate::clock;
use crate::core::claim::{Claim, Outcome, Reaped, Removal, Unit};
use crate::core::facts::RootId;
use crate::core::hold::Hold;
use crate::core::policy::Policy;
use crate::fs::lease::WhenBusy;
use crate::fs::{Dir, RootDir, quarantine};

/// Claims that are looked at, and nothing more.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The policy that is asked again.
    pub policy: Arc<Policy>,
    /// Where the roots are; those that are left out are missing.
    pub places: BTreeMap<RootId, Place>,
    /// The claims. Those of one directory are best together.
    pub claims: Vec<Claim>,
}

/// The thread that looks. When this is dropped it ends after the look that it is at; nobody waits for it.
pub struct Previewer {
    looks: Arc<Looks>,
    orders: Sender<Preview>,
}

impl std::fmt::Debug for Previewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Previewer").finish_non_exhaustive()
    }
}

impl Previewer {
    /// Starts the thread, which gives its answers to `answer`. Of `hooks` it asks those about owners, pins and sources.
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
        let looks = Arc::new(Looks::new(hooks, state.map(|dir| dir.key())));
        let (orders, asked): (_, Receiver<Preview>) = channel();
        let ours = Arc::clone(&looks);
        std::thread::Builder::new()
            .name("preview".to_owned())
            .spawn(move || {
                for preview in asked {
                    answer(look_at(&ours, preview));
                }
            })
            .map_err(ReapError::Thread)?;
        Ok(Self { looks, orders })
    }

    /// Takes claims. Returns at once; every claim is answered once, unless this is dropped.
    pub fn submit(&self, preview: Preview) {
        // It has ended: so does the process.
        let _ = self.orders.send(preview);
    }
}

impl Drop for Previewer {
    fn drop(&mut self) {
        self.looks.stopping.store(true, Ordering::Relaxed);
    }
}

/// The roots of a preview, or what it means for every claim that one of them cannot be used.
type Roots = BTreeMap<RootId, Result<RootDir, Outcome>>;

fn look_at(looks: &Looks, preview: Preview) -> Vec<Reaped> {
    let Preview {
        policy,
        places,
        claims,
    } = preview;
    let roots: Roots = places
        .iter()
        .map(|(&id, place)| (id, open(place)))
        .collect();
    let since = Since(clock::now());
    let mut rows = Rows::new(looks, &policy);
    let mut dirs = Dirs::new();
    let mut done = Vec::new();
    for claim in claims {
        if looks.is_stopping() {
            break;
        }
        let look = Look {
            looks,
            policy: &policy,
            roots: &roots,
            since,
        };
        let outcome = match claim.unit {
            Unit::File => look.file(&claim, &mut rows, &mut dirs),
            Unit::Dir | Unit::Job => match look.unit(&claim, &mut rows) {
                Ok(outcome) | Err(End::Answer(outcome)) => outcome,
                Err(End::Stopped) => break,
            },
        };
        done.push(Reaped { claim, outcome });
    }
    done
}

/// Opens the root at `place`, if its quarantine could be had.
fn open(place: &Place) -> Result<RootDir, Outcome> {
    let root = RootDir::open_as(&place.path, place.key).map_err(|error| unreached(&error))?;
    match quarantine::check(&root) {
        Ok(()) => Ok(root),
        Err(error) => Err(Outcome::Held(unlocked(error, root.top()))),
    }
}

struct Look<'a> {
    looks: &'a Looks,
    policy: &'a Policy,
    roots: &'a Roots,
    since: Since,
}

impl<'a> Look<'a> {
    fn root(&self, id: RootId) -> Result<&'a RootDir, Outcome> {
        match self.roots.get(&id) {
            Some(root) => root.as_ref().map_err(Outcome::clone),
            None => Err(Outcome::Held(Hold::RootMissing)),
        }
    }

    fn file(&self, claim: &Claim, rows: &mut Rows<'_>, dirs: &mut Dirs) -> Outcome {
        let root = match self.root(claim.root) {
            Ok(root) => root,
            Err(outcome) => return outcome,
        };
        if let Err(hold) = rows.agree(&claim.owners) {
            return Outcome::Held(hold);
        }
        let look = FileLook {
            looks: self.looks,
            policy: self.policy,
            root,
            since: self.since,
        };
        let mut pick = look.pick(claim, dirs, WhenBusy::Wait);
        if matches!(pick, Pick::Full) {
            dirs.clear();
            pick = look.pick(claim, dirs, WhenBusy::Wait);
        }
        match pick {
            Pick::Picked(one) => match movable(&one.dir, &one.name) {
                Ok(()) => removed(one.due, (1, one.facts.size), false),
                Err(outcome) => outcome,
            },
            Pick::Answer(outcome) => outcome,
            // It waited for the lease, and no directory was open.
            Pick::Later | Pick::Full => Outcome::Held(Hold::Unconfirmed),
        }
    }

    fn unit(&self, claim: &Claim, rows: &mut Rows<'_>) -> Result<Outcome, End> {
        let root_of = |id| self.root(id);
        let look = UnitLook {
            looks: self.looks,
            policy: self.policy,
            root_of: &root_of,
            since: self.since,
        };
        let skip_open = self.policy.rule(claim.rule).skip_open;
        let mut openers = Openers::new(skip_open, self.looks.leases_max);
        let seen = look.look(claim, rows, &mut openers)?;
        self.check_parts(&seen)?;
        Ok(removed(seen.due, seen.sums(), seen.is_partial()))
    }

    /// Whether each part of a unit could be moved out of its place.
    fn check_parts(&self, seen: &Seen) -> Result<(), Outcome> {
        for (body, part) in seen.parts() {
            let path = body.path(part);
            let (parent, name) = path.split().expect("invariant: a part is not the root");
            let home = self.root(body.root)?.dir(&parent);
            movable(&home.map_err(|error| unreached(&error))?, name)?;
        }
        Ok(())
    }
}

fn movable(dir: &Dir, name: &[u8]) -> Result<(), Outcome> {
    dir.check_move(name)
        .map_err(|error| refused(&error, dir, name))
}

/// The answer for what would be removed.
fn removed(due: Due, (files, bytes): (u64, u64), partial: bool) -> Outcome {
    Outcome::Removed(Removal {
        at: clock::now().wall,
        deadline: due.deadline,
        files,
        bytes,
        id: 0,
        pruned: Vec::new(),
        partial,
    })
}
