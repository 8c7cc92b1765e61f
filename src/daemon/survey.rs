//! A survey of the roots and sources of a configuration: for `check`, and for questions and dry
//! runs without a daemon.
//!
//! `check` sees what a first start would see. Everything else sees what a run without a daemon
//! would see, with what earlier runs have saved; of the cache it reads a private copy.
//!
//! **Invariant:** a survey writes and makes nothing, takes no lock that a daemon wants, and removes
//! nothing. (SQLite gives a database in WAL mode its `-wal` and `-shm`, as for any reader.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::owner::INBOX_MAX;
use super::parts;
use super::reading::Reading;
use super::saved_state;
use super::sources::Sources;
use crate::cache::{self, Peek, Rules};
use crate::clock;
use crate::config::Settings;
use crate::core::engine::Input;
use crate::core::engine::{Engine, Setup};
use crate::core::jobs::Jobs;
use crate::core::pauses::Pauses;
use crate::core::pins::Pins;
use crate::core::policy::Policy;
use crate::core::report::Mode;
use crate::core::trash::{Trash, TrashFilter};
use crate::ledger::Ledger;
use crate::reap::{OfflineTrash, Previewer};
use crate::registry::{Registry, RegistryError};
use crate::watch;

/// State of earlier runs that a survey uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Baseline {
    /// Nothing: it shows what a start with nothing saved would do.
    FirstStart,
    /// All that was saved: it shows what a run at this moment would do.
    Saved,
    /// Ledger and registry alone: no root and no source is read.
    Records,
    /// Ledger, registry and sources: no root is read.
    Jobs,
}

/// Findings. Dropping them ends the connections to sources.
pub struct Survey {
    pub(super) reading: Reading,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) sources: Arc<Sources>,
    pub(super) previewer: Previewer,
    pub(super) ledger: Arc<Ledger>,
    pub(super) registry: Arc<Registry>,
    pub(super) pins: Arc<Pins>,
    pub(super) pauses: Arc<Pauses>,
    /// Reason why pins, pauses and API jobs are unknown.
    pub unread: Option<RegistryError>,
}

/// Looks at the roots of `policy`, which are those of `settings`, and at their sources.
///
/// # Errors
/// If a thread cannot be started or the ledger cannot be read; unless it is for
/// [`Baseline::FirstStart`], also when the registry cannot be read, since a run would not start
/// then.
pub fn survey(
    settings: &Settings,
    policy: &Arc<Policy>,
    baseline: Baseline,
) -> anyhow::Result<Survey> {
    let opened = Registry::open_to_read(&settings.state_dir).and_then(|registry| {
        let kept = parts::kept(&registry)?;
        Ok((registry, kept))
    });
    let (registry, (pins, pauses), unread) = match (opened, baseline) {
        (Ok((registry, kept)), _) => (registry, kept, None),
        (Err(error), Baseline::FirstStart) => (Registry::empty()?, Default::default(), Some(error)),
        (Err(error), _) => return Err(error.into()),
    };
    let ledger = Arc::new(Ledger::open_to_read(&settings.state_dir.join("ledger"))?);
    let registry = Arc::new(registry);
    let trash = Arc::new(match baseline {
        Baseline::FirstStart | Baseline::Saved => read_trash(policy),
        Baseline::Records | Baseline::Jobs => Trash::default(),
    });
    let now = clock::now();
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let jobs = Arc::<Jobs>::default();
    let mut setup = Setup {
        policy: Arc::clone(policy),
        breaker: settings.breaker,
        // Nothing is claimed by itself.
        mode: Mode::OnRequest,
        guard: parts::guard(None, now, None),
        memory: None,
        jobs: Arc::clone(&jobs),
        pins: Arc::clone(&pins),
        pauses: Arc::clone(&pauses),
        trash: Arc::clone(&trash),
        sources: BTreeMap::new(),
        recording: BTreeSet::new(),
    };
    if baseline == Baseline::Saved {
        // The question is what a run that removes would do.
        let rules = Rules::of(policy, Mode::Live);
        let (memory, clock) = cache::peek(&settings.state_dir, policy, &rules, Peek::Copy);
        setup.guard = parts::guard(clock, now, ledger.last_at());
        setup.memory = Some(memory);
        setup.sources = saved_state::memories(&registry, &settings.sources)?;
        setup.recording = saved_state::unwritten(&registry, &settings.sources)?;
    }
    let sources = Sources::to_read(jobs, Arc::clone(&registry), inbox.clone());
    let hooks = sources.hooks(
        (Arc::clone(&pins), Arc::clone(&pauses), trash),
        inbox.clone(),
        |_, _| {},
        |_, _| {},
    );
    let answers = inbox.clone();
    let previewer = Previewer::start(hooks, &settings.state_dir, move |reaped| {
        let _ = answers.blocking_send(Input::Previewed(reaped));
    })?;
    let roots = match baseline {
        Baseline::FirstStart | Baseline::Saved => parts::watch_roots(policy),
        Baseline::Records | Baseline::Jobs => Vec::new(),
    };
    let options = watch::Options {
        roots,
        ..parts::watch_options(settings)
    };
    let mut survey = Survey {
        reading: Reading::new(Engine::new(setup, now), inputs),
        inbox: inbox.clone(),
        sources,
        previewer,
        ledger,
        registry,
        pins,
        pauses,
        unread,
    };
    if baseline == Baseline::Records {
        return Ok(survey);
    }
    let Survey {
        reading, sources, ..
    } = &mut survey;
    reading.read(
        (&options, inbox),
        (sources, &settings.sources),
        &mut |_, _| {},
    )?;
    Ok(survey)
}

/// Reads what is in the trash of the roots: the records of its jobs wait for it. That of a root
/// that cannot be read stays unknown.
fn read_trash(policy: &Policy) -> Trash {
    let trash = Trash::default();
    for (&id, root) in &policy.roots {
        let all = OfflineTrash::open_to_read(&root.path);
        let all = all.and_then(|found| found.page(&TrashFilter::default(), None, usize::MAX));
        if let Ok(page) = all {
            for item in page.items {
                trash.insert(id, item.what);
            }
            // A job that is missing here may have what cannot be read.
            if page.unreadable.is_empty() {
                trash.set_known(id);
            }
        }
    }
    trash
}

impl Survey {
    /// Holds everything that was found.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.reading.engine
    }
}

impl Drop for Survey {
    fn drop(&mut self) {
        self.reading.close();
        self.sources.interrupt();
    }
}
