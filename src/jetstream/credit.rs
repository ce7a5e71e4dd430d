//! Flow control. The server sends so much and then asks; it goes on when it is answered. The answer
//! waits until the user has consumed what came before the question.

/// What was delivered, and what the server waits for.
#[derive(Default)]
pub struct Credit {
    delivered: u64,
    consumed: u64,
    owed: Option<Owed>,
    /// Where the last one was answered to, and how often.
    paid: Option<String>,
    times: u32,
}

/// A flow control request that is not answered yet.
struct Owed {
    subject: String,
    delivered: u64,
}

impl Credit {
    /// That of a user for whom the server never has to wait.
    pub fn unlimited() -> Credit {
        Credit { consumed: u64::MAX, ..Credit::default() }
    }

    pub fn delivered(&mut self) {
        self.delivered += 1;
    }

    /// Nothing was ever delivered.
    pub fn has_none(&self) -> bool {
        self.delivered == 0
    }

    /// The user has consumed this many, counted from the start.
    pub fn consumed(&mut self, total: u64) {
        self.consumed = self.consumed.max(total);
    }

    /// An answer is wanted. So many of the last messages need not have been consumed for it.
    pub fn owe(&mut self, subject: &str, spare: u64) {
        let delivered = self.delivered.saturating_sub(spare);
        self.owed = Some(Owed { subject: subject.to_owned(), delivered });
    }

    pub fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// Where an answer is due now; it counts as given.
    pub fn pay(&mut self) -> Option<String> {
        let owed = self.owed.take_if(|owed| owed.delivered <= self.consumed)?;
        self.times = if self.paid() == Some(&owed.subject) { self.times + 1 } else { 1 };
        self.paid = Some(owed.subject.clone());
        Some(owed.subject)
    }

    /// Where the last answer went.
    pub fn paid(&self) -> Option<&str> {
        self.paid.as_deref()
    }

    pub fn times_paid(&self) -> u32 {
        self.times
    }

    pub fn has_consumed(&self, count: u64) -> bool {
        self.consumed >= count
    }

    /// The consumer has gone, and with it what it waits for.
    pub fn forget(&mut self) {
        self.owed = None;
        self.paid = None;
    }
}
