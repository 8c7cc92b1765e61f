//! The surface of an older system as data: its commands, its endpoints, the form of its answers.
//!
//! A declaration ([`Adapter`]) maps parameters to an order of `/v1` by a template, and the report
//! of that order to text or JSON by others. This part reads parameters and renders; others carry
//! out the order, with the roles and limits of everybody.
//!
//! - `declaration`: commands and endpoints
//! - `params`: parameters, from flags, a query or a body
//! - `templates`: sandboxed templates, with `filters` and instants (`instant`)
//! - `context`: names that a template knows, from a [`Report`](crate::types::Report) by `report`
//! - `log`: lines of a log, told by `live` while a run works, with its `progress`
//! - `rendered`: all that a command shows in the end
//! - `run`: from parameters to what is known in the end
//! - `exchange`: recorded exchanges, which are replayed without a daemon
//! - `sample`: invented results, on which templates are tried when the configuration is loaded
//!
//! **Invariant:** a template makes text and nothing else. It has no files, no environment and no
//! clock, its time is bounded, and no order that it makes releases a breaker.
//! **Invariant:** in JSON each value is encoded as one value, whatever is in it.
#![doc = include_str!("DESIGN.md")]

mod context;
mod declaration;
mod exchange;
mod filters;
mod instant;
mod json;
mod live;
mod log;
mod log_line;
mod operation;
mod order;
mod params;
mod progress;
mod rendered;
mod report;
mod run;
mod sample;
mod templates;

pub use context::{Facts, SourceFacts};
pub use declaration::{
    Action, Adapter, Command, Endpoint, ErrorForm, ErrorStatus, ExitStatus, LogTarget, Method,
    OutputFile,
};
pub use exchange::{Exchange, ExchangeError, Outcome, OutputForm};
pub use live::{LiveLog, OnPlanned, OnRemoved};
pub use log::Logged;
pub use log_line::{LogLevel, LogLine, LogMoment};
pub use operation::Operation;
pub use order::{Failure, FailureKind};
pub use params::{Fault, Param, ParamEffect, ParamKind, ParamSetting, Params, Place};
pub use progress::{LogProgress, RemovedThing};
pub use rendered::{Rendered, RenderedFile};
pub use run::{Backend, NotDone, Wish};
pub use sample::Sample;
pub use templates::{Need, Template, TemplateError, Templates, render_once};
