//! States in answers, each an enum with the word that stands for it in JSON and in text.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Declares enums of which each variant has its name, in kebab case, for a word.
macro_rules! states {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident,)+
    })+) => {$(
        $(#[$meta])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            Debug,
            Default,
            Serialize,
            Deserialize,
            strum::IntoStaticStr,
            strum::VariantNames,
            ToSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        #[strum(serialize_all = "kebab-case")]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Returns the word in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                self.into()
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
        Ready,
        /// Some root is not known (again) yet.
        Reconciling,
        /// Something is due and held, or cannot be read.
        Holding,
        /// No daemon runs: nothing is removed.
        Offline,
    }

    /// Mode of removals.
    Mode {
        /// At deadlines, by schedules, and on request.
        #[default]
        Live,
        /// On request alone.
        OnRequest,
        /// Never.
        DryRun,
        /// Never: what would be removed is recorded, and what others remove.
        Shadow,
    }

    /// Knowledge of a root.
    RootPhase {
        /// It is not there.
        Missing,
        /// It cannot be opened.
        Unreachable,
        /// It is read for the first time.
        #[default]
        Crawling,
        /// It is compared with what is known.
        Reconciling,
        /// All of it is known.
        Ready,
    }

    /// Kind of a source.
    SourceKind {
        /// Programs report its jobs.
        #[default]
        Api,
        /// An SQLite database.
        Sqlite,
        /// A PostgreSQL database.
        Postgres,
    }

    /// State of a source.
    SourceState {
        /// It is read for the first time.
        Loading,
        /// All of its jobs are known.
        #[default]
        Ready,
        /// It cannot be read.
        Down,
    }

    /// Way in which changes of a source are noticed.
    ChangesBy {
        /// The server notifies them.
        #[default]
        Notifications,
        /// The source is asked at intervals.
        Polling,
    }

    /// State of the cache.
    CacheState {
        /// Changes are saved.
        #[default]
        Ok,
        /// Changes cannot be saved: nothing is removed.
        Failing,
    }

    /// State of a claim.
    ClaimState {
        /// It is a path beneath a root.
        #[default]
        Ok,
        /// It is a path beneath no root.
        Elsewhere,
        /// It claims nothing.
        Refused,
    }

    /// Trigger of a removal.
    Trigger {
        /// Its deadline.
        #[default]
        Deadline,
        /// An instant of its rule's schedule.
        Schedule,
        /// A request.
        Asked,
        /// A request that names the rule.
        Named,
    }

    /// Kind of the thing at a path.
    FoundKind {
        /// A regular file.
        #[default]
        File,
        /// A directory.
        Dir,
        /// A symbolic link; only the client tells it.
        Symlink,
        /// A socket, a pipe or a device; only the client tells it.
        Other,
        /// A part of the quarantine; only the client tells it.
        Quarantine,
    }

    /// Kind of the thing that lapsed as a whole.
    RemovalUnit {
        /// One file.
        #[default]
        File,
        /// A top-level directory.
        Dir,
        /// All that a job owned in the rule's roots.
        Job,
        /// A directory that a removal emptied.
        EmptyDir,
    }

    /// Result of a removal, or change of a pin or a pause.
    RemovalResult {
        /// It is removed.
        #[default]
        Removed,
        /// It is kept in the quarantine.
        Displaced,
        /// It was put back, although an earlier line says that it was removed.
        PutBack,
        /// A pin was set.
        Pinned,
        /// A pin ends at another time.
        Extended,
        /// A pin was taken away.
        Unpinned,
        /// Removals were paused.
        Paused,
        /// A pause was ended before its time.
        Resumed,
        /// It is in the trash, and can come back.
        Trashed,
        /// It came back from the trash.
        Restored,
        /// It was deleted from the trash.
        Purged,
    }
}
