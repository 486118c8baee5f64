//! Asking for memory before it is needed.
#![allow(unsafe_code)]

/// Of the cache; an element of more than half of it often stands in two.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Begins to load an element of `list` into the cache; does nothing where there is none.
#[inline(always)]
pub(crate) fn prefetch<T>(list: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = list.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(element).cast::<i8>();
        // SAFETY: the instruction is in every x86-64, reads nothing that the program sees, and the place exists.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start) };
        if size_of::<T>() > LINE_BYTES / 2 {
            // SAFETY: as above; the last byte of the element.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(size_of::<T>() - 1)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (list, at);
}
