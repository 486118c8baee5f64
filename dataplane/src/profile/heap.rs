//! The allocator of both programs: the system's, with large memory on huge pages. One allocation for each half mebibyte
//! that a thread allocates is remembered with its calls for as long as it lives.
//!
//! All others cost a subtraction when they are made and one look at a small table when they go.

// An allocator is unsafe by its trait; all calls are passed on as they are.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    collections::BTreeMap,
    ffi::c_void,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use proto::profile::{Frame, Profile};

use super::Builder;
use crate::huge_pages::HugePages;

/// Bytes that a thread allocates from one sample to the next.
const PERIOD: usize = 512 << 10;

/// Innermost calls that are kept of a sample.
const FRAMES_MAX: usize = 64;

/// [`HugePages`], sampled.
pub struct Sampling;

struct Sample {
    size: usize,
    calls: Vec<usize>,
}

/// By address.
static SAMPLES: Mutex<BTreeMap<usize, Sample>> = Mutex::new(BTreeMap::new());

/// How many samples have an address of this slot: almost every address that is freed is none of them.
static SLOTS: [AtomicU16; 1 << 14] = [const { AtomicU16::new(0) }; 1 << 14];

thread_local! {
    /// Bytes until the next sample.
    static LEFT: Cell<usize> = const { Cell::new(PERIOD) };
    /// This thread looks after samples, whose own memory does not count.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: memory comes from [`HugePages`] and goes back there, with the layout of the caller.
unsafe impl GlobalAlloc for Sampling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of this very function.
        let memory = unsafe { HugePages.alloc(layout) };
        allocated(memory, layout.size());
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let memory = unsafe { HugePages.alloc_zeroed(layout) };
        allocated(memory, layout.size());
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        freed(memory);
        // SAFETY: as above.
        unsafe { HugePages.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        freed(memory);
        // SAFETY: as above.
        let memory = unsafe { HugePages.realloc(memory, layout, size) };
        allocated(memory, size);
        memory
    }
}

fn slot(address: usize) -> &'static AtomicU16 {
    // Multiplicative hashing; the lowest bits of addresses are alike.
    &SLOTS[(address >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50]
}

fn allocated(memory: *mut u8, size: usize) {
    let due = |left: &Cell<usize>| {
        let rest = left.get().checked_sub(size);
        left.set(rest.unwrap_or(PERIOD));
        rest.is_none()
    };
    // A thread that ends has no such cell any more.
    if LEFT.try_with(due).unwrap_or(false) && !memory.is_null() {
        remember(memory as usize, size);
    }
}

fn freed(memory: *mut u8) {
    let address = memory as usize;
    if slot(address).load(Ordering::Relaxed) > 0 {
        forget(address);
    }
}

#[cold]
fn remember(address: usize, size: usize) {
    with_samples(|samples| {
        let mut calls = Vec::with_capacity(FRAMES_MAX);
        // SAFETY: the unwinder keeps no state between calls; what needs a lock is the resolving of names.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                calls.push(frame.ip() as usize);
                calls.len() < FRAMES_MAX
            });
        }
        slot(address).fetch_add(1, Ordering::Relaxed);
        samples.insert(address, Sample { size, calls });
    });
}

#[cold]
fn forget(address: usize) {
    with_samples(|samples| {
        if samples.remove(&address).is_some() {
            slot(address).fetch_sub(1, Ordering::Relaxed);
        }
    });
}

/// Unless this thread is at it already.
fn with_samples<T>(act: impl FnOnce(&mut MutexGuard<'_, BTreeMap<usize, Sample>>) -> T) -> Option<T> {
    if INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true) {
        return None;
    }
    let done = act(&mut SAMPLES.lock().unwrap_or_else(PoisonError::into_inner));
    let _ = INSIDE.try_with(|inside| inside.set(false));
    Some(done)
}

/// What is in use now: each sample stands for the bytes since the one before.
pub fn profile() -> Profile {
    let copy = |samples: &mut MutexGuard<'_, BTreeMap<usize, Sample>>| {
        samples.values().map(|sample| (sample.size, sample.calls.clone())).collect::<Vec<_>>()
    };
    let mut profile = Builder::new(PERIOD as i64);
    for (size, calls) in with_samples(copy).unwrap_or_default() {
        let mut frames = Vec::new();
        for call in calls {
            backtrace::resolve(call as *mut c_void, |symbol| {
                frames.push(Frame {
                    function: symbol.name().map_or_else(|| format!("{call:#x}"), |name| format!("{name:#}")),
                    file: symbol.filename().map(|file| file.display().to_string()).unwrap_or_default(),
                    line: symbol.lineno().unwrap_or_default(),
                });
            });
        }
        let amount = size.max(PERIOD);
        profile.add("", frames, (amount / size.max(1)) as i64, amount as i64);
    }
    profile.profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_memory_is_seen_until_it_is_freed() {
        let layout = Layout::from_size_align(37 << 20, 16).unwrap();
        let held = || profile().stacks.iter().filter(|stack| stack.amount == 37 << 20).count();
        // SAFETY: the layout has a size, and the memory is freed once with the same.
        let memory = unsafe { Sampling.alloc(layout) };
        assert_eq!(held(), 1);
        let functions = profile().frames;
        assert!(functions.iter().any(|frame| frame.function.contains("large_memory_is_seen")), "{functions:?}");
        // SAFETY: as above.
        unsafe { Sampling.dealloc(memory, layout) };
        assert_eq!(held(), 0);
    }
}
