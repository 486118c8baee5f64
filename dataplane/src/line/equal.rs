//! Equality of short texts.

/// Whether two texts of equal length are equal: 32 bytes at a time, the rest by halves that overlap. Keys and names are
/// mostly shorter than what a call of `memcmp` pays off for.
#[inline]
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    let (Some(tail), Some(other_tail)) = (one.last_chunk::<16>(), other.last_chunk::<16>()) else {
        return equal_below_16(one, other);
    };
    let ((chunks, rest), (others, other_rest)) = (one.as_chunks::<32>(), other.as_chunks::<32>());
    chunks.iter().zip(others).all(|(one, other)| one == other)
        && (rest.len() <= 16 || rest.first_chunk::<16>() == other_rest.first_chunk::<16>())
        && tail == other_tail
}

#[inline]
fn equal_below_16(one: &[u8], other: &[u8]) -> bool {
    match (one.first_chunk::<8>(), one.last_chunk::<8>(), other.first_chunk::<8>(), other.last_chunk::<8>()) {
        (Some(head), Some(tail), Some(other_head), Some(other_tail)) => head == other_head && tail == other_tail,
        _ => match (one.first_chunk::<4>(), one.last_chunk::<4>(), other.first_chunk::<4>(), other.last_chunk::<4>()) {
            (Some(head), Some(tail), Some(other_head), Some(other_tail)) => head == other_head && tail == other_tail,
            _ => one == other,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn every_byte_counts() {
        for len in 0..150_usize {
            let one: Vec<u8> = (0..len).map(|n| b'a' + (n % 23) as u8).collect();
            assert!(equal(&one, &one.clone()));
            for at in 0..len {
                let mut other = one.clone();
                other[at] ^= 1;
                assert!(!equal(&one, &other), "{len} {at}");
            }
        }
    }
}
