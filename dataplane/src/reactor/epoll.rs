//! The back end for systems without io_uring: epoll, level-triggered, and one buffer that every receive uses in turn.

use std::{collections::VecDeque, io, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use rustix::{
    event::{
        Timespec,
        epoll::{self, EventData, EventFlags},
    },
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{Buffer, Event, Token, Wake, pages::Pages};

/// Bytes of one receive. From here on the copy is all that counts.
const BUFFER_BYTES: usize = 256 << 10;

/// Sockets that one wait reports.
const EVENTS: usize = 256;

/// Mark of the wake-up among tokens.
const WAKE: u64 = u64::MAX;

#[derive(Debug)]
struct Socket {
    descriptor: Rc<OwnedFd>,
    receives: bool,
    wants_write: bool,
    /// Its owner reads it.
    watched: bool,
    ended: bool,
}

impl Socket {
    fn flags(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN | EventFlags::RDHUP, self.receives);
        flags.set(EventFlags::OUT, self.wants_write);
        flags.set(EventFlags::ET, self.watched);
        flags
    }
}

pub struct Epoll {
    epoll: OwnedFd,
    /// Open as long as it is listened to.
    _wake: Arc<Wake>,
    pages: Pages,
    /// What the last wait found and `next_event` has not looked at.
    ready: VecDeque<(Token, EventFlags)>,
    found: Vec<epoll::Event>,
    queued: VecDeque<Event>,
    sockets: Vec<Option<Socket>>,
}

impl Epoll {
    pub fn new(wake: Arc<Wake>) -> io::Result<Epoll> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        // Edge-triggered: nobody has to read the event.
        epoll::add(&epoll, &*wake, EventData::new_u64(WAKE), EventFlags::IN | EventFlags::ET)?;
        Ok(Epoll {
            epoll,
            _wake: wake,
            pages: Pages::new(BUFFER_BYTES)?,
            ready: VecDeque::new(),
            found: Vec::with_capacity(EVENTS),
            queued: VecDeque::new(),
            sockets: Vec::new(),
        })
    }

    pub fn add(&mut self, token: Token, descriptor: Rc<OwnedFd>) -> io::Result<()> {
        self.insert(token, Socket { descriptor, receives: true, wants_write: false, watched: false, ended: false })
    }

    pub fn watch(&mut self, token: Token, descriptor: Rc<OwnedFd>) -> io::Result<()> {
        self.insert(token, Socket { descriptor, receives: true, wants_write: false, watched: true, ended: false })
    }

    fn insert(&mut self, token: Token, socket: Socket) -> io::Result<()> {
        epoll::add(&self.epoll, &*socket.descriptor, EventData::new_u64(token.into()), socket.flags())?;
        let index = token as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.sockets.get_mut(index) {
            *slot = Some(socket);
        }
        Ok(())
    }

    pub fn pause(&mut self, token: Token) {
        self.change(token, |socket| socket.receives = false);
    }

    pub fn resume(&mut self, token: Token) {
        self.change(token, |socket| socket.receives = true);
    }

    pub fn want_write(&mut self, token: Token) {
        self.change(token, |socket| socket.wants_write = true);
    }

    fn change(&mut self, token: Token, change: impl FnOnce(&mut Socket)) {
        if let Some(Some(socket)) = self.sockets.get_mut(token as usize) {
            let before = socket.flags();
            change(socket);
            if socket.flags() != before {
                let data = EventData::new_u64(token.into());
                let _ = epoll::modify(&self.epoll, &*socket.descriptor, data, socket.flags());
            }
        }
    }

    pub fn remove(&mut self, token: Token) {
        if let Some(socket) = self.sockets.get_mut(token as usize).and_then(Option::take) {
            let _ = epoll::delete(&self.epoll, &*socket.descriptor);
            self.queued.push_back(Event::Removed(token));
        }
    }

    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        if !self.queued.is_empty() || !self.ready.is_empty() {
            return Ok(());
        }
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.found.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.found), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let tokens = self.found.iter().filter(|event| event.data.u64() != WAKE);
        self.ready.extend(tokens.map(|event| (event.data.u64() as Token, event.flags)));
        Ok(())
    }

    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.queued.pop_front() {
            return Some(event);
        }
        loop {
            let (token, flags) = self.ready.pop_front()?;
            let Some(Some(socket)) = self.sockets.get_mut(token as usize) else { continue };
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            if socket.wants_write && (broken || flags.contains(EventFlags::OUT)) {
                self.change(token, |socket| socket.wants_write = false);
                if flags.intersects(EventFlags::IN | EventFlags::RDHUP) || broken {
                    // The rest of this report comes next.
                    self.ready.push_front((token, flags.difference(EventFlags::OUT)));
                }
                return Some(Event::Writable(token));
            }
            let readable = broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP);
            if !readable || !(socket.receives || broken) {
                continue;
            }
            if socket.watched {
                return Some(Event::Readable(token));
            }
            match recv(&*socket.descriptor, self.pages.get_mut(), RecvFlags::DONTWAIT) {
                Ok((bytes @ 1.., _)) => return Some(Event::Received(token, Buffer { index: 0, range: 0..bytes })),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(_) | Err(_) => {
                    let told = std::mem::replace(&mut socket.ended, true);
                    // Level-triggered: without this the end would be told for ever.
                    if broken {
                        let _ = epoll::delete(&self.epoll, &*socket.descriptor);
                    } else {
                        self.change(token, |socket| socket.receives = false);
                    }
                    if !told {
                        return Some(Event::Ended(token));
                    }
                }
            }
        }
    }

    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        self.pages.get(buffer.range.clone())
    }

    pub fn give_back(&mut self, _: Buffer) {}
}
