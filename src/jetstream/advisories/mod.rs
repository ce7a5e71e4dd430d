//! Advisories: what servers tell of streams and consumers, as JSON under subjects of its own.
//!
//! | file | what it is |
//! |---|---|
//! | `events` | `$js events`: the subscription, and the dict of an advisory |
//! | `kinds` | the kinds, their subjects, and which of them are wanted |

mod events;
mod kinds;

pub use events::register;
