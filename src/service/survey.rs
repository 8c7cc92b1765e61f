//! A look at the roots and sources of a configuration before a daemon runs with it, or beside one that does.
//!
//! It sees what a first start would see: what an earlier daemon saved of the trees is left alone, since it could be read only by taking
//! it from the daemon.
//!
//! **Invariant:** nothing is written or made by us, no lock is taken that a daemon wants, and nothing lapses. (A database in WAL mode gets
//! its `-wal` and `-shm` from SQLite when it is read, as from any reader.)

use std::sync::Arc;

use tokio::sync::mpsc;

use super::owner::INBOX_MAX;
use super::parts;
use super::reading::Reading;
use super::sources::Sources;
use crate::clock;
use crate::config::Settings;
use crate::core::engine::{Engine, Setup};
use crate::core::jobs::Jobs;
use crate::core::policy::Policy;
use crate::core::report::Mode;
use crate::registry::{Registry, RegistryError};
use crate::watch;

/// What was found. Dropping it ends the asking of sources.
pub struct Survey {
    reading: Reading,
    sources: Arc<Sources>,
    /// Why pins and jobs that were told to a daemon are not known.
    pub unread: Option<RegistryError>,
}

/// Looks at the roots of `policy`, which are those of `settings`, and at their sources.
///
/// # Errors
/// When a thread cannot be started.
pub fn survey(settings: &Settings, policy: Arc<Policy>) -> anyhow::Result<Survey> {
    let opened = Registry::open_to_read(&settings.state_dir).and_then(|registry| {
        let pins = registry.pins()?;
        Ok((registry, pins))
    });
    let (registry, pins, unread) = match opened {
        Ok((registry, pins)) => (registry, pins, None),
        Err(error) => (Registry::empty()?, Vec::new(), Some(error)),
    };
    let (inbox, inputs) = mpsc::channel(INBOX_MAX);
    let jobs = Arc::<Jobs>::default();
    let sources = Sources::to_read(Arc::clone(&jobs), Arc::new(registry), inbox.clone());
    let options = watch::Options {
        roots: parts::watch_roots(&policy),
        ..parts::watch_options(settings)
    };
    let now = clock::now();
    let setup = Setup {
        policy,
        breaker: settings.breaker,
        // Nothing is claimed by itself.
        mode: Mode::OnRequest,
        guard: parts::guard(None, now, None),
        memory: None,
        jobs,
        pins: parts::pins(pins),
        sources: std::collections::BTreeMap::new(),
        recording: std::collections::BTreeSet::new(),
    };
    let mut survey = Survey {
        reading: Reading::new(Engine::new(setup, now), inputs),
        sources,
        unread,
    };
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
        self.sources.stop();
    }
}
