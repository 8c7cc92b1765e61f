//! Removals that were ordered and wait: by people and programs, by schedules, and by the daemon's
//! start.
//!
//! An order is carried out when everything that was reported before it has been taken in: news of
//! sources and whose everything is because of them, and what has happened in the roots.
//!
//! **Invariant:** an order is carried out under the rules that it was given under, or not at all.
//! **Invariant:** what schedules and the start order is for the breaker as what goes at its
//! deadline is.

use std::sync::Arc;

use super::Engine;
use super::clean::Done;
use super::root_state::RootState;
use super::source_state::SourceState;
use crate::core::policy::Policy;
use crate::core::report::{CleanReport, CleanRequest, Mode};
use crate::core::time::Now;

/// Cleans that wait.
#[derive(Default)]
pub(super) struct Orders(Vec<Order>);

/// A `clean` that waits.
struct Order {
    /// The rules that it was given under.
    policy: Arc<Policy>,
    /// True if it waits until all roots and sources have been read.
    is_of_start: bool,
    request: CleanRequest,
    done: Done,
    stage: Stage,
}

/// Progress of the knowledge of its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// A barrier has to begin.
    Given,
    /// A barrier is under way that began since.
    Covered,
    /// It came through, or is not waited for any more.
    Known,
}

impl Order {
    /// Returns true if it may be carried out, as far as roots and sources are concerned: only the
    /// start's waits for all of them.
    const fn is_ready(&self, is_settled: bool) -> bool {
        is_settled || !self.is_of_start
    }
}

impl Orders {
    fn replace_stage(&mut self, from: Stage, to: Stage, is_settled: bool) {
        for order in &mut self.0 {
            if order.stage == from && order.is_ready(is_settled) {
                order.stage = to;
            }
        }
    }

    /// It is found out anew whose everything is, which has files looked at.
    fn renew(&mut self) {
        self.replace_stage(Stage::Covered, Stage::Given, true);
        self.replace_stage(Stage::Known, Stage::Given, true);
    }

    pub(super) fn on_barrier_through(&mut self) {
        self.replace_stage(Stage::Covered, Stage::Known, true);
    }
}

impl Engine {
    /// Takes an order of the start: it is carried out as soon as all roots that are there, and all
    /// sources that can be read, have been read. `done` is dropped when other rules are in force
    /// before.
    pub fn clean_when_settled(
        &mut self,
        policy: Arc<Policy>,
        request: CleanRequest,
        done: impl FnOnce(CleanReport) + Send + 'static,
    ) {
        self.push_order(Order {
            policy,
            is_of_start: true,
            request,
            done: Box::new(done),
            stage: Stage::Given,
        });
    }

    /// Takes an order. `done` is dropped when other rules are in force before it is carried out.
    pub(super) fn order_clean(&mut self, policy: Arc<Policy>, request: CleanRequest, done: Done) {
        self.push_order(Order {
            policy,
            is_of_start: false,
            request,
            done,
            stage: Stage::Given,
        });
    }

    fn push_order(&mut self, mut order: Order) {
        // Without a daemon everything was read for this order.
        if self.mode == Mode::OnRequest {
            order.stage = Stage::Known;
        }
        self.orders.0.push(order);
    }

    /// Waits for no barrier any more: what is known of files decides, and jobs whose files may not
    /// be known are held. Says whether an order waited.
    pub fn hurry_orders(&mut self) -> bool {
        self.orders.replace_stage(Stage::Given, Stage::Known, true);
        self.orders.on_barrier_through();
        !self.orders.0.is_empty()
    }

    /// Returns true if an order waits for a barrier to begin: one that begins earlier would not
    /// tell what it has to know.
    pub(super) fn has_order_to_cover(&self) -> bool {
        let is_settled = self.is_settled();
        let is_wanted = |order: &Order| order.stage == Stage::Given && order.is_ready(is_settled);
        !self.is_taking_in() && self.orders.0.iter().any(is_wanted)
    }

    /// A barrier begins.
    pub(super) fn cover_orders(&mut self) {
        if !self.is_taking_in() {
            let is_settled = self.is_settled();
            self.orders
                .replace_stage(Stage::Given, Stage::Covered, is_settled);
        }
    }

    /// It is found out anew whose everything is, which has files looked at.
    pub(super) fn renew_arrivals(&mut self) {
        self.arriving.renew_all();
        if self.mode != Mode::OnRequest {
            self.orders.renew();
        }
    }

    /// Carries out the orders that have waited for all that they wait for, and asks for what the
    /// others wait for.
    pub(super) fn check_orders(&mut self, now: Now) {
        if self.orders.0.is_empty() {
            return;
        }
        self.carry_out_known(now);
        self.ask_for_arrivals();
    }

    /// Carries out the orders that have waited for all that they wait for.
    pub(super) fn carry_out_known(&mut self, now: Now) {
        let is_cancelled = |order: &mut Order| order.request.is_cancelled();
        for order in self.orders.0.extract_if(.., is_cancelled) {
            (order.done)(CleanReport::default());
        }
        let policy = Arc::clone(&self.policy);
        self.orders
            .0
            .retain(|order| Arc::ptr_eq(&order.policy, &policy));
        if self.is_taking_in() {
            return;
        }
        let is_settled = self.is_settled();
        let is_known =
            |order: &mut Order| order.stage == Stage::Known && order.is_ready(is_settled);
        let known: Vec<Order> = self.orders.0.extract_if(.., is_known).collect();
        for order in known {
            self.clean(&order.request, order.done, now);
        }
    }

    /// Returns true if news that were told in part are still to come, or to be gone through.
    fn is_taking_in(&self) -> bool {
        self.is_passing() || self.sources.values().any(SourceState::is_partial)
    }

    /// Returns true if nothing more is to be read.
    fn is_settled(&self) -> bool {
        let are_read = self.roots.values().all(RootState::is_settled);
        let are_asked = self.sources.values().all(SourceState::is_settled);
        are_read && are_asked && !self.is_passing()
    }
}
