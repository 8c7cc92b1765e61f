//! Listening for notifications, and the reasons why none arrive.
//!
//! **Invariant:** that notifications arrive is believed only after one has, sent over another
//! connection.

use super::{PROOF, Reader, Session};
use crate::clock;
use crate::sources::postgres::catalog;
use crate::sources::postgres::error::{Fault, quoted};
use crate::sources::postgres::plan;
use crate::sources::stats::ChangeDetection;

impl Reader {
    /// Finds out whether notifications arrive; if not, changes are polled.
    pub(super) async fn prove(&mut self, session: &mut Session) -> Result<(), Fault> {
        let why = self.deafness(session).await?;
        let now = clock::now().boot;
        let listens = why.is_none();
        *self.shared.listens.lock() = listens;
        session.next_proof = now + PROOF;
        if listens {
            if session.next_poll.take().is_some() {
                // What happened until now may have been missed.
                session.owes.all = true;
            }
        } else if session.next_poll.is_none() {
            session.next_poll = Some(now + self.shared.options.poll);
            session.polled = None;
        }
        let heard = match &why {
            None => ChangeDetection::Notifications,
            Some(why) => ChangeDetection::Polling { why: why.clone() },
        };
        self.shared.stats.lock().detection = Some(heard);
        if self.state.said != why {
            let name = &self.shared.options.name;
            if let Some(why) = &why {
                tracing::warn!(source = name, "changes are asked for, not heard of: {why}");
            } else {
                tracing::info!(source = name, "changes are heard of by notifications");
            }
            self.state.said = why;
        }
        Ok(())
    }

    /// Returns why notifications do not arrive; `None`: they do.
    async fn deafness(&mut self, session: &Session) -> Result<Option<String>, Fault> {
        let (link, options) = (&session.link, &self.shared.options);
        let channel = &options.channel;
        let listens = link
            .run(&format!("LISTEN \"{}\"", channel.replace('"', "\"\"")))
            .await;
        match listens {
            Ok(()) => {}
            Err(said) if said.ends_the_connection() => return Err(self.fault(&said)),
            Err(said) => return Ok(Some(format!("the server does not let us listen: {said}"))),
        }
        let plan = match plan::plan(link, &session.select).await {
            Ok(plan) => plan,
            Err(said) => {
                let asked = self.shared.select();
                return Err(super::super::shape::wrong(link, &asked, &said).await);
            }
        };
        let lacks = catalog::lacks_triggers(link, &plan.relations, channel)
            .await
            .map_err(|said| self.fault(&said))?;
        if let Some(lacks) = lacks {
            let name = quoted_for_shell(&options.name);
            return Ok(Some(format!(
                "{lacks}\n  install one with: lapsed source sql {name} | psql \"$DATABASE_URL\""
            )));
        }
        match self.lookups.echo().await {
            Ok(_) => Ok(None),
            Err(fault) => Ok(Some(format!(
                "{}\n  a pooler that lends connections for one transaction swallows them: give the source the server's own address",
                fault.to_string().lines().next().unwrap_or_default()
            ))),
        }
    }
}

/// A name as a shell reads it.
fn quoted_for_shell(name: &str) -> String {
    if quoted(name) == name {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}
