//! Requests, answers, events and errors: one type for each, written by one side and read by the
//! other.
//!
//! **Invariant:** times are RFC 3339 in UTC with milliseconds; what is absent is `null`.

mod backup;
mod breaker;
mod clean;
mod displaced;
mod error;
mod event;
mod explain;
mod files;
mod history;
mod jobs;
mod json_path;
mod limits;
mod moment;
mod notify;
mod parameters;
mod pause;
mod pins;
mod plan;
mod query;
mod reload;
mod report;
mod runs;
mod samples;
mod saved;
mod settings;
mod shadow;
mod space;
mod state;
mod stats;
mod status;
mod sync;
mod tally;
mod tokens;
mod trash;
mod value;
mod whoami;

pub use backup::BackupManifest;
pub use breaker::{Breaker, Release, Released, Trip};
pub use clean::{CleanOrder, CleanThing};
pub use displaced::{Displaced, DisplacedRemove, DisplacedRestore, DisplacedThing};
pub use error::Problem;
pub use event::{Event, EventLine, Gap};
pub use explain::{Explanation, HoldLine, PastRemoval};
pub use files::{Entry, Files};
pub use history::{History, Removal, RemovalPause, RemovalPin};
pub use jobs::{
    Claim, Job, JobLine, JobOrder, JobRemoval, Jobs, OrphanTrip, PendingRecord, RefusedClaims,
    Source,
};
pub use json_path::{JsonPath, OptionalPath};
pub use limits::{LimitExcess, LimitLine, LimitPlace, LimitState, Limits};
pub use moment::Moment;
pub use notify::{
    Delivery, Notify, NotifyAttempt, NotifyChanged, NotifyKind, NotifyOrder, NotifyQuery,
    NotifySeverity, NotifyTested, Receiver,
};
pub use parameters::{QueryError, from_query, to_query};
pub use pause::{Pause, PauseOrder, Pauses, ResumeQuery, Resumed};
pub use pins::{Pin, PinChange, PinOrder, Pins};
pub use plan::{Plan, PlanGroup, PlanHour};
pub use query::{
    By, EventsQuery, ExplainQuery, FilesQuery, HealthQuery, HistoryQuery, JobsQuery, NoQuery,
    PlanQuery, RunQuery, RunsQuery, SamplesQuery, ShadowQuery, SortBy, SortOrder, SourceQuery,
    SpaceQuery, StatsQuery,
};
pub use reload::Reloaded;
pub use report::{
    ErrorKind, JobRecord, Report, ReportError, ReportItem, ReportJob, ReportThing, RootTotals,
    RuleTotals,
};
pub use runs::{LedgerRange, Run, RunDetails, RunReport, RunSummary, Runs};
pub use samples::{LimitSample, RootSample, Sample, SampleStep, Samples};
pub use saved::{Cache, Loaded, Pass, Reconciliation, SetAside};
pub use settings::{RootSettings, RuleSettings, ScheduleSettings, Settings, seconds};
pub use shadow::{Shadow, ShadowState, ShadowThing, ShadowTotal};
pub use space::{RootSpace, RuleSpace, Space};
pub use state::{
    CacheState, ChangesBy, ClaimState, FoundKind, HealthState, Mode, RemovalResult, RemovalUnit,
    RootPhase, SourceKind, SourceState, Trigger,
};
pub use stats::{JobCounts, JobTotal, Total, Totals};
pub use status::{
    Configuration, Due, FailedReload, Health, HeldLine, HttpListener, Lateness, LatenessBucket,
    Ledger, NextDeadline, Queues, RemovalSum, RootLine, RuleLine, Status, TlsState, Volume, Waits,
    Watches,
};
pub use sync::Synced;
pub use tally::Tally;
pub use tokens::{NewToken, Token, TokenOrder, Tokens};
pub use trash::{
    Emptied, EmptyOrder, LeftInTrash, RestoredPath, Trash, TrashQuery, TrashTotal, TrashedThing,
    UndoOrder, Undone,
};
pub use value::{Bytes, Retention, Since, Size, Span};
pub use whoami::Whoami;
