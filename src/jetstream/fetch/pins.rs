//! Pins: of a consumer with the policy `pinned_client` one client is served, and knows itself by an ID
//! that comes with its messages. Fetches of a connection are one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::pull::Source;
use crate::lock::lock;

/// The pins of a connection's fetches, by consumer and priority group.
#[derive(Clone, Default)]
pub struct Pins(Arc<Mutex<HashMap<(Source, String), Known>>>);

enum Known {
    Pin(String),
    /// The consumer has no pins: what messages say of one is that of another consumer.
    None,
}

/// The pin of one consumer and group.
pub struct Pin {
    pins: Pins,
    key: (Source, String),
}

impl Pins {
    pub fn of(&self, source: Source, group: String) -> Pin {
        Pin { pins: self.clone(), key: (source, group) }
    }
}

impl Pin {
    /// What the next request says.
    pub fn id(&self) -> Option<String> {
        match lock(&self.pins.0).get(&self.key)? {
            Known::Pin(id) => Some(id.clone()),
            Known::None => None,
        }
    }

    /// A message has come with this pin.
    pub fn seen(&self, id: &str) {
        let mut pins = lock(&self.pins.0);
        match pins.get_mut(&self.key) {
            Some(Known::Pin(known)) if known == id => {}
            Some(Known::Pin(known)) => id.clone_into(known),
            Some(Known::None) => {}
            None => drop(pins.insert(self.key.clone(), Known::Pin(id.to_owned()))),
        }
    }

    /// The server has ended a request with this status.
    pub fn ended(&self, status: u16) {
        let mut pins = lock(&self.pins.0);
        match (status, pins.get(&self.key)) {
            // Somebody else has it now.
            (423, Some(Known::Pin(_))) => drop(pins.remove(&self.key)),
            (400, Some(Known::Pin(_))) => drop(pins.insert(self.key.clone(), Known::None)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_pins() {
        let pins = Pins::default();
        let source = || Source { stream: "S".into(), consumer: "C".into() };
        let (pin, other) = (pins.of(source(), "g".into()), pins.of(source(), "h".into()));
        assert_eq!(pin.id(), None);
        pin.seen("1");
        pin.seen("2");
        assert_eq!((pins.of(source(), "g".into()).id(), other.id()), (Some("2".into()), None));
        pin.ended(408);
        assert_eq!(pin.id(), Some("2".into()));
        pin.ended(423);
        assert_eq!(pin.id(), None);
        // A mistake that was not that of a pin.
        pin.ended(400);
        pin.seen("3");
        assert_eq!(pin.id(), Some("3".into()));
        pin.ended(400);
        pin.seen("4");
        assert_eq!(pin.id(), None);
    }
}
