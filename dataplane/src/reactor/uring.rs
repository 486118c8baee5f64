//! The back end on io_uring: one multishot receive a socket, all into one ring of page-aligned buffers.
//!
//! A multishot receive is submitted once and completes each time bytes arrive, in a buffer that the kernel takes from the
//! ring of provided buffers. It ends at the end of the stream, when it is cancelled, and (`ENOBUFS`) when the ring of
//! buffers is empty; then it is submitted again at the next wait, when the buffers of this turn are back.
//!
//! The ring is set up for one thread (`SINGLE_ISSUER`) that runs completions only when it asks for them (`DEFER_TASKRUN`):
//! no interrupts while it parses. Sockets are not registered as fixed files: a multishot receive looks its file up once, so
//! there is nothing to save, and registering costs a system call for each connection.
#![allow(unsafe_code, reason = "submissions name memory and descriptors that must outlive them")]

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    ptr::NonNull,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustix::io::Errno;

use super::{Buffer, Event, Token, Wake, pages::Pages};

/// Buffers of a ring: the memory that received bytes of one thread can take before they are parsed.
const BUFFERS: u16 = 64;
const BUFFER_BYTES: usize = 64 << 10;

/// Number of the group of provided buffers.
const GROUP: u16 = 0;

/// Submissions that go to the kernel together; more are submitted in between.
const SUBMISSIONS: u32 = 256;

/// Completions that can wait to be looked at. The kernel keeps further ones.
const COMPLETIONS: u32 = 4_096;

/// What a completion belongs to, in the lowest bits of its number; the token stands above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Receive,
    Watch,
    Write,
    Cancel,
    Wake,
}

const OPERATION_BITS: u32 = 3;

impl Operation {
    fn number(self, token: Token) -> u64 {
        u64::from(token) << OPERATION_BITS | self as u64
    }

    fn of(number: u64) -> (Operation, Token) {
        let operation = match number & ((1 << OPERATION_BITS) - 1) {
            0 => Operation::Receive,
            1 => Operation::Watch,
            2 => Operation::Write,
            3 => Operation::Cancel,
            _ => Operation::Wake,
        };
        (operation, (number >> OPERATION_BITS) as Token)
    }
}

#[derive(Debug)]
struct Socket {
    descriptor: Rc<OwnedFd>,
    /// [`Operation::Receive`] or [`Operation::Watch`].
    operation: Operation,
    /// Its operation is in the kernel.
    armed: bool,
    /// The kernel was asked to end it.
    cancelled: bool,
    write_armed: bool,
    receives: bool,
    ended: bool,
    removed: bool,
}

pub struct Uring {
    ring: IoUring,
    wake: Arc<Wake>,
    buffers: BufferRing,
    sockets: Vec<Option<Socket>>,
    /// Sockets whose operation is to be submitted at the next wait.
    rearm: Vec<Token>,
    queued: VecDeque<Event>,
}

impl Uring {
    /// A ring of the calling thread.
    pub fn new(wake: Arc<Wake>) -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        let buffers = BufferRing::new(&ring)?;
        let mut uring = Uring { ring, wake, buffers, sockets: Vec::new(), rearm: Vec::new(), queued: VecDeque::new() };
        uring.listen_to_wake();
        Ok(uring)
    }

    pub fn add(&mut self, token: Token, descriptor: Rc<OwnedFd>) -> io::Result<()> {
        self.insert(token, descriptor, Operation::Receive);
        Ok(())
    }

    pub fn watch(&mut self, token: Token, descriptor: Rc<OwnedFd>) -> io::Result<()> {
        self.insert(token, descriptor, Operation::Watch);
        Ok(())
    }

    fn insert(&mut self, token: Token, descriptor: Rc<OwnedFd>, operation: Operation) {
        let index = token as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.sockets.get_mut(index) {
            *slot = Some(Socket {
                descriptor,
                operation,
                armed: false,
                cancelled: false,
                write_armed: false,
                receives: true,
                ended: false,
                removed: false,
            });
            self.rearm.push(token);
        }
    }

    fn socket(&mut self, token: Token) -> Option<&mut Socket> {
        self.sockets.get_mut(token as usize)?.as_mut()
    }

    pub fn pause(&mut self, token: Token) {
        if let Some(socket) = self.socket(token) {
            socket.receives = false;
            self.cancel(token);
        }
    }

    pub fn resume(&mut self, token: Token) {
        if let Some(socket) = self.socket(token)
            && !socket.receives
        {
            socket.receives = true;
            // Where a cancellation is under way, its completion submits the operation again.
            self.rearm.push(token);
        }
    }

    pub fn want_write(&mut self, token: Token) {
        let Some(socket) = self.socket(token) else { return };
        if !std::mem::replace(&mut socket.write_armed, true) {
            let descriptor = types::Fd(socket.descriptor.as_raw_fd());
            let poll = opcode::PollAdd::new(descriptor, libc::POLLOUT as u32).build();
            self.submit(poll.user_data(Operation::Write.number(token)));
        }
    }

    pub fn remove(&mut self, token: Token) {
        let Some(socket) = self.socket(token) else { return };
        socket.removed = true;
        let writes = socket.write_armed;
        self.cancel(token);
        if writes {
            let cancel = opcode::AsyncCancel::new(Operation::Write.number(token)).build();
            self.submit(cancel.user_data(Operation::Cancel.number(token)));
        }
        self.finish_removal(token);
    }

    /// Asks the kernel to end the operation of a socket.
    fn cancel(&mut self, token: Token) {
        let Some(socket) = self.socket(token) else { return };
        if socket.armed && !std::mem::replace(&mut socket.cancelled, true) {
            let cancel = opcode::AsyncCancel::new(socket.operation.number(token)).build();
            self.submit(cancel.user_data(Operation::Cancel.number(token)));
        }
    }

    /// A cancellation that came while the kernel was at work on the operation may have missed it: it is asked again.
    fn cancelled(&mut self, token: Token, result: i32) {
        let missed = result < 0;
        let Some(socket) = self.socket(token) else { return };
        if missed && socket.armed && socket.cancelled && (socket.removed || !socket.receives) {
            socket.cancelled = false;
            self.cancel(token);
        }
    }

    /// Frees the number of a removed socket once nothing of it is in the kernel.
    fn finish_removal(&mut self, token: Token) {
        let gone = self.socket(token).is_some_and(|socket| socket.removed && !socket.armed && !socket.write_armed);
        if gone && let Some(slot) = self.sockets.get_mut(token as usize) {
            *slot = None;
            self.queued.push_back(Event::Removed(token));
        }
    }

    /// Submits what is to be submitted and waits for completions.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        for token in std::mem::take(&mut self.rearm) {
            self.arm(token);
        }
        if !self.queued.is_empty() || !self.ring.completion().is_empty() {
            return Ok(());
        }
        let submission = self.ring.submission();
        let (empty, work) = (submission.is_empty(), submission.taskrun());
        drop(submission);
        let waited = match limit {
            // Nothing to tell the kernel, and nothing that it has for us.
            Some(Duration::ZERO) if empty && !work => return Ok(()),
            Some(Duration::ZERO) => self.ring.submit(),
            Some(limit) => {
                let limit = types::Timespec::new().sec(limit.as_secs()).nsec(limit.subsec_nanos());
                self.ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&limit))
            }
            None => self.ring.submit_and_wait(1),
        };
        match waited {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                // The time is over; a signal; more completions than there is room for, which are fetched first.
                Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    fn arm(&mut self, token: Token) {
        let Some(socket) = self.socket(token) else { return };
        if socket.armed || socket.ended || socket.removed || !socket.receives {
            return;
        }
        socket.armed = true;
        socket.cancelled = false;
        let descriptor = types::Fd(socket.descriptor.as_raw_fd());
        let entry = match socket.operation {
            Operation::Watch => opcode::PollAdd::new(descriptor, libc::POLLIN as u32).multi(true).build(),
            _ => opcode::RecvMulti::new(descriptor, GROUP).build(),
        };
        let number = socket.operation.number(token);
        self.submit(entry.user_data(number));
    }

    fn listen_to_wake(&mut self) {
        // Multishot polls tell edges: nobody has to read the event.
        let poll = opcode::PollAdd::new(types::Fd(self.wake.as_fd().as_raw_fd()), libc::POLLIN as u32).multi(true);
        self.submit(poll.build().user_data(Operation::Wake.number(0)));
    }

    fn submit(&mut self, entry: squeue::Entry) {
        // SAFETY: descriptors stay open until the operation's last completion (sockets are held by `self.sockets` until
        // then, the wake-up by `self.wake`), and receives write only to memory of `self.buffers`.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            if let Err(error) = self.ring.submit() {
                tracing::error!(%error, "an operation cannot be submitted to io_uring");
                return;
            }
        }
    }

    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queued.pop_front() {
                return Some(event);
            }
            let completion = self.ring.completion().next()?;
            if let Some(event) = self.complete(&completion) {
                return Some(event);
            }
        }
    }

    fn complete(&mut self, completion: &cqueue::Entry) -> Option<Event> {
        let (operation, token) = Operation::of(completion.user_data());
        let more = cqueue::more(completion.flags());
        let result = completion.result();
        match operation {
            Operation::Cancel => {
                self.cancelled(token, result);
                return None;
            }
            Operation::Wake => {
                if !more {
                    self.listen_to_wake();
                }
                return None;
            }
            Operation::Write => {
                let socket = self.socket(token)?;
                socket.write_armed = false;
                let event = (!socket.removed).then_some(Event::Writable(token));
                self.finish_removal(token);
                return event;
            }
            Operation::Receive | Operation::Watch => {}
        }
        let buffer = cqueue::buffer_select(completion.flags())
            .map(|index| Buffer { index, range: 0..usize::try_from(result).unwrap_or_default() });
        let Some(socket) = self.sockets.get_mut(token as usize).and_then(Option::as_mut) else {
            self.buffers.give_back_all(buffer);
            return None;
        };
        socket.armed = more;
        let error = usize::try_from(-result).unwrap_or_default();
        let errno = (error > 0).then(|| Errno::from_raw_os_error(error as i32));
        let passing = matches!(errno, Some(Errno::NOBUFS | Errno::CANCELED | Errno::AGAIN | Errno::INTR));
        let event = if operation == Operation::Watch {
            (result > 0).then_some(Event::Readable(token))
        } else if result > 0 {
            buffer.map(|buffer| Event::Received(token, buffer))
        } else {
            self.buffers.give_back_all(buffer);
            socket.ended |= !passing;
            (!passing).then_some(Event::Ended(token))
        };
        if !more {
            if socket.receives && !socket.ended && !socket.removed {
                self.rearm.push(token);
            }
            self.finish_removal(token);
        }
        event
    }

    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        self.buffers.bytes(buffer)
    }

    pub fn give_back(&mut self, buffer: Buffer) {
        self.buffers.give_back(buffer.index);
    }
}

/// The buffers, and the ring through which the kernel is given them.
struct BufferRing {
    memory: Pages,
    entries: Pages,
    /// As in the ring: entries written so far.
    tail: u16,
}

impl BufferRing {
    fn new(ring: &IoUring) -> io::Result<BufferRing> {
        let entries = Pages::new((usize::from(BUFFERS) * size_of::<types::BufRingEntry>()).next_multiple_of(4 << 10))?;
        let memory = Pages::new(usize::from(BUFFERS) * BUFFER_BYTES)?;
        let mut buffers = BufferRing { memory, entries, tail: 0 };
        for index in 0..BUFFERS {
            buffers.give_back(index);
        }
        // SAFETY: the entries live in pages of their own, as long as the ring does: both are fields of `Uring`, and the
        // kernel takes no buffer after the ring is closed, which `Uring` does first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                buffers.entries.start().addr().get() as u64,
                BUFFERS,
                GROUP,
                0,
            )
        }?;
        Ok(buffers)
    }

    fn give_back(&mut self, index: u16) {
        let slot = usize::from(self.tail & (BUFFERS - 1));
        let base: NonNull<types::BufRingEntry> = self.entries.start().cast();
        // SAFETY: `slot` is below the number of entries, which the mapping has room for, aligned and initialised to zero;
        // the kernel reads an entry only after the tail below says so.
        let entry = unsafe { base.add(slot).as_mut() };
        entry.set_addr((self.memory.start().addr().get() + usize::from(index) * BUFFER_BYTES) as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(index);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, two-byte aligned; the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(types::BufRingEntry::tail(base.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn give_back_all(&mut self, buffer: Option<Buffer>) {
        if let Some(buffer) = buffer {
            self.give_back(buffer.index);
        }
    }

    fn bytes(&self, buffer: &Buffer) -> &[u8] {
        let start = usize::from(buffer.index) * BUFFER_BYTES;
        self.memory.get(start + buffer.range.start..start + buffer.range.end.min(BUFFER_BYTES))
    }
}
