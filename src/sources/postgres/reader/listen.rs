//! Listening for notifications, and the reasons why none arrive.
//!
//! **Invariant:** that notifications arrive is believed only after one has, sent over another
//! connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::PostgresReader;
use crate::clock;
use crate::sources::error::Fault;
use crate::sources::postgres::error::quoted;
use crate::sources::postgres::{catalog, plan, shape};
use crate::sources::stats::ChangeDetection;

/// Interval at which it is proven that notifications arrive.
const PROOF: Duration = Duration::from_mins(1);

/// Time limit of the proof: to connect, and to be notified.
const PROOF_MAX: Duration = Duration::from_secs(10);

impl PostgresReader {
    /// Finds out whether notifications arrive; if not, changes are polled.
    pub(super) fn prove(&mut self) -> Result<(), Fault> {
        let why = self.deafness()?;
        self.shared.listens.store(why.is_none(), Ordering::Relaxed);
        if let Some(session) = &mut self.session {
            session.next_proof = clock::now().boot + PROOF;
        }
        self.detection = Some(match why {
            None => ChangeDetection::Notifications,
            Some(why) => ChangeDetection::Polling { why },
        });
        Ok(())
    }

    /// Returns why notifications do not arrive; `None`: they do.
    fn deafness(&self) -> Result<Option<String>, Fault> {
        let (session, options) = (self.session()?, &self.shared.options);
        let (link, channel) = (&session.link, &options.channel);
        match link.run(&format!("LISTEN \"{}\"", channel.replace('"', "\"\""))) {
            Ok(()) => {}
            Err(said) if said.ends_the_connection() => return Err(self.shared.fault(&said)),
            Err(said) => return Ok(Some(format!("the server does not let us listen: {said}"))),
        }
        let plan = plan::plan(link, &session.select)
            .map_err(|said| shape::wrong(link, &self.shared.select(), &said))?;
        let lacks = catalog::lacks_triggers(link, &plan.relations, channel)
            .map_err(|said| self.shared.fault(&said))?;
        if let Some(lacks) = lacks {
            let name = quoted_for_shell(&self.shared.context.name);
            return Ok(Some(format!(
                "{lacks}\n  install one with: lapsed source sql {name} | psql \"$DATABASE_URL\""
            )));
        }
        match self.shared.echo(clock::now().boot + PROOF_MAX) {
            Ok(_) => Ok(None),
            Err(Fault::Stopped) => Err(Fault::Stopped),
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
