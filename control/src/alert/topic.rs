//! One topic: the last event of each id, and who is told.

use std::collections::BTreeMap;

use proto::value::Level;

use super::{EventState, Handler, Item};

#[derive(Default)]
pub struct Topic {
    pub events: BTreeMap<String, EventState>,
    /// Events since the start of the server.
    pub collected: u64,
    /// Those that the script of the topic's task names.
    own: Vec<Handler>,
    /// Those that were defined for the topic, by id.
    pub defined: BTreeMap<String, Handler>,
    /// Events changed since the last save.
    pub dirty: bool,
    /// The topic of a task that does not run: its events are kept, and nobody sees it.
    hidden: bool,
}

/// A topic as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    pub id: String,
    /// The highest of its events.
    pub level: Level,
    pub collected: u64,
}

impl Topic {
    /// A topic with events of the store.
    pub fn restored(events: BTreeMap<String, EventState>) -> Topic {
        Topic { events, ..Topic::default() }
    }

    /// The topic's task starts.
    pub fn show(&mut self, own: Vec<Handler>) {
        self.own = own;
        self.hidden = false;
    }

    /// The topic's task stops.
    pub fn hide(&mut self) {
        self.own.clear();
        self.collected = 0;
        self.hidden = true;
    }

    pub fn is_shown(&self) -> bool {
        !self.hidden
    }

    /// Takes an event. Its previous level is that of the topic's last event with its id; without one it stays what it was
    /// where the event comes from.
    pub fn collect(&mut self, mut item: Item) {
        self.collected += 1;
        let event = &item.event;
        match self.events.get_mut(&event.id) {
            Some(state) => {
                item.previous = state.level;
                state.turn_into(event);
            }
            None => {
                self.events.insert(event.id.clone(), EventState::of(event));
            }
        }
        self.dirty = true;
        self.own.iter().chain(self.defined.values()).for_each(|handler| handler.send(item.clone()));
    }

    pub fn view(&self, name: &str) -> Option<TopicView> {
        let level = self.events.values().map(|state| state.level).max().unwrap_or(Level::Ok);
        self.is_shown().then(|| TopicView { id: name.to_owned(), level, collected: self.collected })
    }

    /// Whether an event would be dropped by no handler.
    pub fn has_room(&self) -> bool {
        self.own.iter().chain(self.defined.values()).all(Handler::has_room)
    }

    pub fn is_idle(&self) -> bool {
        self.own.iter().chain(self.defined.values()).all(Handler::is_idle)
    }
}
