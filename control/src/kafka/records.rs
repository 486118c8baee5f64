//! Record batches, as topics keep them (kafka.apache.org/documentation, "Record Batch"; the format of Kafka 0.11 and later).

use super::wire::Fields;

const MAGIC: i8 = 2;

/// Bytes of a batch before what its checksum is over: offset, length, leader epoch, magic, checksum.
const UNCHECKED_BYTES: usize = 8 + 4 + 4 + 1 + 4;

/// One batch of keys and values, without compression; `time` in milliseconds since 1970.
pub fn batch<'a>(records: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>, time: i64) -> Vec<u8> {
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    // No compression, the producer's time; times of first and last; no producer that a broker knows by id.
    let mut checked = Fields::default().i16(0).i32(count - 1).i64(time).i64(time).i64(-1).i16(-1).i32(-1).i32(count);
    for (offset, (key, value)) in records.enumerate() {
        let length = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        // Attributes, time after the first, number in the batch, key, value, no headers.
        let record = Fields::default().i8(0).varint(0).varint(offset as i64);
        let record = record.varint(length(key)).raw(key).varint(length(value)).raw(value).varint(0);
        checked = checked.varint(length(&record.0)).raw(&record.0);
    }
    let checksum = crc32c(&checked.0).cast_signed();
    let length = i32::try_from(UNCHECKED_BYTES - 8 - 4 + checked.0.len()).unwrap_or(i32::MAX);
    Fields::default().i64(0).i32(length).i32(-1).i8(MAGIC).i32(checksum).raw(&checked.0).0
}

/// CRC-32C (Castagnoli; RFC 3720 appendix B.4).
pub fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

const fn table() -> [u32; 256] {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_its_public_vectors() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_batch_has_its_lengths_and_its_records() {
        let records = [(&b"k"[..], &b"v1"[..]), (b"", b"v2")];
        let batch = batch(records.into_iter(), 7);
        assert_eq!(batch[8..12], (batch.len() as i32 - 12).to_be_bytes());
        assert_eq!(batch[16], 2);
        assert_eq!(batch[17..21], crc32c(&batch[21..]).to_be_bytes());
        // Number of the last record, the times, the number of records.
        assert_eq!(batch[23..27], [0, 0, 0, 1]);
        assert_eq!((&batch[27..35], &batch[35..43]), (&7_i64.to_be_bytes()[..], &7_i64.to_be_bytes()[..]));
        assert_eq!(batch[57..61], [0, 0, 0, 2]);
        assert_eq!(batch[61..], *b"\x12\0\0\0\x02k\x04v1\0\x10\0\0\x02\0\x04v2\0");
    }
}
