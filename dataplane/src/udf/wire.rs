//! The encoding of Protocol Buffers, as far as the protocol uses it.
//!
//! Integers are plain varints: a negative one takes ten bytes.

/// Largest message that is taken.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message of a user-defined function")]
pub struct Malformed;

/// Writes one message.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, number: u32, kind: u8) {
        varint(u64::from(number) << 3 | u64::from(kind), &mut self.0);
    }

    /// A zero is absent.
    pub fn int(&mut self, number: u32, value: i64) {
        if value != 0 {
            self.key(number, 0);
            varint(value as u64, &mut self.0);
        }
    }

    pub fn bool(&mut self, number: u32, value: bool) {
        self.int(number, i64::from(value));
    }

    /// Present also when it is zero: an element of a map or a member of a oneof.
    pub fn present_int(&mut self, number: u32, value: i64) {
        self.key(number, 0);
        varint(value as u64, &mut self.0);
    }

    pub fn present_double(&mut self, number: u32, value: f64) {
        self.key(number, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Empty text is absent.
    pub fn text(&mut self, number: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(number, value.as_bytes());
        }
    }

    /// Present also when it is empty: an element of a list, a message.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.key(number, 2);
        varint(value.len() as u64, &mut self.0);
        self.0.extend_from_slice(value);
    }

    pub fn message(&mut self, number: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }
}

/// A value of a field, as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Raw<'a> {
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
}

impl<'a> Raw<'a> {
    pub fn int(self) -> Result<i64, Malformed> {
        if let Raw::Int(x) = self { Ok(x) } else { Err(Malformed) }
    }

    pub fn double(self) -> Result<f64, Malformed> {
        if let Raw::Double(x) = self { Ok(x) } else { Err(Malformed) }
    }

    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Raw::Bytes(x) = self { Ok(x) } else { Err(Malformed) }
    }

    pub fn text(self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }
}

/// The fields of a message, by number, in order.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Raw<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<(u32, Raw<'a>), Malformed> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed)?;
        let value = match key & 7 {
            0 => Raw::Int(self.varint()? as i64),
            1 => Raw::Double(f64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Malformed)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Raw::Bytes(self.take(length)?)
            }
            5 => Raw::Bytes(self.take(4)?),
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, length) = read_varint(self.0)?.ok_or(Malformed)?;
        self.take(length)?;
        Ok(value)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A varint at the start of `bytes` and its length; `None` if it is not complete.
fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 10 { Err(Malformed) } else { Ok(None) }
}

/// A message behind its length.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + 5);
    varint(message.len() as u64, &mut framed);
    framed.extend_from_slice(message);
    framed
}

/// The first message of `bytes` and how many bytes it takes with its length; `None` if it is not complete.
pub fn split(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    let Some((length, head)) = read_varint(bytes)? else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= MESSAGE_BYTES_MAX).ok_or(Malformed)?;
    Ok(bytes.get(head..head + length).map(|message| (message, head + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_int_takes_ten_bytes_and_comes_back() {
        let mut writer = Writer::default();
        writer.int(1, -1);
        writer.int(2, 0);
        writer.present_double(3, 0.5);
        writer.text(4, "x");
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len(), 11 + 9 + 3);
        let fields: Vec<_> = Reader(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields, [(1, Raw::Int(-1)), (3, Raw::Double(0.5)), (4, Raw::Bytes(b"x"))]);
    }

    #[test]
    fn messages_are_cut_from_a_stream_and_garbage_is_an_error() {
        let mut stream = frame(&[7; 200]);
        stream.extend(frame(b""));
        assert_eq!(split(&stream[..100]), Ok(None));
        let (message, taken) = split(&stream).unwrap().unwrap();
        assert_eq!((message.len(), taken), (200, 202));
        assert_eq!(split(&stream[taken..]), Ok(Some((&b""[..], 1))));
        assert_eq!(split(&[0xff; 12]), Err(Malformed));
        assert!(Reader(&[0x0a, 9, 1]).any(|field| field.is_err()));
        assert!(Reader(&[0x0b]).any(|field| field.is_err()));
    }
}
