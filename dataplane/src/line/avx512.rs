//! The masks of a window with AVX-512: compares whose result is a mask already, so a quarter of the instructions.
#![allow(unsafe_code)]

use std::arch::x86_64::{
    _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_sub_epi8,
};

use super::{
    fast::{self, FieldMap},
    masks::{Classify, Masks, WINDOW},
};

/// Proof that the processor has AVX-512 for bytes and what came with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    pub fn detect() -> Option<Avx512> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        found.then_some(Avx512(()))
    }

    /// [`fast::fields`], compiled for these instructions.
    pub fn fields(self, text: &[u8], map: &mut FieldMap) -> Option<usize> {
        // SAFETY: `self` proves that the processor has what `fields` is compiled for.
        unsafe { fields(self, text, map) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,bmi1,bmi2,lzcnt")]
fn fields(avx512: Avx512, text: &[u8], map: &mut FieldMap) -> Option<usize> {
    fast::fields(avx512, text, map)
}

impl Classify for Avx512 {
    #[inline(always)]
    fn masks(self, bytes: &[u8; WINDOW]) -> Masks {
        // SAFETY: `self` proves that the processor has AVX-512 for bytes.
        unsafe { masks(bytes) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn masks(bytes: &[u8; WINDOW]) -> Masks {
    // SAFETY: 64 bytes are there to be read, and this load wants no alignment.
    let window = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
    let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
    let equal = |byte: u8| _mm512_cmpeq_epi8_mask(window, all(byte));
    Masks {
        equals: equal(b'='),
        comma: equal(b','),
        blank: _mm512_cmple_epu8_mask(window, all(b' ')),
        backslash: equal(b'\\'),
        // Below '0' the difference wraps around to more than 9.
        digit: _mm512_cmple_epu8_mask(_mm512_sub_epi8(window, all(b'0')), all(9)),
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
            let Some(avx512) = Avx512::detect() else { return Ok(()) };
            let mut window = [0; WINDOW];
            window[..32].copy_from_slice(&bytes);
            window[32..].copy_from_slice(plain.as_bytes());
            prop_assert_eq!(avx512.masks(&window), Bytewise.masks(&window));
            window.rotate_left(17);
            prop_assert_eq!(avx512.masks(&window), Bytewise.masks(&window));
        }
    }
}
