//! Page-aligned memory for buffers that the kernel writes to.
#![allow(unsafe_code, reason = "memory that the kernel writes to is mapped and handed out by hand")]

use std::{io, ops::Range, ptr::NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Anonymous memory, zeroed, aligned to a page (to a huge page from 2 MB up, and backed by them where the system can).
#[derive(Debug)]
pub struct Pages {
    /// What was mapped; the memory begins `skipped` bytes into it.
    mapped: NonNull<u8>,
    mapped_bytes: usize,
    skipped: usize,
    bytes: usize,
}

// SAFETY: the memory belongs to this value alone, like that of a `Box<[u8]>`.
unsafe impl Send for Pages {}

impl Pages {
    /// `bytes` is a multiple of the size of a page.
    pub fn new(bytes: usize) -> io::Result<Pages> {
        let huge = bytes >= HUGE_PAGE_BYTES;
        let mapped_bytes = if huge { bytes + HUGE_PAGE_BYTES } else { bytes };
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a fresh mapping at an address that the kernel chooses.
        let mapped = unsafe { mmap_anonymous(std::ptr::null_mut(), mapped_bytes, protection, flags) }?;
        let mapped = NonNull::new(mapped.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let address = mapped.addr().get();
        let skipped = if huge { address.next_multiple_of(HUGE_PAGE_BYTES) - address } else { 0 };
        let pages = Pages { mapped, mapped_bytes, skipped, bytes };
        if huge {
            // SAFETY: the range lies in the mapping. Advice only: small pages do as well.
            let _ = unsafe { madvise(pages.start().as_ptr().cast(), bytes, Advice::LinuxHugepage) };
        }
        Ok(pages)
    }

    pub fn start(&self) -> NonNull<u8> {
        // SAFETY: `skipped` is smaller than what was mapped.
        unsafe { self.mapped.add(self.skipped) }
    }

    /// The bytes of a range; empty where there are none. Whoever lends the range to the kernel keeps it from being read
    /// meanwhile.
    pub fn get(&self, range: Range<usize>) -> &[u8] {
        if range.start > range.end || range.end > self.bytes {
            return &[];
        }
        // SAFETY: the range was just checked, and the memory is initialised from the begin.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr().add(range.start), range.len()) }
    }

    pub fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: all of it is initialised and belongs to this value.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.bytes) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped; borrows of it have ended.
        let _ = unsafe { munmap(self.mapped.as_ptr().cast(), self.mapped_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_its_own() {
        for bytes in [4 << 10, 256 << 10, 4 << 20] {
            let mut pages = Pages::new(bytes).unwrap();
            let alignment = if bytes >= HUGE_PAGE_BYTES { HUGE_PAGE_BYTES } else { 4 << 10 };
            assert_eq!(pages.start().addr().get() % alignment, 0);
            pages.get_mut().fill(7);
            assert_eq!(pages.get(bytes - 3..bytes), [7, 7, 7]);
            assert!(pages.get(bytes - 3..bytes + 1).is_empty());
        }
    }
}
