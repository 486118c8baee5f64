//! Memory for what grows large, on huge pages.
//!
//! What is known of millions of series and groups is met in no order, and with pages of 4 KiB a look at it that misses the
//! cache misses the page tables' cache as well: twice the wait. So large memory stands on boundaries of huge pages (2 MiB),
//! is advised to be made of them, and grows by moving pages instead of bytes. All other memory is the system allocator's.

// An allocator is unsafe by its trait, and maps memory.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::c_void,
    io,
    ptr::null_mut,
};

use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, mremap_fixed, munmap};

/// Of x86-64, and of arm64 with pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// No system has larger pages beside its huge ones; mappings are multiples of them.
const PAGE_MAX: usize = 64 << 10;

/// Smaller memory would mostly be the rests around huge pages.
const LARGE: usize = 2 * HUGE_PAGE;

/// The system's allocator; large memory has mappings of its own.
pub struct HugePages;

// SAFETY: a layout tells which of the two sources its memory came from; the system's allocator gets the calls of its
// memory as they are, and a mapping is as long as its layout says, aligned to more than it asks for, and zero at first.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size()).unwrap_or(null_mut());
        }
        // SAFETY: the caller keeps to the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return map(layout.size()).unwrap_or(null_mut());
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: `map` or `remap` made it, as long as this, and the caller gives it up. It cannot fail.
            let _ = unsafe { munmap(memory.cast(), extent(layout.size())) };
        } else {
            // SAFETY: as above.
            unsafe { System.dealloc(memory, layout) }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size with the old alignment is a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_large(layout), is_large(wanted)) {
            // SAFETY: as above.
            (false, false) => unsafe { System.realloc(memory, layout, size) },
            // SAFETY: the memory is a mapping, as `dealloc` says.
            (true, true) => unsafe { remap(memory, layout.size(), size) }.unwrap_or(null_mut()),
            _ => {
                // SAFETY: as above; both are at least as long as what is copied, and one is new.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        moved.copy_from_nonoverlapping(memory, layout.size().min(size));
                        self.dealloc(memory, layout);
                    }
                    moved
                }
            }
        }
    }
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= HUGE_PAGE
}

/// How long the mapping of so many bytes is.
fn extent(size: usize) -> usize {
    size.next_multiple_of(PAGE_MAX)
}

/// Zeroed memory that begins with a huge page.
fn map(size: usize) -> io::Result<*mut u8> {
    let size = extent(size);
    let mapped = size + HUGE_PAGE;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping without an address asked for touches nothing that exists.
    let start = unsafe { mmap_anonymous(null_mut(), mapped, protection, MapFlags::PRIVATE) }?.cast::<u8>();
    let before = start.align_offset(HUGE_PAGE).min(HUGE_PAGE);
    let memory = start.wrapping_add(before);
    // SAFETY: what stands before and behind the part that is kept is of the new mapping and nobody's; a kernel without
    // huge pages refuses the advice, and the memory is as good.
    unsafe {
        if before > 0 {
            munmap(start.cast(), before)?;
        }
        if before < HUGE_PAGE {
            munmap(memory.wrapping_add(size).cast(), HUGE_PAGE - before)?;
        }
        let _ = madvise(memory.cast(), size, Advice::LinuxHugepage);
    }
    Ok(memory)
}

/// Makes a mapping longer or shorter, elsewhere if need be: pages move, their content does not.
///
/// # Safety
///
/// `memory` is a mapping of `map` or `remap` for `size` bytes, which the caller gives up unless this fails.
unsafe fn remap(memory: *mut u8, size: usize, wanted: usize) -> io::Result<*mut u8> {
    let (size, wanted) = (extent(size), extent(wanted));
    // SAFETY: the caller owns the mapping.
    if let Ok(memory) = unsafe { mremap(memory.cast::<c_void>(), size, wanted, MremapFlags::empty()) } {
        return Ok(memory.cast());
    }
    let room = map(wanted)?;
    // SAFETY: the caller owns the mapping, and the room is new: nobody else's is replaced.
    match unsafe { mremap_fixed(memory.cast(), size, wanted, MremapFlags::MAYMOVE, room.cast()) } {
        Ok(memory) => Ok(memory.cast()),
        Err(error) => {
            // SAFETY: the room is nobody's.
            let _ = unsafe { munmap(room.cast(), wanted) };
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// Sizes around the limit and far from multiples of pages, up and down.
    #[test]
    fn content_stays_whatever_becomes_of_the_size() {
        let sizes = [1_000, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 4_097, 40 * LARGE + 5, 2 * LARGE, LARGE - 5, 10];
        let mut size = 16;
        // SAFETY: the layout has a size, and is told truly at each call.
        let mut memory = unsafe { HugePages.alloc(layout(size)) };
        // SAFETY: there are 16 bytes.
        unsafe { memory.copy_from_nonoverlapping([7_u8; 16].as_ptr(), 16) };
        for wanted in sizes {
            // SAFETY: as above.
            memory = unsafe { HugePages.realloc(memory, layout(size), wanted) };
            assert!(!memory.is_null());
            assert!(wanted < LARGE || (memory as usize).is_multiple_of(HUGE_PAGE), "{wanted}");
            // SAFETY: there are `wanted` bytes, of which those up to the shorter length are set.
            let bytes = unsafe { std::slice::from_raw_parts(memory, size.min(wanted)) };
            assert!(bytes.iter().all(|byte| *byte == 7), "{size} {wanted}");
            // SAFETY: there are `wanted` bytes.
            unsafe { memory.write_bytes(7, wanted) };
            size = wanted;
        }
        // SAFETY: as above.
        unsafe { HugePages.dealloc(memory, layout(size)) };
    }

    #[test]
    fn large_memory_is_zero_at_first_and_nothing_else_goes_with_it() {
        // SAFETY: the layouts have sizes, and are told truly.
        let pieces: Vec<_> = (0..8).map(|_| unsafe { HugePages.alloc_zeroed(layout(LARGE + 123)) }).collect();
        for (nth, piece) in pieces.iter().enumerate() {
            // SAFETY: there are so many bytes.
            let bytes = unsafe { std::slice::from_raw_parts_mut(*piece, LARGE + 123) };
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(nth as u8);
        }
        for (nth, piece) in pieces.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                let bytes = std::slice::from_raw_parts(piece, LARGE + 123);
                assert!(bytes.iter().all(|byte| *byte == nth as u8));
                HugePages.dealloc(piece, layout(LARGE + 123));
            }
        }
    }
}
