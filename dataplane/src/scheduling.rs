//! Which threads the kernel lets in first where several want one core.
//!
//! Shards compute for as long as there is data. A thread that answers somebody needs a core for some ten microseconds, but
//! soon: each request changes threads several times, and at each change waiting out the slice of a shard (milliseconds)
//! adds up. Linux (EEVDF, 6.12 and later) lets a thread ask for short slices of its own, for which it may interrupt one that
//! asked for longer ones. Its share of the core stays the same, and no privilege is needed.
#![allow(unsafe_code, reason = "sched_setattr has no safe wrapper: it takes a pointer to its argument")]

use std::{io, mem::size_of};

/// The shortest slice that the kernel grants, nanoseconds.
const SLICE: u64 = 100_000;

/// Asks for short slices for the calling thread. Threads and processes that it starts inherit them. Older kernels take the
/// call without effect.
pub fn prefer_latency() -> io::Result<()> {
    ask(SLICE)
}

/// Back to the kernel's own slices, for threads that compute.
pub fn prefer_throughput() -> io::Result<()> {
    ask(0)
}

/// Policy and priority stay as they are.
fn ask(slice: u64) -> io::Result<()> {
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all zeros are a value of this plain structure.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes `size` bytes at most there, and the structure outlives the call. 0: the calling thread.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if read != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.size = size;
    attributes.sched_runtime = slice;
    // SAFETY: the kernel reads `size` bytes there.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_may_ask() {
        let asked = || assert!(prefer_latency().is_ok() && prefer_throughput().is_ok());
        std::thread::spawn(asked).join().unwrap();
    }
}
