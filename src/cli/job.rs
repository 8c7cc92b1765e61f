//! `lapsed job put|get|ls|rm`: the jobs whose files are kept or lapse with them.

use clap::{Args, Subcommand};

use super::app::{Context, End};
use super::{job_get, job_ls, job_put, job_rm};
use crate::types::SourceQuery;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Tell of a job, all of it: what is left out is not so any more
    Put(Box<job_put::Arguments>),
    /// What its source tells of a job now
    Get(job_get::Arguments),
    /// List jobs
    Ls(job_ls::Arguments),
    /// Forget a job that was told of here: its files are nobody's then
    Rm(job_rm::Arguments),
}

/// Which job.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The job's id
    pub(super) id: String,
    /// Its source, where several are to choose from
    #[arg(long, value_name = "NAME")]
    pub(super) source: Option<String>,
}

impl Which {
    /// Returns the parameters of a request about the job.
    pub(super) fn query(&self) -> SourceQuery {
        SourceQuery {
            source: self.source.clone(),
        }
    }
}

pub(super) async fn run(context: &mut Context, arguments: &Arguments) -> anyhow::Result<End> {
    match &arguments.order {
        Order::Put(arguments) => job_put::run(context, arguments).await,
        Order::Get(arguments) => job_get::run(context, arguments).await,
        Order::Ls(arguments) => job_ls::run(context, arguments).await,
        Order::Rm(arguments) => job_rm::run(context, arguments).await,
    }
}
