//! The partition of a record: by its key, with one of the hashes that other producers use, or the least filled one.

/// How a partition is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Partitioner {
    /// As librdkafka does.
    #[default]
    Crc32,
    /// As Kafka's own producer does.
    Murmur2,
    Murmur3,
    /// As sarama does.
    Fnv1a,
    /// The partition that has got the fewest bytes.
    LeastBytes,
}

impl Partitioner {
    /// The one of a name; the default one by the empty name.
    pub fn by_key(name: &str) -> Result<Partitioner, String> {
        match name {
            "" | "crc32" => Ok(Partitioner::Crc32),
            "murmur2" => Ok(Partitioner::Murmur2),
            "murmur3" => Ok(Partitioner::Murmur3),
            "fnv-1a" => Ok(Partitioner::Fnv1a),
            other => Err(format!("invalid partition algorithm: {other:?}, must be crc32, murmur2, murmur3 or fnv-1a")),
        }
    }

    /// The partition of a key, of as many as `filled` has bytes of. There must be one.
    ///
    /// The hashes become a partition in three ways, which are those of the producers that they are from. librdkafka takes
    /// an empty key for none.
    pub fn choose(self, key: &[u8], filled: &[u64]) -> usize {
        let count = u32::try_from(filled.len()).unwrap_or(u32::MAX).max(1);
        let signed = |hash: u32| (hash.cast_signed() % count.cast_signed()).unsigned_abs();
        let chosen = match self {
            Partitioner::Crc32 if !key.is_empty() => crc32fast::hash(key) % count,
            Partitioner::Murmur2 => (murmur2(key) & 0x7fff_ffff) % count,
            Partitioner::Murmur3 => signed(murmur3(key)),
            Partitioner::Fnv1a => signed(fnv_1a(key)),
            Partitioner::Crc32 | Partitioner::LeastBytes => {
                return (0..filled.len()).min_by_key(|partition| filled[*partition]).unwrap_or_default();
            }
        };
        chosen as usize
    }
}

/// MurmurHash2 of 32 bits (Austin Appleby), with the seed of Kafka's producer.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = SEED ^ data.len() as u32;
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        hash = (hash ^ little_endian(rest)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> 13).wrapping_mul(M);
    hash ^ hash >> 15
}

/// MurmurHash3 for x86 of 32 bits (Austin Appleby), seed 0.
fn murmur3(data: &[u8]) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = 0_u32;
    for word in words {
        hash = (hash ^ scramble(u32::from_le_bytes(*word))).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= scramble(little_endian(rest)) ^ data.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// FNV-1a of 32 bits (Fowler, Noll, Vo; RFC 9923).
fn fnv_1a(data: &[u8]) -> u32 {
    data.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Up to four bytes as a number.
fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_their_public_vectors() {
        // Of Kafka's own tests.
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
        }
        let fox = b"The quick brown fox jumps over the lazy dog";
        assert_eq!((murmur3(b""), murmur3(b"hello"), murmur3(fox)), (0, 0x248b_fa47, 0x2e4f_f723));
        assert_eq!((fnv_1a(b""), fnv_1a(b"a"), fnv_1a(b"foobar")), (0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968));
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_key_has_the_partition_that_other_producers_give_it() {
        let of = |partitioner: Partitioner, key: &str| partitioner.choose(key.as_bytes(), &[0; 1000]);
        for (key, crc32, murmur2) in [("hello", 870, 229), ("hello2", 502, 907), ("hello5", 413, 841)] {
            assert_eq!((of(Partitioner::Crc32, key), of(Partitioner::Murmur2, key)), (crc32, murmur2), "{key}");
        }
        // 0xbf9cf968 is a negative number to sarama, whose partition is the remainder without its sign.
        assert_eq!(of(Partitioner::Fnv1a, "foobar"), 0xbf9c_f968_u32.cast_signed().unsigned_abs() as usize % 1000);
        assert_eq!(of(Partitioner::Murmur3, "hello"), 0x248b_fa47 % 1000);
        for algorithm in [Partitioner::Crc32, Partitioner::Murmur2, Partitioner::Murmur3, Partitioner::Fnv1a] {
            assert_eq!(algorithm.choose(b"k", &[7]), 0);
        }
    }

    #[test]
    fn without_a_key_the_least_filled_partition_is_next() {
        assert_eq!(Partitioner::LeastBytes.choose(b"k", &[5, 3, 3]), 1);
        assert_eq!(Partitioner::Crc32.choose(b"", &[5, 3, 1]), 2);
        assert!(Partitioner::by_key("md5").unwrap_err().starts_with("invalid partition algorithm: \"md5\""));
        assert_eq!(Partitioner::by_key(""), Partitioner::by_key("crc32"));
    }
}
