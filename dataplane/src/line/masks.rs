//! 64 bytes of a line at once: one bit a byte for each kind of byte that the grammar of fields knows.

/// Bit n tells about byte n of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    pub equals: u64,
    pub comma: u64,
    /// A space or anything below it: newline, tab, NUL, carriage return.
    pub blank: u64,
    pub backslash: u64,
    pub digit: u64,
    pub point: u64,
    pub minus: u64,
    /// The `i` that ends an integer.
    pub int: u64,
}

/// Bytes of a window.
pub(super) const WINDOW: usize = 64;

/// An instruction set that makes masks.
pub(super) trait Classify: Copy {
    fn masks(self, bytes: &[u8; WINDOW]) -> Masks;
}

/// Byte by byte: what every other implementation is held against. Slower than the scalar reader, so it serves tests,
/// those under Miri above all.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(super) struct Bytewise;

#[cfg(test)]
impl Classify for Bytewise {
    fn masks(self, bytes: &[u8; WINDOW]) -> Masks {
        let mask =
            |is: fn(u8) -> bool| bytes.iter().enumerate().fold(0, |mask, (at, &byte)| mask | u64::from(is(byte)) << at);
        Masks {
            equals: mask(|byte| byte == b'='),
            comma: mask(|byte| byte == b','),
            blank: mask(|byte| byte <= b' '),
            backslash: mask(|byte| byte == b'\\'),
            digit: mask(|byte| byte.is_ascii_digit()),
            point: mask(|byte| byte == b'.'),
            minus: mask(|byte| byte == b'-'),
            int: mask(|byte| byte == b'i'),
        }
    }
}
