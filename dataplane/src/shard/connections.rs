//! The connections of a shard: their numbers, their events, and the account of what they hold.

use std::{net::SocketAddr, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use slab::Slab;

use super::{
    command::{Handover, Seat},
    connection::{Connection, Wish},
    inputs::Input,
    limits::{DRAIN_LIMIT, HELD_BYTES_MAX, LINGER, PORTS_MAX, STALL_BYTES, STALL_LIMIT},
    thread::Shard,
};
use crate::reactor::{Reactor, Token};

/// From one look at deadlines to the next, while somebody has one.
pub const SWEEP: Duration = Duration::from_millis(250);

struct Slot {
    connection: Connection,
    stream: Rc<OwnedFd>,
    /// Of connections that may go to the I/O thread.
    client: Option<(SocketAddr, Seat)>,
    /// In the account.
    bytes: usize,
    /// Order of arrival of its body.
    age: u64,
    /// When it last moved, nanoseconds since 1970; one that lingers does not move.
    moved: i64,
    /// How far its body had come, and when that was.
    progress: (usize, i64),
    /// It stands in `work`, or in `committed`.
    listed: bool,
    paused: bool,
    /// Waits for room in the account.
    stalled: bool,
    going: Going,
}

impl Slot {
    /// Whether the connection is on its way out.
    fn is_going(&self) -> bool {
        matches!(self.going, Going::Closes | Going::Leaves)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    Stays,
    Lingers,
    /// The reactor lets go of it; then it is dropped, or handed to the I/O thread.
    Closes,
    Leaves,
}

pub struct Connections {
    slots: Slab<Slot>,
    bytes: usize,
    bytes_max: usize,
    ages: u64,
    /// Connections that want another turn.
    work: Vec<Token>,
    /// Connections whose answer waits for rings to take blocks.
    committed: Vec<Token>,
    stalled: usize,
    lingering: usize,
    /// Connections that closed because they held much while there was no room.
    pub closed_without_room: u64,
    /// Bodies that waited until there was room.
    pub waited_for_room: u64,
}

#[cfg(test)]
mod tests;

/// Tokens of connections follow those of ports.
fn token(index: usize) -> Token {
    PORTS_MAX + index as Token
}

fn index(token: Token) -> usize {
    token.checked_sub(PORTS_MAX).map_or(usize::MAX, |index| index as usize)
}

impl Connections {
    /// `bytes_max` is what they may hold together.
    pub fn new(bytes_max: usize) -> Connections {
        Connections {
            slots: Slab::new(),
            bytes: 0,
            bytes_max,
            ages: 0,
            work: Vec::new(),
            committed: Vec::new(),
            stalled: 0,
            lingering: 0,
            closed_without_room: 0,
            waited_for_room: 0,
        }
    }

    pub fn count(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Whether [`Connections::sweep`] has something to look at.
    pub fn has_deadlines(&self, draining: bool) -> bool {
        self.stalled > 0 || self.lingering > 0 || draining && !self.slots.is_empty()
    }

    /// Takes a connection over.
    pub fn connect(&mut self, reactor: &mut Reactor, shard: &mut Shard, handover: Handover, now: i64) {
        let Handover { stream, peer, buffered, seat } = handover;
        let stream = Rc::new(OwnedFd::from(stream));
        let connection = Connection::new(stream.clone(), Some(peer), buffered.into());
        self.insert(reactor, shard, connection, stream, Some((peer, seat)), now);
    }

    /// Takes a connection that sends lines without HTTP.
    pub fn stream(&mut self, reactor: &mut Reactor, shard: &mut Shard, stream: OwnedFd, input: Arc<Input>, now: i64) {
        let stream = Rc::new(stream);
        let connection = Connection::of_lines(stream.clone(), input);
        self.insert(reactor, shard, connection, stream, None, now);
    }

    fn insert(
        &mut self,
        reactor: &mut Reactor,
        shard: &mut Shard,
        connection: Connection,
        stream: Rc<OwnedFd>,
        client: Option<(SocketAddr, Seat)>,
        now: i64,
    ) {
        let entry = self.slots.vacant_entry();
        let token = token(entry.key());
        if let Err(error) = reactor.add(token, stream.clone()) {
            tracing::error!(%error, "a shard cannot take a connection");
            shard.loads.release(shard.index);
            return;
        }
        entry.insert(Slot {
            connection,
            stream,
            client,
            bytes: 0,
            age: u64::MAX,
            moved: now,
            progress: (0, now),
            listed: false,
            paused: false,
            stalled: false,
            going: Going::Stays,
        });
        self.update(reactor, shard, token, |connection, shard| connection.go_on(shard), now);
        if shard.draining && self.slots.get(index(token)).is_some_and(|slot| slot.connection.is_between_requests()) {
            self.close(reactor, token, Going::Closes);
        }
    }

    /// Takes received bytes; [`Connections::settle`] follows when their buffer is back.
    pub fn received(&mut self, shard: &mut Shard, token: Token, bytes: &[u8]) {
        match self.slots.get_mut(index(token)) {
            Some(slot) if slot.is_going() => slot.connection.keep(bytes),
            Some(slot) => slot.connection.received(shard, bytes),
            None => {}
        }
    }

    pub fn ended(&mut self, reactor: &mut Reactor, shard: &mut Shard, token: Token, now: i64) {
        self.update(reactor, shard, token, |connection, shard| connection.ended(shard), now);
    }

    pub fn writable(&mut self, reactor: &mut Reactor, shard: &mut Shard, token: Token, now: i64) {
        let write = |connection: &mut Connection, shard: &mut Shard| {
            connection.flush();
            connection.go_on(shard);
        };
        self.update(reactor, shard, token, write, now);
    }

    /// The reactor has let go of a connection.
    pub fn removed(&mut self, shard: &mut Shard, token: Token) {
        let Some(slot) = self.slots.try_remove(index(token)) else { return };
        self.bytes -= slot.bytes;
        shard.loads.release(shard.index);
        let Slot { connection, stream, client, going, .. } = slot;
        let Some((peer, seat)) = client.filter(|_| going == Going::Leaves) else { return };
        let buffered = connection.into_held().as_slice().into();
        let Ok(stream) = Rc::try_unwrap(stream) else { return };
        if shard.effects.relays.try_send(Handover { stream: stream.into(), peer, buffered, seat }).is_err() {
            shard.relays_refused += 1;
        }
    }

    /// Gives the connections that want it a turn each.
    pub fn work(&mut self, reactor: &mut Reactor, shard: &mut Shard, now: i64) {
        for token in std::mem::take(&mut self.work) {
            self.unlist(token);
            self.update(reactor, shard, token, |connection, shard| connection.work(shard), now);
        }
    }

    /// Answers bodies whose blocks the rings have taken.
    pub fn answer(&mut self, reactor: &mut Reactor, shard: &mut Shard, now: i64) {
        for token in std::mem::take(&mut self.committed) {
            self.unlist(token);
            self.update(reactor, shard, token, |connection, shard| connection.go_on(shard), now);
        }
    }

    fn unlist(&mut self, token: Token) {
        if let Some(slot) = self.slots.get_mut(index(token)) {
            slot.listed = false;
        }
    }

    /// Closes connections between requests; the others close after their answer.
    pub fn drain(&mut self, reactor: &mut Reactor, shard: &mut Shard, now: i64) {
        for token in self.tokens(|slot| slot.connection.is_between_requests()) {
            self.close(reactor, token, Going::Closes);
        }
        for token in self.tokens(|_| true) {
            if let Some(slot) = self.slots.get_mut(index(token)) {
                slot.moved = now;
            }
        }
        self.make_room(reactor, shard, now);
    }

    /// Lets stalled bodies go on where there is room, and the oldest where there is none.
    pub fn make_room(&mut self, reactor: &mut Reactor, shard: &mut Shard, now: i64) {
        if self.stalled == 0 {
            return;
        }
        let room = self.bytes <= self.bytes_max;
        let oldest = self.oldest();
        for token in self.tokens(|slot| slot.stalled) {
            if (room || Some(token) == oldest)
                && let Some(slot) = self.slots.get_mut(index(token))
            {
                slot.stalled = false;
                slot.moved = now;
                slot.progress.1 = now;
                self.stalled -= 1;
                self.update(reactor, shard, token, |connection, shard| connection.go_on(shard), now);
            }
        }
    }

    /// Ends what keeps others waiting for too long.
    pub fn sweep(&mut self, reactor: &mut Reactor, shard: &mut Shard, now: i64) {
        let older = |slot: &Slot, limit: Duration| now.saturating_sub(slot.moved) > limit.as_nanos() as i64;
        for token in self.tokens(|slot| slot.going == Going::Lingers && older(slot, LINGER)) {
            self.close(reactor, token, Going::Closes);
        }
        if shard.draining {
            for token in self.tokens(|slot| slot.going == Going::Stays && older(slot, DRAIN_LIMIT)) {
                self.close(reactor, token, Going::Closes);
            }
        }
        if self.stalled > 0
            && let Some(oldest) = self.oldest()
            && let Some(slot) = self.slots.get(index(oldest))
            && now.saturating_sub(slot.progress.1) > STALL_LIMIT.as_nanos() as i64
        {
            shard.bodies_stalled += 1;
            self.update(reactor, shard, oldest, |connection, shard| connection.give_up(shard), now);
        }
        self.make_room(reactor, shard, now);
    }

    fn tokens(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<Token> {
        let found = self.slots.iter().filter(|(_, slot)| wanted(slot));
        found.map(|(index, _)| token(index)).collect()
    }

    fn oldest(&self) -> Option<Token> {
        let bodies = self.slots.iter().filter(|(_, slot)| slot.connection.has_body());
        bodies.min_by_key(|(_, slot)| slot.age).map(|(index, _)| token(index))
    }

    /// Lets a connection do something, then does what it wishes.
    fn update(
        &mut self,
        reactor: &mut Reactor,
        shard: &mut Shard,
        token: Token,
        act: impl FnOnce(&mut Connection, &mut Shard),
        now: i64,
    ) {
        match self.slots.get_mut(index(token)) {
            Some(slot) if !slot.is_going() => act(&mut slot.connection, shard),
            _ => return,
        }
        self.settle(reactor, token, now);
    }

    /// Does what a connection wishes after something has happened to it.
    pub fn settle(&mut self, reactor: &mut Reactor, token: Token, now: i64) {
        let Some(slot) = self.slots.get_mut(index(token)).filter(|slot| !slot.is_going()) else { return };
        if slot.going == Going::Stays {
            slot.moved = now;
        }
        let (bytes, come) = (slot.connection.bytes(), slot.connection.body_bytes());
        self.bytes = self.bytes - slot.bytes + bytes;
        slot.bytes = bytes;
        if !slot.connection.has_body() {
            slot.age = u64::MAX;
        } else if slot.age == u64::MAX {
            slot.age = self.ages;
            slot.progress = (come, now);
            self.ages += 1;
        }
        if come < slot.progress.0 || come - slot.progress.0 >= STALL_BYTES {
            slot.progress = (come, now);
        }
        if self.bytes > self.bytes_max && !self.has_room(token) {
            self.closed_without_room += 1;
            return self.close(reactor, token, Going::Closes);
        }
        let Some(slot) = self.slots.get_mut(index(token)) else { return };
        match slot.connection.wish() {
            Wish::Go => {}
            Wish::Work if slot.stalled => {}
            Wish::Work if slot.listed => {}
            Wish::Work => {
                slot.listed = true;
                self.work.push(token);
            }
            Wish::Leave => return self.close(reactor, token, Going::Leaves),
            Wish::Close => return self.close(reactor, token, Going::Closes),
            Wish::Linger if slot.going == Going::Stays => {
                slot.going = Going::Lingers;
                self.lingering += 1;
            }
            Wish::Linger => {}
        }
        if slot.connection.is_committed() && !slot.listed {
            slot.listed = true;
            self.committed.push(token);
        }
        if slot.connection.wants_write() {
            reactor.want_write(token);
        }
        let pause = slot.stalled || !slot.connection.receives();
        if pause != slot.paused {
            slot.paused = pause;
            if pause {
                reactor.pause(token);
            } else {
                reactor.resume(token);
            }
        }
    }

    /// Over the limit: whether the connection may stay. Bodies but the oldest wait; what else holds much must go.
    fn has_room(&mut self, token: Token) -> bool {
        let oldest = self.oldest();
        let Some(slot) = self.slots.get_mut(index(token)) else { return true };
        if !slot.connection.has_body() {
            return slot.connection.is_committed() || slot.bytes <= HELD_BYTES_MAX;
        }
        if Some(token) != oldest && !slot.stalled {
            slot.stalled = true;
            self.stalled += 1;
            self.waited_for_room += 1;
        }
        true
    }

    fn close(&mut self, reactor: &mut Reactor, token: Token, going: Going) {
        let Some(slot) = self.slots.get_mut(index(token)) else { return };
        self.lingering -= usize::from(slot.going == Going::Lingers);
        self.stalled -= usize::from(std::mem::take(&mut slot.stalled));
        slot.going = going;
        reactor.remove(token);
    }
}
