//! What a shard's thread waits on: its sockets, a time, and whoever wakes it.
//!
//! ```text
//! add ──► Received … Received ──► Ended          bytes stand in a buffer of the reactor until it is given back
//! watch ─► Readable … Readable                   the owner of the socket reads it itself, until there is nothing left
//! pause / resume                                 a paused socket fills up in the kernel and slows its sender
//! want_write ──► Writable                        once
//! remove ──► Removed                             the last event of a socket; its number is free again
//! ```
//!
//! Two back ends, one meaning: [`uring`] (multishot receives into one ring of buffers for all sockets) and [`epoll`], for
//! kernels and containers that refuse io_uring. Buffers are page-aligned in both ([`pages`]): the kernel's copy into a
//! buffer a few bytes past a page's begin takes several times as long as into one at its begin.

mod datagrams;
mod epoll;
mod pages;
mod probe;
#[cfg(test)]
mod tests;
mod uring;
mod wake;

use std::{io, ops::Range, os::fd::OwnedFd, rc::Rc, str::FromStr, sync::Arc, time::Duration};

pub use datagrams::{Datagrams, set_up as set_up_datagrams};
pub use probe::{Refused, probe};
pub use wake::Wake;

/// Number of a socket, chosen by whoever adds it, small and dense; free again with [`Event::Removed`].
pub type Token = u32;

/// Which back end to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring where the kernel grants it.
    #[default]
    Automatic,
    Uring,
    Epoll,
}

impl Choice {
    pub fn name(self) -> &'static str {
        match self {
            Choice::Automatic => "auto",
            Choice::Uring => "io_uring",
            Choice::Epoll => "epoll",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the receive back end is auto, io_uring or epoll, not {0:?}")]
pub struct UnknownChoice(String);

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Choice, UnknownChoice> {
        match text {
            "" | "auto" => Ok(Choice::Automatic),
            "io_uring" => Ok(Choice::Uring),
            "epoll" => Ok(Choice::Epoll),
            _ => Err(UnknownChoice(text.to_owned())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes for a socket that was added.
    Received(Token, Buffer),
    /// The peer sends no more, or the connection broke.
    Ended(Token),
    /// A watched socket has something to read. Comes again only when more has arrived.
    Readable(Token),
    Writable(Token),
    Removed(Token),
}

/// Received bytes in a buffer of the reactor. Give it back in the same turn: there are few.
#[derive(Debug, PartialEq, Eq)]
pub struct Buffer {
    index: u16,
    range: Range<usize>,
}

/// A back end. Used by the thread that made it only.
pub enum Reactor {
    Uring(Box<uring::Uring>),
    Epoll(epoll::Epoll),
}

/// Calls the same method of whichever back end there is.
macro_rules! each {
    ($reactor:expr, $backend:ident => $call:expr) => {
        match $reactor {
            Reactor::Uring($backend) => $call,
            Reactor::Epoll($backend) => $call,
        }
    };
}

impl Reactor {
    /// Makes a back end for the calling thread; `wake` wakes it out of [`Reactor::wait`]. [`Choice::Automatic`] falls back
    /// to epoll.
    pub fn new(choice: Choice, wake: Arc<Wake>) -> io::Result<Reactor> {
        let uring = match choice {
            Choice::Epoll => None,
            Choice::Uring => Some(uring::Uring::new(wake.clone())?),
            Choice::Automatic => uring::Uring::new(wake.clone()).ok(),
        };
        match uring {
            Some(uring) => Ok(Reactor::Uring(Box::new(uring))),
            None => Ok(Reactor::Epoll(epoll::Epoll::new(wake)?)),
        }
    }

    /// The name of the back end, as [`Choice`] spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Reactor::Uring(_) => Choice::Uring.name(),
            Reactor::Epoll(_) => Choice::Epoll.name(),
        }
    }

    /// Receives on a connected stream socket.
    pub fn add(&mut self, token: Token, socket: Rc<OwnedFd>) -> io::Result<()> {
        each!(self, backend => backend.add(token, socket))
    }

    /// Says when a non-blocking socket can be read.
    pub fn watch(&mut self, token: Token, socket: Rc<OwnedFd>) -> io::Result<()> {
        each!(self, backend => backend.watch(token, socket))
    }

    /// Receives nothing more until [`Reactor::resume`]; what is on its way may still come.
    pub fn pause(&mut self, token: Token) {
        each!(self, backend => backend.pause(token));
    }

    pub fn resume(&mut self, token: Token) {
        each!(self, backend => backend.resume(token));
    }

    /// One [`Event::Writable`] when the socket takes bytes again.
    pub fn want_write(&mut self, token: Token) {
        each!(self, backend => backend.want_write(token));
    }

    /// Lets go of a socket. Bytes may still come until [`Event::Removed`]: they are the first of what is next.
    pub fn remove(&mut self, token: Token) {
        each!(self, backend => backend.remove(token));
    }

    /// Waits for an event, a wake-up, or the time limit; `None` waits for ever, zero looks only.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        each!(self, backend => backend.wait(limit))
    }

    /// The next event; `None` until the next [`Reactor::wait`].
    pub fn next_event(&mut self) -> Option<Event> {
        each!(self, backend => backend.next_event())
    }

    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        each!(self, backend => backend.bytes(buffer))
    }

    pub fn give_back(&mut self, buffer: Buffer) {
        each!(self, backend => backend.give_back(buffer));
    }
}
