//! The fast reader: the fields of a plain line, 64 bytes at a time, without a branch per byte or per field.
//!
//! # The idea
//!
//! Nearly all lines that machines write are plain: names, numbers, commas, a timestamp. Such a line can be *proved* good
//! by arithmetic on bit masks, and only what somebody wants of it is ever looked at byte by byte. Everything else
//! (strings, booleans, exponents, escapes, errors) goes line by line to the scalar reader, which alone knows reasons.
//! So this file has no error type: it says "good, and here it is" or nothing.
//!
//! ```text
//! key of a known series, blank │ usage_idle=57.32,user=1.5,n=3i 1700000000000000000\n
//!                    names     │ 1                1        1
//!                    equals    │           1          1     1
//!                    ends      │                 1        1    1            (commas, and the first blank)
//!                    value     │           111111     1111  111             = ends - equals
//!
//! for each window of 64 bytes until a blank:
//!     masks of  =  ,  blank  \  digit  .  -  i                                                             (1)
//!     cut them behind the first blank
//!     value  = ends - equals - borrow                                                                      (2)
//!     dotted = value + points + carry                                                                      (3)
//!     bad    = union of what the grammar forbids; not nothing: give up                                     (4)
//! time: up to 19 digits, eight at a time, then the newline                                                 (5)
//! ```
//!
//! # The tricks
//!
//! 1. **Masks.** One bit a byte ([`super::masks`]); all that follows are a few dozen operations on 64-bit words, whatever
//!    the number of fields in the window.
//! 2. **Values by subtraction.** In binary, `end - equals` is a run of ones from the `=` up to its end. The borrow does
//!    the matching: where `=` and ends do not alternate, a bit of `ends` stays set or one of `equals` gets lost, so that
//!    `value & ends | equals & !value` proves alternation. The borrow out of bit 63 is "the next window begins inside a
//!    value".
//! 3. **At most one point by addition.** Added to its run of ones, a point clears all up to the run's end and sets the
//!    bit of the end itself. A second point finds its own bit set again: `dotted & points`. And the bit at the end says
//!    "this value had a point", which forbids an `i`. The carry out is "the value that goes on has had one".
//! 4. **The rest are neighbours.** A value begins with a digit, or with a minus and a digit; an `i` stands before an end;
//!    a name is not empty: each is a shift by one, whose lost bit is kept for the next window. The edges of windows are
//!    where such code goes wrong; the tests move every line over all offsets of the window, and compare with the scalar
//!    reader.
//! 5. **Time** by [`super::swar`], and wanted floats too: figures and a power of ten, exact by construction.
//! 6. **Names by their length.** Which field is `usage_idle`? Fields whose name has ten bytes have their `=` ten bits
//!    behind the first bit of the name: `names << 10 & equals`. Only those are compared, the last one first, because of
//!    a name that comes twice the last value counts. No list of positions is made, and no order of fields is assumed.
//! 7. **No end of line.** The line's end is found by reading the line: without a backslash and with nothing but numbers
//!    in its values, its first newline behind the key ends it for the scalar reader, too (quotes count in values only).
//!
//! # What it costs
//!
//! - With AVX2 about 45 vector and 60 scalar instructions a window, with AVX-512 a dozen and 60, also for a window with two
//!   bytes in use. Wide lines pay most for (1), short ones for the call and (5).
//! - A string or boolean anywhere makes the whole line slow: three to five times. Telegraf writes few of them.
//! - `.5`, `+1`, tabs, blanks behind the time, negative times are legal and slow.
//! - Fields beyond [`WINDOWS_MAX`] windows are slow: the map is a fixed array.

use super::{
    equal::equal,
    masks::{Classify, WINDOW},
    number, swar,
    timestamp::Precision,
};
use crate::block::Cell;

/// Windows that a line's fields may span.
const WINDOWS_MAX: usize = 64;

/// Figures of an integer that is in range whatever they are, with a minus.
const INTEGER_SURELY: usize = 18;

/// Where names and values of one line stand, by windows from the first byte of its fields.
#[derive(Debug)]
pub struct FieldMap {
    windows: [Marks; WINDOWS_MAX],
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    /// First bytes of names.
    names: u64,
    equals: u64,
    /// What stands behind a value.
    ends: u64,
}

/// Reads plain lines with the instructions that the processor has.
#[derive(Debug)]
pub struct FastReader {
    isa: Isa,
    map: FieldMap,
}

/// What makes masks.
#[derive(Clone, Copy, Debug)]
enum Isa {
    #[cfg(target_arch = "x86_64")]
    Avx512(super::avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(super::avx2::Avx2),
    /// Nothing: every line is left to the scalar reader.
    Scalar,
}

/// A good line: its fields, its time, its length.
#[derive(Debug)]
pub struct FastLine<'a> {
    text: &'a [u8],
    map: &'a FieldMap,
    /// Where the fields end.
    end: usize,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Bytes from the first field up to the newline, and with it if there is one.
    pub bytes: usize,
}

/// A number of a [`FastLine`]; its value is worked out on demand.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    start: usize,
    end: usize,
}

impl Isa {
    fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = super::avx512::Avx512::detect().map(Isa::Avx512);
            if let Some(isa) = avx512.or_else(|| super::avx2::Avx2::detect().map(Isa::Avx2)) {
                return isa;
            }
        }
        Isa::Scalar
    }
}

impl Default for FastReader {
    fn default() -> Self {
        FastReader::with(Isa::detect())
    }
}

impl FastReader {
    fn with(isa: Isa) -> FastReader {
        FastReader { isa, map: FieldMap { windows: [Marks::default(); WINDOWS_MAX], len: 0 } }
    }

    /// One that leaves every line to the scalar reader: what tests compare with.
    pub fn scalar() -> FastReader {
        FastReader::with(Isa::Scalar)
    }

    /// Reads the line whose fields `text` begins with, behind a key without backslashes and one blank; `text` goes on to
    /// the end of the body. `None`: the scalar reader has to.
    pub fn read<'a>(&'a mut self, text: &'a [u8], precision: Precision, default: i64) -> Option<FastLine<'a>> {
        let end = self.fields(text)?;
        let (time, bytes) = time(text, end, precision, default)?;
        Some(FastLine { text, map: &self.map, end, time, bytes })
    }

    #[inline]
    fn fields(&mut self, text: &[u8]) -> Option<usize> {
        match self.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(avx512) => avx512.fields(text, &mut self.map),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(avx2) => avx2.fields(text, &mut self.map),
            Isa::Scalar => None,
        }
    }
}

/// Proves the fields good and maps them; returns where they end. At the end of `text` a newline is assumed.
#[inline(always)]
pub(super) fn fields<C: Classify>(classify: C, text: &[u8], map: &mut FieldMap) -> Option<usize> {
    // What the window before leaves: bit 0 of what reaches over its edge.
    let (mut in_value, mut dotted_before) = (0, 0);
    let (mut begins_value, mut behind_minus, mut behind_int) = (0, 0, 0);
    let mut begins_name = 1;
    for index in 0..WINDOWS_MAX {
        let from = index * WINDOW;
        let padded;
        let bytes = match text.get(from..).unwrap_or_default().first_chunk() {
            Some(bytes) => bytes,
            None => {
                padded = last_window(text.get(from..).unwrap_or_default());
                &padded
            }
        };
        let masks = classify.masks(bytes);
        // All bits up to the first blank and with it; all bits where there is none.
        let reach = masks.blank ^ masks.blank.wrapping_sub(1);
        let blank = masks.blank & reach;
        let equals = masks.equals & reach;
        let comma = masks.comma & reach;
        let ends = comma | blank;

        let (value, borrow) = ends.overflowing_sub(equals);
        let (value, borrow_before) = value.overflowing_sub(in_value);
        let inside = value & !equals;
        let points = masks.point & inside;
        let (dotted, carry) = value.overflowing_add(points);
        let (dotted, carry_before) = dotted.overflowing_add(dotted_before);

        let names = comma << 1 | begins_name;
        let starts = equals << 1 | begins_value;
        let minus = masks.minus & starts;
        let figures_due = starts & !minus | minus << 1 | behind_minus;
        let ints = masks.int & inside;
        let int_ends = ints << 1 | behind_int;

        let bad = value & ends
            | equals & !value
            | inside & !(masks.digit | points | minus | ints)
            | figures_due & !masks.digit
            | int_ends & !ends
            | int_ends & dotted
            | dotted & points
            | names & equals
            | masks.backslash & reach
            // A value as long as a window: too large for a double, perhaps.
            | u64::from(value == u64::MAX);
        if bad != 0 {
            return None;
        }
        if ints != 0 && !short_integers(ints, equals, from, &map.windows[..index]) {
            return None;
        }
        map.windows[index] = Marks { names, equals, ends };
        if blank != 0 {
            map.len = index + 1;
            return Some(from + blank.trailing_zeros() as usize);
        }
        in_value = u64::from(borrow | borrow_before);
        dotted_before = u64::from(carry | carry_before);
        begins_name = comma >> 63;
        begins_value = equals >> 63;
        behind_minus = minus >> 63;
        behind_int = ints >> 63;
    }
    None
}

/// The last bytes of a body as a window: newlines behind them.
#[cold]
fn last_window(rest: &[u8]) -> [u8; WINDOW] {
    let mut window = [b'\n'; WINDOW];
    window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    window
}

/// Whether the integers that end at `ints` are short enough to be in range.
fn short_integers(mut ints: u64, equals: u64, from: usize, before: &[Marks]) -> bool {
    while ints != 0 {
        let at = ints.trailing_zeros();
        let here = equals & ((1 << at) - 1);
        let start = match here.checked_ilog2() {
            Some(bit) => from + bit as usize,
            None => match before.last().and_then(|marks| marks.equals.checked_ilog2()) {
                Some(bit) => from - WINDOW + bit as usize,
                None => return false,
            },
        };
        if from + at as usize - start - 1 > INTEGER_SURELY {
            return false;
        }
        ints &= ints - 1;
    }
    true
}

/// The time behind fields that end at `end`, and the bytes up to the next line.
#[inline]
fn time(text: &[u8], end: usize, precision: Precision, default: i64) -> Option<(i64, usize)> {
    match text.get(end) {
        None => return Some((default, end)),
        Some(b'\n') => return Some((default, end + 1)),
        Some(b' ') => {}
        Some(_) => return None,
    }
    let (stamp, digits) = swar::digits(text.get(end + 1..)?)?;
    let behind = end + 1 + digits;
    let bytes = match text.get(behind) {
        None => behind,
        Some(b'\n') => behind + 1,
        Some(_) => return None,
    };
    Some((precision.scale(i64::try_from(stamp).ok()?)?, bytes))
}

impl<'a> FastLine<'a> {
    /// All fields as sent.
    pub fn section(&self) -> &'a [u8] {
        self.text.get(..self.end).unwrap_or_default()
    }

    /// Whether [`FastLine::find`] tells for sure if there is a field of this name. Not if it would have to be escaped in
    /// a line, nor if it holds what stands for invalid UTF-8.
    pub fn can_find(name: &str) -> bool {
        !name.contains([',', '=', char::REPLACEMENT_CHARACTER])
    }

    /// The last field of this name. Names are compared by their bytes.
    #[inline]
    pub fn find(&self, name: &str) -> Option<Number> {
        let name = name.as_bytes();
        let length = name.len();
        if length == 0 || length >= WINDOW {
            return self.iter().filter(|(found, _)| *found == name).last().map(|(_, number)| number);
        }
        let windows = self.map.windows.get(..self.map.len)?;
        for (index, marks) in windows.iter().enumerate().rev() {
            let before = index.checked_sub(1).and_then(|before| windows.get(before)).map_or(0, |marks| marks.names);
            let mut candidates = (marks.names << length | before >> (WINDOW - length)) & marks.equals;
            while let Some(bit) = candidates.checked_ilog2() {
                let equals = index * WINDOW + bit as usize;
                if self.text.get(equals - length..equals).is_some_and(|found| equal(found, name)) {
                    return self.number(index, bit, equals);
                }
                candidates ^= 1 << bit;
            }
        }
        None
    }

    /// The number behind the `=` that is bit `bit` of a window.
    fn number(&self, index: usize, bit: u32, equals: usize) -> Option<Number> {
        let end = |index: usize, ends: u64| (ends != 0).then(|| index * WINDOW + ends.trailing_zeros() as usize);
        let marks = self.map.windows.get(index)?;
        // A value is shorter than two windows.
        let end = end(index, marks.ends & (u64::MAX << bit)).or_else(|| {
            let behind = self.map.windows.get(index + 1..self.map.len)?;
            behind.iter().zip(index + 1..).find_map(|(marks, index)| end(index, marks.ends))
        })?;
        Some(Number { start: equals + 1, end })
    }

    /// Names as sent and numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Number)> {
        let (text, windows) = (self.text, self.map.windows.get(..self.map.len).unwrap_or_default());
        let bits = |of: fn(&Marks) -> u64| {
            windows.iter().enumerate().flat_map(move |(index, marks)| {
                let mut left = of(marks);
                std::iter::from_fn(move || {
                    let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                    left &= left - 1;
                    Some(index * WINDOW + bit)
                })
            })
        };
        let (equals, ends) = (bits(|marks| marks.equals), bits(|marks| marks.ends));
        let mut name = 0;
        equals.zip(ends).map(move |(equals, end)| {
            let found = text.get(name..equals).unwrap_or_default();
            name = end + 1;
            (found, Number { start: equals + 1, end })
        })
    }

    /// The value of a number.
    #[inline]
    pub fn cell(&self, number: Number) -> Cell<'static> {
        let Number { start, end } = number;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = end - start;
        if rest.get(length.wrapping_sub(1)) == Some(&b'i') {
            return Cell::Int(integer(rest));
        }
        let exact = || number::float(rest.get(..length).unwrap_or_default()).unwrap_or_default();
        Cell::Float(swar::float(rest, length).unwrap_or_else(exact))
    }
}

/// The integer that `text` begins with: short, so it is in range.
fn integer(text: &[u8]) -> i64 {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (number, _) = swar::digits(digits).unwrap_or_default();
    let number = number.cast_signed();
    if digits.len() == text.len() { number } else { -number }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::line::{Fields, Lines, key_end, masks::Bytewise};

    /// Miri takes its time.
    const MIRI_STEP: usize = if cfg!(miri) { 31 } else { 1 };

    /// A line as far as both readers tell of it: names, bits of values, time, and where the next line begins.
    type Seen = (Vec<(String, String)>, i64, usize);

    fn scalar(body: &[u8], precision: Precision) -> Option<Seen> {
        let mut lines = Lines::new(body);
        let line = lines.next()?;
        let end = key_end(line);
        let mut fields = Fields::new(line, end);
        let mut seen = Vec::new();
        while let Some(field) = fields.next_field().ok()? {
            let mut text = String::new();
            seen.push((field.name().into_owned(), format!("{:?}", field.value.cell(&mut text))));
        }
        let time = crate::line::time(line, fields.end(), precision, 42).ok()?;
        Some((seen, time, body.len() - lines.rest().len()))
    }

    fn seen(line: &FastLine<'_>, key: usize) -> Seen {
        let fields = line
            .iter()
            .map(|(name, number)| (String::from_utf8_lossy(name).into_owned(), format!("{:?}", line.cell(number))));
        (fields.collect(), line.time, key + line.bytes)
    }

    fn fast<C: Classify>(classify: C, body: &[u8], precision: Precision) -> Option<Seen> {
        let mut reader = FastReader::default();
        let key = body.iter().position(|byte| *byte == b' ')? + 1;
        let text = body.get(key..)?;
        let end = fields(classify, text, &mut reader.map)?;
        let (time, bytes) = time(text, end, precision, 42)?;
        let line = FastLine { text, map: &reader.map, end, time, bytes };
        for (name, _) in line.iter() {
            let name = std::str::from_utf8(name).ok()?;
            let last = line.iter().filter(|(found, _)| *found == name.as_bytes()).last();
            let values = (line.find(name).map(|number| line.cell(number)), last.map(|(_, number)| line.cell(number)));
            assert_eq!(values.0, values.1, "{name}");
        }
        Some(seen(&line, key))
    }

    /// What is read fast is what the scalar reader reads; returns whether it was.
    fn agrees(body: &[u8], precision: Precision) -> bool {
        let found = fast(Bytewise, body, precision);
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = crate::line::avx2::Avx2::detect().map(|avx2| fast(avx2, body, precision));
            let avx512 = crate::line::avx512::Avx512::detect().map(|avx512| fast(avx512, body, precision));
            for seen in [avx2, avx512].into_iter().flatten() {
                assert_eq!(seen, found, "{:?}", String::from_utf8_lossy(body));
            }
        }
        if found.is_some() {
            assert_eq!(found, scalar(body, precision), "{:?}", String::from_utf8_lossy(body));
        }
        found.is_some()
    }

    #[test]
    fn plain_lines_are_read_wherever_windows_end() {
        let lines = [
            "v=1",
            "v=1 1700000000000000000",
            "v=1,w=-2.5,x=3i,y=-4i 17",
            "usage_idle=57.32,user=1.5,n=3i,n=4i 1700000000000000000",
            "a=123456789012345.,b=0,c=00.5,a=999999999999999999i 1",
            "temp\u{e9}rature=1.5,b\"=2,x=-0 0",
            "f=12345678901234567890.123456789 9223372036854775806",
        ];
        for line in lines {
            for pad in (1..150).step_by(MIRI_STEP) {
                let name = "n".repeat(pad);
                for behind in ["", "\n", "\nm v=2\n"] {
                    let body = format!("m {name}=1.25,{line}{behind}");
                    assert!(agrees(body.as_bytes(), Precision::NANOSECOND), "{body:?}");
                    let body = format!("m {line}{behind}");
                    assert!(agrees(body.as_bytes(), Precision::NANOSECOND), "{body:?}");
                }
            }
        }
        assert!(agrees(b"m v=1 1700000000\n", Precision::of_query("s")));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_scalar_reader() {
        let rests = [
            "",
            " v=1",
            "\tv=1",
            "\0v=1",
            "v",
            "v=",
            "=1",
            ",v=1",
            "v=1,",
            "v=1,,w=2",
            "v=1,=2",
            "v=1=2",
            "v=1,w",
            "v=1, w=2",
            "v=-",
            "v=.",
            "v=.5",
            "v=-.5",
            "v=+1",
            "v=1.5.1",
            "v=1.0i",
            "v=1.i",
            "v=i",
            "v=-i",
            "v=1ii",
            "v=1i1",
            "v=1-1",
            "v=--1",
            "v=1e3",
            "v=t",
            "v=\"a\"",
            "v=1\\",
            "a\\ b=1",
            "v=1\r",
            "v=1\t1",
            "v=1 ",
            "v=1  1",
            "v=1 1 ",
            "v=1 1 2",
            "v=1 -1",
            "v=1 1.5",
            "v=1 x",
            "v=1 1\r",
            "v=9223372036854775808i",
            "v=1 9223372036854775807",
            "v=1 12345678901234567890",
        ];
        for rest in rests {
            for pad in (0..70).chain(120..140).step_by(MIRI_STEP) {
                let body = match pad {
                    0 => format!("m {rest}\n"),
                    pad => format!("m {}=1,{rest}\n", "n".repeat(pad)),
                };
                assert!(fast(Bytewise, body.as_bytes(), Precision::NANOSECOND).is_none(), "{body:?}");
                assert!(!agrees(body.as_bytes(), Precision::NANOSECOND), "{body:?}");
            }
        }
        let long = format!("m v={}\n", "9".repeat(400));
        assert!(!agrees(long.as_bytes(), Precision::NANOSECOND));
        let far = format!("m {}v=1\n", "name=1,".repeat(1_000));
        assert!(!agrees(far.as_bytes(), Precision::NANOSECOND));
        assert!(!agrees(b"m v=1 9223372037\n", Precision::of_query("s")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 3_000 }))]

        #[test]
        fn whatever_is_read_fast_is_read_the_same_by_the_scalar_reader(
            pad in 0..130_usize,
            rest in proptest::collection::vec(proptest::sample::select(b"a1=,. -i\n\"\\e=,0.".to_vec()), 0..40)) {
            let mut body = format!("m {}=1,", "n".repeat(pad.max(1))).into_bytes();
            body.extend(rest);
            agrees(&body, Precision::NANOSECOND);
        }

        #[test]
        fn a_change_of_one_byte_in_a_plain_line_is_judged_alike(
            fields in proptest::collection::vec(("[a-z]{1,12}", "-?[0-9]{1,12}(\\.[0-9]{0,6}|i)?"), 1..20),
            at in any::<proptest::sample::Index>(),
            byte in proptest::sample::select(b"=,. -i\n\"\\e0\t\xc3".to_vec())) {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut body = format!("m {} 1700000000000000000\nnext v=1\n", fields.join(",")).into_bytes();
            prop_assert!(agrees(&body, Precision::NANOSECOND));
            let at = at.index(body.len() - 2) + 2;
            body[at] = byte;
            agrees(&body, Precision::NANOSECOND);
        }
    }
}
