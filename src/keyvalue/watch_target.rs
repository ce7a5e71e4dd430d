//! What a watch delivers to: its callback and its array, entry by entry or in lists.

use super::codec::Codecs;
use super::entry::Entry;
use super::entry_dict::{EntryWords, value_obj};
use super::object::KeyValue;
use crate::jetstream::context::JetStream;
use crate::tcl::{Interp, List, Obj, ObjectHandle, Prefix};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

pub struct Target {
    handle: ObjectHandle,
    js: Rc<JetStream>,
    codecs: Rc<Codecs>,
    words: EntryWords,
    callback: Option<Prefix>,
    pub array: Option<Obj>,
    /// The callback gets lists.
    pub batch: bool,
    steps: RefCell<VecDeque<Step>>,
    list: RefCell<Vec<Obj>>,
    /// The last revision that was delivered, and how many entries were.
    pub revision: Cell<u64>,
    pub delivered: Cell<u64>,
}

/// A list of entries as it grows, where neither an array nor a codec has a part in it.
pub struct PlainList<'t> {
    target: &'t Target,
    list: List,
    count: u64,
    revision: u64,
}

impl PlainList<'_> {
    pub fn push(&mut self, item: Option<&Entry>) {
        let Some(entry) = item else { return self.list.push(&Obj::empty()) };
        let (key, value) = (Obj::new(entry.key()), value_obj(&self.target.js, entry));
        self.list.push(&self.target.words.dict(entry, &key, &value));
        self.count += 1;
        self.revision = entry.revision;
    }

    pub fn call(self, interp: Interp<'_>) {
        let target = self.target;
        target.delivered.set(target.delivered.get() + self.count);
        if self.revision > 0 {
            target.revision.set(self.revision);
        }
        target.call_back(interp, self.list.into());
    }
}

/// What is still to be done for lists. Traces of the array run in between and may let the event loop
/// bring more: that is put behind, and whoever comes first does it.
enum Step {
    Entry(Entry),
    End,
    /// The list is complete.
    Call,
}

impl Target {
    pub fn new(
        handle: ObjectHandle,
        kv: &KeyValue,
        callback: Option<Vec<Obj>>,
        array: Option<Obj>,
        batch: bool,
    ) -> Target {
        Target {
            handle,
            js: kv.js.clone(),
            codecs: kv.codecs.clone(),
            words: EntryWords::new(&kv.bucket.name),
            batch: batch && callback.is_some(),
            callback: callback.map(Prefix::new),
            array,
            steps: RefCell::default(),
            list: RefCell::default(),
            revision: Cell::new(0),
            delivered: Cell::new(0),
        }
    }

    /// The words of the callback, none without one.
    pub fn callback(&self) -> &[Obj] {
        self.callback.as_ref().map_or(&[][..], Prefix::words)
    }

    pub fn entry(&self, interp: Interp<'_>, entry: &Entry) {
        let Some((key, value)) = self.take_in(entry) else { return };
        self.write(interp, entry, &key, &value);
        if self.callback.is_some() && self.handle.is_alive() {
            self.call_back(interp, self.words.dict(entry, &key, &value));
        }
    }

    pub fn end_of_data(&self, interp: Interp<'_>) {
        self.call_back(interp, Obj::empty());
    }

    /// Delivers entries and, where there is none, the end of the initial data, as one list.
    pub fn list(&self, interp: Interp<'_>, items: Vec<Option<Entry>>) {
        if !items.is_empty() {
            let steps = items.into_iter().map(|item| item.map_or(Step::End, Step::Entry));
            self.steps.borrow_mut().extend(steps.chain([Step::Call]));
        }
        while self.handle.is_alive() {
            let step = self.steps.borrow_mut().pop_front();
            match step {
                Some(Step::Entry(entry)) => {
                    let Some((key, value)) = self.take_in(&entry) else { return };
                    // Before the traces run: what those bring is behind it.
                    self.list.borrow_mut().push(self.words.dict(&entry, &key, &value));
                    self.write(interp, &entry, &key, &value);
                }
                Some(Step::End) => self.list.borrow_mut().push(Obj::empty()),
                Some(Step::Call) => self.call_with_list(interp),
                // What was taken in while somebody else has called.
                None if !self.list.borrow().is_empty() => self.call_with_list(interp),
                None => return,
            }
        }
    }

    /// Delivers the same at once, while nothing of the program can run in between: what there is to
    /// show is made as it comes, and not kept until all has come.
    pub fn plain_list(&self) -> Option<PlainList<'_>> {
        let plain = self.array.is_none() && self.codecs.are_plain();
        plain.then(|| PlainList { target: self, list: List::new(), count: 0, revision: 0 })
    }

    fn call_with_list(&self, interp: Interp<'_>) {
        let list = self.list.take();
        if !list.is_empty() {
            self.call_back(interp, Obj::list(&list));
        }
    }

    /// Counts an entry. Its key and its value as they are shown; nothing if a codec of the program has
    /// destroyed the watcher.
    fn take_in(&self, entry: &Entry) -> Option<(Obj, Obj)> {
        let key = self.codecs.key_out(&self.js, entry.key());
        let value = self.codecs.value_shown(&self.js, entry);
        if !self.handle.is_alive() {
            return None;
        }
        self.delivered.set(self.delivered.get() + 1);
        if entry.revision > 0 {
            self.revision.set(entry.revision);
        }
        Some((key, value))
    }

    /// Writes the element of the array.
    fn write(&self, interp: Interp<'_>, entry: &Entry, key: &Obj, value: &Obj) {
        let Some(array) = &self.array else { return };
        if entry.operation.deletes() {
            interp.unset_element(array, key);
        } else if let Err(failure) = interp.set_var(array, Some(key), value) {
            // A trace of the user threw, or the variable is no array any more.
            interp.background(&failure);
        }
    }

    fn call_back(&self, interp: Interp<'_>, argument: Obj) {
        if let Some(callback) = &self.callback {
            callback.call(interp, [argument]);
        }
    }
}
