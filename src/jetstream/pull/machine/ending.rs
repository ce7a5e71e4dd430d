//! What the program wants of it: pause, go on, drain, stop.

use std::time::Instant;

use super::super::{Report, State};
use super::{Action, Machine, OnItsWay, Phase, Wish};

impl Machine {
    /// Asks for nothing more, so that what is stored goes to others, until `resume`.
    pub fn pause(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.wish != Wish::Run || self.is_stopped() {
            return;
        }
        self.wish = Wish::Pause;
        if matches!(self.phase, Phase::Running) && self.books.asked() > 0 {
            self.retire(false, now, out);
        }
        self.settle(now, out);
    }

    pub fn resume(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.wish == Wish::Pause {
            self.wish = Wish::Run;
            self.refill(now, out);
            self.settle(now, out);
        }
    }

    /// Ends it: what has come, or is about to, is still handed out.
    pub fn drain(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.end(Report::new(State::Stopped, "drained"), OnItsWay::Taken, now, out);
        self.settle(now, out);
    }

    /// Ends it: what is about to come is given back.
    pub fn stop(&mut self, now: Instant, out: &mut Vec<Action>) {
        let report = Report::new(State::Stopped, "stopped");
        // Nobody waits for what a drain still had to hand out.
        if let Wish::End(_, on_its_way) = &mut self.wish {
            *on_its_way = OnItsWay::GivenBack;
        }
        self.end(report, OnItsWay::GivenBack, now, out);
        self.settle(now, out);
    }

    /// The first reason counts.
    pub(super) fn end(
        &mut self,
        report: Report,
        on_its_way: OnItsWay,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        if self.is_stopped() || matches!(self.wish, Wish::End(..)) {
            return;
        }
        self.wish = Wish::End(Box::new(report), on_its_way);
        match self.phase {
            // What is under way decides when that is over.
            Phase::Retiring { .. } => {}
            _ if self.connected && self.listening => self.retire(false, now, out),
            _ => {
                self.end_if_wanted(out);
            }
        }
    }

    /// Whether it was to end, and now has.
    pub(super) fn end_if_wanted(&mut self, out: &mut Vec<Action>) -> bool {
        let Wish::End(report, _) = &self.wish else { return false };
        let report = (**report).clone();
        self.phase = Phase::Stopped;
        out.push(Action::Ended(report));
        true
    }
}
