//! The last entry of the initial data. Its `delta` is 0 and that of all others is not, but which one is
//! the last is known only when the next one comes, or the end: so one entry is kept back until then.

use super::entry::Entry;

#[derive(Default)]
pub struct Last {
    entry: Option<Entry>,
    over: bool,
}

impl Last {
    /// Takes the next entry, and gives the one that is known not to be the last.
    pub fn next(&mut self, entry: Entry) -> Option<Entry> {
        if self.over {
            return Some(entry);
        }
        let mut before = self.entry.replace(entry)?;
        before.delta = before.delta.max(1);
        Some(before)
    }

    /// The initial data is over: the last entry, if there is any.
    pub fn end(&mut self) -> Option<Entry> {
        self.over = true;
        let mut last = self.entry.take()?;
        last.delta = 0;
        Some(last)
    }

    pub fn has_entry(&self) -> bool {
        self.entry.is_some()
    }

    /// Takes out the entry that is kept, if it is not to be seen.
    pub fn take_if(&mut self, unwanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        self.entry.take_if(|entry| unwanted(entry))
    }

    /// Forgets the entry that is kept. Whether there was one.
    pub fn forget(&mut self) -> bool {
        self.entry.take().is_some()
    }

    /// There will be no end: what is left.
    pub fn give_up(&mut self) -> Option<Entry> {
        self.over = true;
        self.entry.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(revision: u64, delta: u64) -> Entry {
        let mut entry = Entry::vanished("k", 0);
        (entry.revision, entry.delta) = (revision, delta);
        entry
    }

    fn shown(entry: Option<Entry>) -> Option<(u64, u64)> {
        entry.map(|entry| (entry.revision, entry.delta))
    }

    #[test]
    fn only_the_last_one_has_nothing_behind_it() {
        let mut last = Last::default();
        assert_eq!(shown(last.next(entry(1, 2))), None);
        assert_eq!(shown(last.next(entry(2, 0))), Some((1, 2)));
        assert_eq!(shown(last.next(entry(3, 5))), Some((2, 1)));
        assert_eq!(shown(last.end()), Some((3, 0)));
        assert_eq!(shown(last.next(entry(4, 7))), Some((4, 7)));
        assert_eq!(shown(Last::default().end()), None);
    }

    #[test]
    fn taken_out() {
        let mut last = Last::default();
        last.next(entry(3, 0));
        assert_eq!(shown(last.take_if(|entry| entry.revision < 3)), None);
        assert_eq!(shown(last.take_if(|entry| entry.revision < 4)), Some((3, 0)));
        last.next(entry(4, 0));
        assert!(last.forget() && !last.forget());
        assert_eq!(shown(last.end()), None);
    }

    #[test]
    fn without_an_end() {
        let mut last = Last::default();
        last.next(entry(1, 9));
        assert_eq!(shown(last.give_up()), Some((1, 9)));
        assert_eq!(shown(last.next(entry(2, 3))), Some((2, 3)));
    }
}
