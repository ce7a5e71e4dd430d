//! Messages that nobody can read, and that were found after a loss. They are taken in when no request
//! is under way, so that what is outstanding stays known.

use std::time::Instant;

use super::{Action, Machine, Phase};

impl Machine {
    /// What was looked for was found: messages of these sizes.
    pub fn found(&mut self, sizes: Vec<u64>, now: Instant, out: &mut Vec<Action>) {
        let any = !sizes.is_empty();
        self.found = sizes;
        match self.phase {
            _ if !any => {}
            _ if self.books.asked() == 0 => self.deliver_found(now, out),
            Phase::Running => self.retire(false, now, out),
            Phase::Asking { .. } | Phase::Waiting { .. } => self.retire(true, now, out),
            // When the requests are over.
            Phase::Offline | Phase::Retiring { .. } | Phase::Stopped => {}
        }
        self.settle(now, out);
    }

    /// The program gets as many as there is room for. The server sends the others again.
    pub(super) fn deliver_found(&mut self, now: Instant, out: &mut Vec<Action>) {
        let found = std::mem::take(&mut self.found);
        if found.is_empty() || self.gives_back() {
            return;
        }
        let mut count = 0;
        for size in found {
            let bytes = self.books.outstanding_bytes();
            let fits = self.most_bytes().is_none_or(|most| bytes == 0 || bytes + size <= most);
            if self.books.outstanding() >= self.most() || self.wanted() == 0 || !fits {
                break;
            }
            self.books.find(size);
            count += 1;
        }
        if count > 0 {
            out.push(Action::Found { count });
            self.end_if_enough(now, out);
        }
    }
}
