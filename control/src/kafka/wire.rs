//! Fields of requests and answers: numbers are big-endian, texts, bytes and lists stand behind their length.

/// A request's fields, in their order.
#[derive(Debug, Default)]
pub struct Fields(pub Vec<u8>);

impl Fields {
    pub fn i8(mut self, value: i8) -> Fields {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn i16(mut self, value: i16) -> Fields {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn i32(mut self, value: i32) -> Fields {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn i64(mut self, value: i64) -> Fields {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Longer texts than 32 KiB are cut: no name is that long.
    pub fn text(self, text: &str) -> Fields {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        self.i16(length).raw(&text.as_bytes()[..usize::from(length.unsigned_abs())])
    }

    pub fn no_text(self) -> Fields {
        self.i16(-1)
    }

    pub fn bytes(self, bytes: &[u8]) -> Fields {
        self.count(bytes.len()).raw(bytes)
    }

    /// The length of a list, or of bytes.
    pub fn count(self, count: usize) -> Fields {
        self.i32(i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Seven bits a byte, the lowest first, negative numbers between the others (zigzag).
    pub fn varint(mut self, value: i64) -> Fields {
        let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    pub fn raw(mut self, bytes: &[u8]) -> Fields {
        self.0.extend(bytes);
        self
    }
}

/// An answer ends in the middle of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is cut short")]
pub struct CutShort;

/// What is left of an answer.
pub struct Answer<'a>(pub &'a [u8]);

impl<'a> Answer<'a> {
    pub fn i8(&mut self) -> Result<i8, CutShort> {
        self.array().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, CutShort> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, CutShort> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, CutShort> {
        self.array().map(i64::from_be_bytes)
    }

    /// Empty where there is none.
    pub fn text(&mut self) -> Result<String, CutShort> {
        let length = self.i16()?;
        let bytes = self.take(usize::try_from(length).unwrap_or_default())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Empty where there are none.
    pub fn bytes(&mut self) -> Result<&'a [u8], CutShort> {
        let length = self.i32()?;
        self.take(usize::try_from(length).unwrap_or_default())
    }

    /// Each item of a list.
    pub fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Answer<'a>) -> Result<T, CutShort>,
    ) -> Result<Vec<T>, CutShort> {
        // Every item has a byte at least, so that a wrong count ends with the answer.
        (0..self.i32()?).map(|_| if self.0.is_empty() { Err(CutShort) } else { item(self) }).collect()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CutShort> {
        let (array, rest) = self.0.split_first_chunk().ok_or(CutShort)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], CutShort> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CutShort)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let fields =
            Fields::default().i8(-1).i16(2).i32(-3).i64(4).text("ü").no_text().bytes(b"b").count(2).i8(5).i8(6);
        let mut answer = Answer(&fields.0);
        assert_eq!((answer.i8(), answer.i16(), answer.i32(), answer.i64()), (Ok(-1), Ok(2), Ok(-3), Ok(4)));
        assert_eq!((answer.text(), answer.text(), answer.bytes()), (Ok("ü".into()), Ok("".into()), Ok(&b"b"[..])));
        assert_eq!(answer.list(Answer::i8), Ok(vec![5, 6]));
        assert_eq!(answer.i8(), Err(CutShort));
        assert_eq!(Answer(&i32::MAX.to_be_bytes()).list(|_| Ok(())), Err(CutShort));
    }

    #[test]
    fn numbers_of_any_length_are_those_of_the_public_definition() {
        for (number, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-2, &[3]),
            (63, &[126]),
            (64, &[0x80, 1]),
            (-65, &[0x81, 1]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0xf]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            assert_eq!(Fields::default().varint(number).0, bytes, "{number}");
        }
    }
}
