//! Answers to questions while no daemon runs: the use cases of a daemon, on a survey.
//!
//! **Invariant:** it answers from what was read when it began, and changes nothing. Orders never
//! come here, except dry runs.

use std::sync::Arc;

use anyhow::Context;

use super::parts;
use super::settings::describe;
use super::space::SpaceProbe;
use super::survey::{Baseline, Survey, survey};
use super::trash_door::TrashOnDisk;
use crate::app::access::tokens::Tokens;
use crate::app::access::{Access, Authorizer};
use crate::app::{Daemon, EngineLink, Events, Parts};
use crate::clock;
use crate::config::Settings;
use crate::core::effect::Effect;
use crate::core::engine::Input;
use crate::notifications::Notifications;
use crate::types::{Cache, Watches};

/// Reads what `settings` and `baseline` say, and returns a daemon that answers questions.
///
/// # Errors
/// If the registry or the ledger cannot be read, or a thread cannot be started.
pub fn offline(mut settings: Settings, baseline: Baseline) -> anyhow::Result<Arc<Daemon>> {
    let started = clock::now().wall;
    let described = describe(&settings);
    let adapter = Arc::clone(&settings.adapter);
    let mut policy = std::mem::take(&mut settings.policy);
    // Roots that a run would make are empty.
    for root in policy.roots.values_mut() {
        root.optional |= settings.create.contains(&root.path);
    }
    let policy = Arc::new(policy);
    let roots = policy.roots.iter();
    let on_disk = roots.map(|(id, root)| (*id, root.path.clone())).collect();
    let survey = survey(&settings, &policy, baseline)?;
    let inbox = survey.inbox.clone();
    let link = EngineLink::new(survey.inbox.clone(), move |token| {
        let inbox = inbox.clone();
        // The engine has taken in everything that was read.
        tokio::spawn(async move { inbox.send(Input::Synced(token)).await });
    });
    let engine = survey.engine();
    let tokens = survey.registry.tokens()?;
    let notifications = Notifications::new(Arc::clone(&survey.registry), None);
    notifications.set(std::mem::take(&mut settings.receivers));
    let daemon = Arc::new(Daemon::new(Parts {
        index: Arc::clone(engine.index()),
        jobs: Arc::clone(engine.jobs()),
        pins: Arc::clone(&survey.pins),
        pauses: Arc::clone(&survey.pauses),
        policy,
        link: link.clone(),
        ledger: Arc::clone(&survey.ledger),
        registry: Arc::clone(&survey.registry),
        notifications: Arc::new(notifications),
        ask_source: survey.sources.asked(),
        sources: survey.sources.report(),
        catch_up: survey.sources.caught_up(),
        is_api: survey.sources.known_as_api(),
        trash: Box::new(TrashOnDisk(on_disk)),
        shadow: parts::shadow_to_read(&settings),
        is_shadow: false,
        events: Arc::new(Events::new(started)),
        watches: Box::new(Watches::default),
        cache: Box::new(Cache::default),
        space: SpaceProbe::ask(),
        ports: Box::new(Vec::new),
        access: Access::new(Authorizer::of_process(None)?, Tokens::new(tokens)),
        started,
        settings: described,
        adapter,
    }));
    let thread = std::thread::Builder::new().name("engine".to_owned());
    thread
        .spawn(move || answer(survey, &link))
        .context("cannot start the engine")?;
    Ok(daemon)
}

/// Steps the engine for requests; ends with the process.
fn answer(mut survey: Survey, link: &EngineLink) {
    while let Some(input) = survey.reading.next() {
        let previewer = &survey.previewer;
        survey.reading.step(input, &mut |engine, effect| {
            if let Effect::Preview(claims) = effect {
                previewer.submit(parts::preview(engine, claims.clone()));
            }
            if let Effect::Synced(token) = effect {
                link.synced(*token);
            }
        });
    }
}
