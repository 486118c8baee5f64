//! Numbers in ordinary registers: eight digits by three multiplications.
//!
//! A decimal of up to 15 figures is a whole number below 2^53 over a power of ten up to 10^22. Both are exact doubles,
//! and IEEE 754 rounds their quotient once: the nearest double, bit by bit what the standard library finds
//! (W. D. Clinger, *How to read floating point numbers accurately*, 1990).

const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Longest text of a number that is read here, without its sign.
pub(super) const CHARACTERS_MAX: usize = 16;

/// Whole numbers up to here are exact doubles.
const EXACT_MAX: u64 = 1 << 53;

/// `0` in every byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The bit that tells a point (`0x2E ^ 0x30`) from a figure (`0x30..=0x39 ^ 0x30`), in every byte.
const POINT: u128 = 0x1010_1010_1010_1010_1010_1010_1010_1010;

/// Eight figures, the first in the lowest byte, each as its value.
fn eight(figures: u64) -> u64 {
    let pairs = figures.wrapping_mul(10).wrapping_add(figures >> 8);
    let fours = (pairs & 0x00FF_00FF_00FF_00FF).wrapping_mul((100 << 16) + 1) >> 16;
    (fours & 0x0000_FFFF_0000_FFFF).wrapping_mul((10_000 << 32) + 1) >> 32
}

/// The value of eight ASCII digits; `None` if one is none.
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(*text);
    let figures = word ^ ZEROS;
    // A figure has no upper half, and none after 6 is added.
    let none = (figures | figures.wrapping_add(0x0606_0606_0606_0606)) & 0xF0F0_F0F0_F0F0_F0F0;
    (none == 0).then(|| eight(figures))
}

/// The number that `text` begins with, and its digits; `None` if it has none, or more than 19.
pub(super) fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut rest) = (0_u64, text);
    while let Some((eight, behind)) = rest.split_first_chunk()
        && let Some(eight) = eight_digits(eight)
    {
        if text.len() - rest.len() == 16 {
            return None;
        }
        number = number * 100_000_000 + eight;
        rest = behind;
    }
    while let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() {
        if text.len() - rest.len() == 19 {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
        rest = behind;
    }
    let length = text.len() - rest.len();
    (length > 0).then_some((number, length))
}

/// The double nearest to `text[..length]`, which is `-?[0-9]+(\.[0-9]*)?`; `None` if it is too long for this way.
///
/// What stands behind the number in `text` saves a copy: 16 bytes are read at once.
pub(super) fn float(text: &[u8], length: usize) -> Option<f64> {
    let negative = text.first() == Some(&b'-');
    let (text, length) = if negative { (text.get(1..)?, length.checked_sub(1)?) } else { (text, length) };
    if length > CHARACTERS_MAX || length == 0 {
        return None;
    }
    let signed = |x: f64| if negative { -x } else { x };
    if let Some(bytes) = text.first_chunk::<8>().filter(|_| length <= 8) {
        return float_of_8(u64::from_le_bytes(*bytes), length).map(signed);
    }
    let word = match text.first_chunk::<CHARACTERS_MAX>() {
        Some(bytes) => u128::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; CHARACTERS_MAX];
            bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            u128::from_le_bytes(bytes)
        }
    };
    // The last character in the highest byte, noughts in front of the first.
    let shifted = (word ^ (u128::from(ZEROS) << 64 | u128::from(ZEROS))) << (8 * (CHARACTERS_MAX - length));
    let point = shifted & POINT;
    let (figures, decimals) = if point == 0 {
        (shifted, 0)
    } else {
        // What stands in front of the point moves over it.
        let at = point.trailing_zeros() & !7;
        let in_front = shifted & ((1 << at) - 1);
        let behind = if at == 120 { 0 } else { shifted >> (at + 8) << (at + 8) };
        (behind | in_front << 8, (15 - at / 8) as usize)
    };
    let whole = eight(figures as u64) * 100_000_000 + eight((figures >> 64) as u64);
    if whole > EXACT_MAX {
        return None;
    }
    Some(signed(whole as f64 / POWERS.get(decimals)?))
}

/// The same in half the width, for most numbers that there are: `length` characters without a sign, the first in the
/// lowest byte.
#[inline]
fn float_of_8(word: u64, length: usize) -> Option<f64> {
    let shifted = (word ^ ZEROS) << (8 * (8 - length));
    let point = shifted & POINT as u64;
    if point == 0 {
        return Some(eight(shifted) as f64);
    }
    let at = point.trailing_zeros() & !7;
    // What stands in front of the point moves over it.
    let in_front = shifted & ((1 << at) - 1);
    let behind = shifted & u64::MAX.wrapping_shl(at) & !(0xFF << at);
    let whole = eight(behind | in_front << 8);
    Some(whole as f64 / POWERS.get((7 - at / 8) as usize)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_stop_at_the_first_byte_that_is_none() {
        let table: [(&str, Option<(u64, usize)>); 10] = [
            ("", None),
            ("x", None),
            ("0", Some((0, 1))),
            ("12345678", Some((12_345_678, 8))),
            ("1234567:", Some((1_234_567, 7))),
            ("12345678/9", Some((12_345_678, 8))),
            ("1700000000000000042\n", Some((1_700_000_000_000_000_042, 19))),
            ("9999999999999999999", Some((9_999_999_999_999_999_999, 19))),
            ("17000000000000000420", None),
            ("123456789012345678901234", None),
        ];
        for (text, expected) in table {
            assert_eq!(digits(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_float_is_that_of_the_standard_library_to_the_bit() {
        let texts = [
            "0",
            "-0",
            "0.0",
            "-0.0",
            "1.",
            "007.50",
            "57.32",
            "9007199254740992",
            "9007199254740993",
            "0.1",
            "123456.7890",
            "999999999999999",
            "99999999999999.9",
            "0.00000000000001",
            "-12345678.1234567",
        ];
        for text in texts {
            check(text, "");
            check(text, " 1700000000000000000\n");
        }
        assert_eq!(float(b"9007199254740993", 16), None);
        assert_eq!(float(b"12345678901234567", 17), None);
    }

    fn check(text: &str, behind: &str) {
        let all = format!("{text}{behind}");
        if let Some(x) = float(all.as_bytes(), text.len()) {
            assert_eq!(x.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
        } else {
            assert!(text.len() > 15, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 50 } else { 20_000 }))]
        #[test]
        fn any_short_decimal_is_exact(text in "-?[0-9]{1,14}(\\.[0-9]{0,14})?", behind in "[ ,=0-9.]{0,20}") {
            check(&text, &behind);
        }

        #[test]
        fn any_digits_are_read(number in any::<u64>(), behind in "[^0-9]?.{0,9}") {
            let text = number.to_string();
            prop_assume!(!behind.starts_with(|c: char| c.is_ascii_digit()));
            let expected = (text.len() <= 19).then_some((number, text.len()));
            prop_assert_eq!(digits(format!("{text}{behind}").as_bytes()), expected);
        }
    }
}
