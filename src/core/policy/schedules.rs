//! Schedules of their own, beside those of rules.

use super::{Policy, Schedule};
use crate::core::facts::RuleId;
use crate::core::recurrence::Recurrence;

/// A schedule: instants at which the daemon does something by itself.
#[derive(Clone, Debug)]
pub struct NamedSchedule {
    /// Its name: unique, never empty.
    pub name: String,
    /// Its instants; `None`: only the start of the daemon.
    pub times: Option<Recurrence>,
    /// The start of the daemon is an instant, too.
    pub on_start: bool,
    /// Maximum delay of an instant, in milliseconds.
    pub jitter_ms: i64,
    /// Instants at which no daemon ran are made up once at the next start.
    pub catch_up: bool,
    /// False: it has no instants.
    pub is_enabled: bool,
    /// Its work.
    pub action: ScheduleAction,
}

/// Work of a [`NamedSchedule`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScheduleAction {
    /// Removes what is due under these rules; `None`: under all that need not be named.
    Clean(Option<Vec<RuleId>>),
    /// Runs a declared command with these parameters.
    Command {
        /// Its name.
        name: String,
        /// Names and values of its parameters.
        params: Vec<(String, String)>,
    },
}

impl ScheduleAction {
    /// Returns true if it removes what is due under the rule behind `id`, which has `schedule`.
    fn covers(&self, id: RuleId, schedule: &Schedule) -> bool {
        match self {
            // A command names its rules when it runs.
            Self::Clean(None) | Self::Command { .. } => *schedule != Schedule::Named,
            Self::Clean(Some(rules)) => rules.contains(&id),
        }
    }
}

impl Policy {
    /// The schedules that are enabled.
    pub fn enabled_schedules(&self) -> impl Iterator<Item = &NamedSchedule> {
        self.schedules.iter().filter(|schedule| schedule.is_enabled)
    }

    /// The enabled schedule that is named `name`.
    #[must_use]
    pub fn schedule_named(&self, name: &str) -> Option<&NamedSchedule> {
        self.enabled_schedules()
            .find(|schedule| schedule.name == name)
    }

    /// The enabled schedules that remove what is due under the rule behind `id`.
    pub fn schedules_of(&self, id: RuleId) -> impl Iterator<Item = &NamedSchedule> {
        let rule = self.rules.get(usize::from(id.0));
        self.enabled_schedules().filter(move |schedule| {
            rule.is_some_and(|rule| schedule.action.covers(id, &rule.schedule))
        })
    }

    /// Instants at which what is due under the rule behind `id` is removed, if that is not at its
    /// deadline: those of the rule, and those of schedules.
    #[must_use]
    pub fn recurrences(&self, id: RuleId) -> Vec<&Recurrence> {
        let own = match self.rules.get(usize::from(id.0)).map(|rule| &rule.schedule) {
            None | Some(Schedule::AtDeadline) => return Vec::new(),
            Some(Schedule::Manual | Schedule::Named) => None,
            Some(Schedule::At(times)) => Some(times),
        };
        let others = self
            .schedules_of(id)
            .filter_map(|schedule| schedule.times.as_ref());
        own.into_iter().chain(others).collect()
    }
}
