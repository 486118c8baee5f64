//! Waking a thread that sleeps in its reactor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering, fence},
};

use rustix::event::{EventfdFlags, eventfd};

/// Costs nothing while the thread is awake.
///
/// The sleeper says that it goes to sleep, looks once more for work, and sleeps; the waker adds work, then looks whether
/// somebody sleeps. Whatever the order, one of them sees the other.
#[derive(Debug)]
pub struct Wake {
    event: OwnedFd,
    asleep: AtomicBool,
}

impl Wake {
    pub fn new() -> io::Result<Wake> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Wake { event, asleep: AtomicBool::new(false) })
    }

    /// Called after work was added.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            // Nobody reads the count; only its change counts, and it would take centuries to overflow.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }

    /// The thread is about to sleep. It looks for work once more after this.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The thread is awake: it will look for work before it sleeps again.
    pub fn stay_awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
