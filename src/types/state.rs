//! States in answers, each an enum with the word that stands for it in JSON and in text.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares enums whose variants have a word each.
macro_rules! states {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident = $word:literal,)+
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Returns the word in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}

states! {
    /// Health of the daemon.
    HealthState {
        /// All roots are known, and nothing is held.
        #[default]
        Ready = "ready",
        /// Some root is not known (again) yet.
        Reconciling = "reconciling",
        /// Something is due and held, or cannot be read.
        Holding = "holding",
        /// No daemon runs: nothing is removed.
        Offline = "offline",
    }

    /// Mode of removals.
    Mode {
        /// At deadlines, by schedules, and on request.
        #[default]
        Live = "live",
        /// On request alone.
        OnRequest = "on-request",
        /// Never.
        DryRun = "dry-run",
    }

    /// Knowledge of a root.
    RootPhase {
        /// It is not there.
        Missing = "missing",
        /// It cannot be opened.
        Unreachable = "unreachable",
        /// It is read for the first time.
        #[default]
        Crawling = "crawling",
        /// It is compared with what is known.
        Reconciling = "reconciling",
        /// All of it is known.
        Ready = "ready",
    }

    /// Kind of a source.
    SourceKind {
        /// Programs report its jobs.
        #[default]
        Api = "api",
        /// An SQLite database.
        Sqlite = "sqlite",
        /// A PostgreSQL database.
        Postgres = "postgres",
    }

    /// State of a source.
    SourceState {
        /// It is read for the first time.
        Loading = "loading",
        /// All of its jobs are known.
        #[default]
        Ready = "ready",
        /// It cannot be read.
        Down = "down",
    }

    /// Way in which changes of a source are noticed.
    ChangesBy {
        /// The server notifies them.
        #[default]
        Notifications = "notifications",
        /// The source is asked at intervals.
        Polling = "polling",
    }

    /// State of the cache.
    CacheState {
        /// Changes are saved.
        #[default]
        Ok = "ok",
        /// Changes cannot be saved: nothing is removed.
        Failing = "failing",
    }

    /// State of a claim.
    ClaimState {
        /// It is a path beneath a root.
        #[default]
        Ok = "ok",
        /// It is a path beneath no root.
        Elsewhere = "elsewhere",
        /// It claims nothing.
        Refused = "refused",
    }
}
