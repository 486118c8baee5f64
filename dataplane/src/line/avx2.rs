//! The masks of a window with AVX2: two loads, a compare and a movemask for each kind and half.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_min_epu8,
    _mm256_movemask_epi8, _mm256_set1_epi8,
};

use super::{
    fast::{self, FieldMap},
    masks::{Classify, Masks, WINDOW},
};

/// Proof that the processor has AVX2 and what came with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Avx2> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        found.then_some(Avx2(()))
    }

    /// [`fast::fields`], compiled for these instructions.
    pub fn fields(self, text: &[u8], map: &mut FieldMap) -> Option<usize> {
        // SAFETY: `self` proves that the processor has what `fields` is compiled for.
        unsafe { fields(self, text, map) }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn fields(avx2: Avx2, text: &[u8], map: &mut FieldMap) -> Option<usize> {
    fast::fields(avx2, text, map)
}

impl Classify for Avx2 {
    #[inline(always)]
    fn masks(self, bytes: &[u8; WINDOW]) -> Masks {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { masks(bytes) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn masks(bytes: &[u8; WINDOW]) -> Masks {
    let from = bytes.as_ptr();
    // SAFETY: both halves lie inside the 64 bytes, and this load wants no alignment.
    let halves: [__m256i; 2] = unsafe { [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(32).cast())] };
    let bits = |of: [__m256i; 2]| {
        let [low, high] = of.map(|half| u64::from(_mm256_movemask_epi8(half).cast_unsigned()));
        low | high << 32
    };
    let equal = |byte: u8| {
        let wanted = _mm256_set1_epi8(byte.cast_signed());
        bits(halves.map(|half| _mm256_cmpeq_epi8(half, wanted)))
    };
    let space = _mm256_set1_epi8(b' '.cast_signed());
    let (below_digits, above_digits) =
        (_mm256_set1_epi8(b'0'.cast_signed() - 1), _mm256_set1_epi8(b'9'.cast_signed() + 1));
    Masks {
        equals: equal(b'='),
        comma: equal(b','),
        // Unsigned: the smaller of the byte and a space is the byte.
        blank: bits(halves.map(|half| _mm256_cmpeq_epi8(_mm256_min_epu8(half, space), half))),
        backslash: equal(b'\\'),
        // Signed compares will do: bytes from 0x80 on are negative, so they are no digits either.
        digit: bits(halves.map(|half| {
            _mm256_and_si256(_mm256_cmpgt_epi8(half, below_digits), _mm256_cmpgt_epi8(above_digits, half))
        })),
        point: equal(b'.'),
        minus: equal(b'-'),
        int: equal(b'i'),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::masks::Bytewise;

    proptest! {
        #[test]
        fn masks_are_those_of_the_bytes(bytes in proptest::array::uniform32(any::<u8>()), plain in "[ -~\n]{32}") {
            let Some(avx2) = Avx2::detect() else { return Ok(()) };
            let mut window = [0; WINDOW];
            window[..32].copy_from_slice(&bytes);
            window[32..].copy_from_slice(plain.as_bytes());
            prop_assert_eq!(avx2.masks(&window), Bytewise.masks(&window));
            window.rotate_left(17);
            prop_assert_eq!(avx2.masks(&window), Bytewise.masks(&window));
        }
    }
}
