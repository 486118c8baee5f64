use proptest::prelude::*;

use super::*;
use crate::block::Cell;

/// A line in the way of the tables below: name, sorted tags, fields, time; or the reason for refusing it.
fn read(line: &[u8]) -> Result<String, String> {
    let end = key_end(line);
    let read = || -> Result<String, Reason> {
        let key = SeriesKey::parse(&line[..end], end < line.len())?;
        let mut shown = format!("{:?}", key.measurement);
        for (tag, value) in &key.tags {
            shown += &format!(" {tag:?}={value:?}");
        }
        let mut fields = Fields::new(line, end);
        while let Some(field) = fields.next_field()? {
            let mut text = String::new();
            let value = match field.value.cell(&mut text) {
                Cell::Float(x) => format!("{x:?}"),
                Cell::Int(x) => format!("{x}i"),
                Cell::Bool(x) => x.to_string(),
                Cell::String(x) => format!("{x:?}"),
                Cell::Missing => "missing".to_owned(),
            };
            shown += &format!(" {}={value}", field.name());
        }
        let time = time(line, fields.end(), Precision::NANOSECOND, 42)?;
        Ok(format!("{shown} @{time}"))
    };
    read().map_err(|reason| reason.to_string())
}

fn lines(body: &str) -> Vec<&str> {
    Lines::new(body.as_bytes()).map(|line| std::str::from_utf8(line).unwrap()).collect()
}

#[test]
fn what_is_accepted() {
    let table = [
        ("m v=1  1 ", r#""m" v=1.0 @1"#),
        ("m v=1", r#""m" v=1.0 @42"#),
        ("m\0 v=1", "\"m\\0\" v=1.0 @42"),
        ("\u{feff}m v=1", "\"\\u{feff}m\" v=1.0 @42"),
        (r"m,a=b\,c\=d\ e v=1", r#""m" "a"="b,c=d e" v=1.0 @42"#),
        (r"m,a\ b=c v=1", r#""m" "a b"="c" v=1.0 @42"#),
        (r#"m,a="x" v=1"#, r#""m" "a"="\"x\"" v=1.0 @42"#),
        (r"m,b=2,a=1\2 v=1", r#""m" "a"="1\\2" "b"="2" v=1.0 @42"#),
        (r"m\,n v=1", r#""m,n" v=1.0 @42"#),
        (r"m\ n v=1", r#""m n" v=1.0 @42"#),
        (r"m\=n v=1", r#""m=n" v=1.0 @42"#),
        ("m=n v=1", r#""m=n" v=1.0 @42"#),
        (r"m\n v=1", r#""m\\n" v=1.0 @42"#),
        ("m\"n v=1", r#""m\"n" v=1.0 @42"#),
        (r"m v\ w=1", r#""m" v w=1.0 @42"#),
        (r"m v\,w=1", r#""m" v,w=1.0 @42"#),
        (r"m v\=w=1", r#""m" v=w=1.0 @42"#),
        (r"m v\w=1", r#""m" v\w=1.0 @42"#),
        (r#"m "v"=1"#, r#""m" "v"=1.0 @42"#),
        ("m v=1.", r#""m" v=1.0 @42"#),
        ("m v=.5,w=-.5", r#""m" v=0.5 w=-0.5 @42"#),
        ("m v=1.e3,w=1E3,x=1e+3", r#""m" v=1000.0 w=1000.0 x=1000.0 @42"#),
        ("m v=007,w=00.5,x=-0", r#""m" v=7.0 w=0.5 x=-0.0 @42"#),
        ("m v=123456789012345678901234567890", r#""m" v=1.2345678901234568e29 @42"#),
        ("m v=4.9e-324,w=1e-400", r#""m" v=5e-324 w=0.0 @42"#),
        ("m v=00i,w=-0i", r#""m" v=0i w=0i @42"#),
        (
            "m v=9223372036854775807i,w=-9223372036854775808i",
            r#""m" v=9223372036854775807i w=-9223372036854775808i @42"#,
        ),
        ("m a=t,b=T,c=true,d=True,e=TRUE", r#""m" a=true b=true c=true d=true e=true @42"#),
        ("m a=f,b=F,c=false,d=False,e=FALSE", r#""m" a=false b=false c=false d=false e=false @42"#),
        (r#"m v="",w="a,b=c d""#, r#""m" v="" w="a,b=c d" @42"#),
        (r#"m v="a\"b",w="a\\b",x="a\nb",y="a\b""#, r#""m" v="a\"b" w="a\\b" x="a\\nb" y="a\\b" @42"#),
        ("m v=\"a\nb\"", r#""m" v="a\nb" @42"#),
        (r#"m v="a"b"#, r#""m" v="a\"" @42"#),
        (r#"m v="a"5"#, r#""m" v="a\"" @42"#),
        ("m v=\"a\"\r", r#""m" v="a\"" @42"#),
        (r#"m v="a""b""#, r#""m" v="a\"\"b" @42"#),
        ("m v=1 0", r#""m" v=1.0 @0"#),
        ("m v=1 00", r#""m" v=1.0 @0"#),
        ("m v=1 -1", r#""m" v=1.0 @-1"#),
        ("m v=1 -9223372036854775806", r#""m" v=1.0 @-9223372036854775806"#),
        ("m,v=t v=1,time=2i", r#""m" "v"="t" v=1.0 time=2i @42"#),
    ];
    for (line, expected) in table {
        assert_eq!(read(line.as_bytes()).as_deref(), Ok(expected), "{line:?}");
    }
}

#[test]
fn what_is_refused_and_why() {
    let table: [(&str, &[&str]); 22] = [
        ("missing fields", &["m", "m,a=b", "v=1", r"m\ v=1", "\r", "m\tv=1"]),
        (
            "invalid field format",
            &[
                "m ",
                "m,a=b ",
                "m v",
                "m v=1,",
                "m ,v=1",
                "m v=1,w",
                "m v=1,,w=2",
                "m v=1, w=2",
                "m v=1,5",
                "m,a=\"x y\" v=1",
            ],
        ),
        ("missing measurement", &[",a=b v=1"]),
        ("missing tag key", &["m, v=1", "m,=b v=1", "m,,a=b v=1", "m,a=b, v=1"]),
        ("missing tag value", &["m,a v=1", "m,a= v=1", "m,a=,b=c v=1"]),
        ("invalid tag format", &["m,a=b=c v=1", r"m,a=b\ v=1", r"m,a=b\\ v=1"]),
        ("duplicate tags", &["m,a=b,a=c v=1"]),
        ("missing field value", &["m v=", "m v=1,w=", "m v=,w=1", "m v= 1"]),
        ("missing field key", &["m =1", "m v=1,=2"]),
        (
            "invalid number",
            &[
                "m v=1=2",
                "m v=1_0",
                "m v=0x1",
                "m v=1-1",
                "m v=--1",
                "m v=1n",
                "m v=1f",
                "m v=1I",
                "m v=1ii",
                "m v=1.0i",
                "m v=1e3i",
                "m v=-i",
                "m v=-",
                "m v=.",
                "m v=-.",
                "m v=1.5.1",
                "m v=1\0",
                "m v=1\t1",
                "m v=1\r",
                "m v=1i\r",
                "m v=NaN",
                "m v=-Inf",
                "m v=nan",
                "m v=1u",
            ],
        ),
        (
            "invalid float",
            &[
                "m v=1e",
                "m v=1e+",
                "m v=1ee3",
                "m v=1e3e3",
                "m v=1e3.5",
                "m v=1e400",
                "m v=-1e400",
                "m v=-e3",
                "m v=.e",
                "m v=.e3",
            ],
        ),
        (
            "invalid boolean",
            &[
                "m v=e3",
                "m v=+1",
                "m v=i",
                "m v='a'",
                "m v=Inf",
                "m v=é",
                "m v=tRUE",
                "m v=tr",
                "m v=truex",
                "m v=yes",
                "m v=fals",
                "m v=a\"",
                "m v=t\r",
            ],
        ),
        ("unbalanced quotes", &["m v=\"a", "m v=\"a\"b\"", "m v=\"a\\", "m v=\"\\"]),
        (
            "unable to parse integer 9223372036854775808: strconv.ParseInt: parsing \"9223372036854775808\": value out of range",
            &["m v=9223372036854775808i"],
        ),
        (
            "bad timestamp",
            &["m v=1 1.5", "m v=1 1e3", "m v=1 +1", "m v=1 abc", "m v=1 1i", "m v=1 #c", "m v=1 w=2", "m v=1 1\r"],
        ),
        ("point is invalid", &["m v=1 1 2"]),
        ("strconv.ParseInt: parsing \"-\": invalid syntax", &["m v=1 -"]),
        ("strconv.ParseInt: parsing \"9223372036854775808\": value out of range", &["m v=1 9223372036854775808"]),
        (
            "time outside range -9223372036854775806 - 9223372036854775806",
            &["m v=1 9223372036854775807", "m v=1 -9223372036854775807"],
        ),
        // The first reason counts.
        ("missing tag value", &["m,a v= x"]),
        ("missing field value", &["m v= x"]),
        ("invalid boolean", &["m a,b=x"]),
    ];
    for (reason, lines) in table {
        for line in lines {
            assert_eq!(read(line.as_bytes()), Err(reason.to_owned()), "{line:?}");
        }
    }
    let long = format!("m,a={} v=1", "x".repeat(65_532));
    assert_eq!(read(long.as_bytes()), Err("max key length exceeded: 65536 > 65535".to_owned()));
}

#[test]
fn bodies_are_cut_into_lines() {
    assert_eq!(lines("a v=1\n\n  \t\0\n#c\n #c\n\tb v=2"), ["a v=1", "b v=2"]);
    assert_eq!(lines("a v=\"x\ny\"\nb v=2\n"), ["a v=\"x\ny\"", "b v=2"]);
    assert_eq!(lines("a\"b v=1\nc v=2"), ["a\"b v=1", "c v=2"]);
    assert_eq!(lines("a \"v=1\nc v=2"), ["a \"v=1", "c v=2"]);
    assert_eq!(lines("a v=\"x\\\"\ny\" 1\nc v=2"), ["a v=\"x\\\"\ny\" 1", "c v=2"]);
    assert_eq!(lines("#\n#x"), Vec::<&str>::new());
    // A backslash takes a newline with it, whether or not there are quotes in the body; the last one stays.
    assert_eq!(lines("m\\\n v=1\nb v=2"), ["m\\\n v=1", "b v=2"]);
    assert_eq!(lines("m\\\n v=\"1\"\nb v=2"), ["m\\\n v=\"1\"", "b v=2"]);
    assert_eq!(lines("m\\\\\nb v=2"), ["m\\\\", "b v=2"]);
    assert_eq!(lines("m v=1\\\n"), ["m v=1\\"]);
}

#[test]
fn times_are_scaled_and_checked() {
    let at = |line: &str, word| time(line.as_bytes(), 0, Precision::of_query(word), 0);
    assert_eq!(at("5", "s"), Ok(5_000_000_000));
    assert_eq!(at("-5", "h"), Ok(-18_000_000_000_000));
    assert_eq!(at("5", "ns"), Ok(5));
    assert_eq!(at("9223372037", "s"), Err(Reason::TimeOutsideRange));
    assert_eq!(at("9223372036854775807", "m"), Err(Reason::TimeOutsideRange));
    assert_eq!(Precision::of_query("s").truncate(1_999_999_999), 1_000_000_000);
    assert_eq!(Precision::of_query("h").truncate(i64::MIN), i64::MIN);
    for (word, time) in
        [("u", 5_000), ("ms", 5_000_000), ("m", 300_000_000_000), ("us", 5), ("S", 5), ("d", 5), ("", 5)]
    {
        assert_eq!(at("5", word), Ok(time), "{word}");
    }
}

#[test]
fn a_name_is_compared_without_its_escapes() {
    let line = "m x\\ y=1,z\\z=2,é=3,plain=4".as_bytes();
    let mut fields = Fields::new(line, key_end(line));
    let mut next = || fields.next_field().unwrap().unwrap();
    let escaped = next();
    assert!(escaped.is_named("x y"));
    // As sent, it reads like another name.
    assert!(!escaped.is_named("x\\ y"));
    assert!(next().is_named("z\\z"));
    assert!(next().is_named("é"));
    let plain = next();
    assert!(plain.is_named("plain") && !plain.is_named("plai"));
}

#[test]
fn invalid_utf8_is_kept_apart_and_shown() {
    assert_eq!(
        read(b"m,\xff=1,\xfe=2 v=\"\xff\""),
        Ok("\"m\" \"\u{fffd}\"=\"1\" \"\u{fffd}\"=\"2\" v=\"\u{fffd}\" @42".to_owned())
    );
    assert_eq!(read(b"m,\xff=1,\xff=2 v=1"), Err("duplicate tags".to_owned()));
}

/// The answer to a body.
fn answer(body: &[u8]) -> Vec<u8> {
    let mut errors = BodyErrors::default();
    for line in Lines::new(body) {
        let end = key_end(line);
        let checked = SeriesKey::parse(&line[..end], end < line.len()).map(drop).and_then(|()| {
            let mut fields = Fields::new(line, end);
            while fields.next_field()?.is_some() {}
            time(line, fields.end(), Precision::NANOSECOND, 0)
        });
        if let Err(reason) = checked {
            errors.push(line, &reason);
        }
    }
    errors.into_text()
}

#[test]
fn an_answer_names_every_bad_line_as_sent() {
    let text = answer(b"m v=1\n  m v=x\n#c\nbad\nm v=\xff 1");
    let expected = b"unable to parse 'm v=x': invalid boolean\nunable to parse 'bad': missing fields\nunable to parse 'm v=\xff 1': invalid boolean\n";
    assert_eq!(text, expected);
    assert_eq!(answer(b"m v=1\n\n#c\n"), b"");
    let line = format!("m,a={} v=1", "x".repeat(65_532));
    let expected = format!("unable to parse '{line}': max key length exceeded: 65536 > 65535\n");
    assert_eq!(answer(line.as_bytes()), expected.as_bytes());
}

#[test]
fn an_answer_is_bounded_in_bytes() {
    let digits = "9".repeat(1 << 20);
    for line in [format!("m v={digits}i"), format!("m v=1 {digits}"), format!("m v={digits}x")] {
        let body = format!("{line}\n").repeat(20);
        let text = answer(body.as_bytes());
        assert!(text.len() < error::TEXT_BYTES_MAX + 4_096, "{}", text.len());
        assert!(text.starts_with(b"unable to parse 'm v="));
        assert!(text.ends_with(b" more lines are refused\n"));
    }
}

#[test]
fn an_answer_lists_a_bounded_number_of_refusals() {
    let mut errors = BodyErrors::default();
    for _ in 0..1_000_000 {
        errors.push(b"m v=x", &Reason::InvalidBoolean);
    }
    let text = String::from_utf8(errors.into_text()).unwrap();
    assert!(text.starts_with("unable to parse 'm v=x': invalid boolean\nunable"));
    assert!(text.ends_with("999900 more lines are refused\n"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_never_give_a_nan(body in proptest::collection::vec(
        proptest::sample::select(b"m,a=bt \\\"10.eiN-+\n\t\0#\r\xff".to_vec()), 0..60)) {
        for line in Lines::new(&body) {
            let end = key_end(line);
            let mut fields = Fields::new(line, end);
            while let Ok(Some(field)) = fields.next_field() {
                let mut text = String::new();
                if let Cell::Float(x) = field.value.cell(&mut text) {
                    prop_assert!(x.is_finite());
                }
            }
            let _ = read(line);
        }
    }

    #[test]
    fn a_written_point_is_read_back(
        tags in proptest::collection::btree_map("[a-z ,=é]{1,8}", "[a-z ,=é]{1,8}", 0..4),
        fields in proptest::collection::btree_map("[a-z ,=]{1,6}", any::<f64>().prop_filter("finite", |x| x.is_finite()), 1..4),
        text in "[ -~]{0,20}",
        time in any::<i64>().prop_filter("in range", |time| time.checked_abs().is_some_and(|time| time < i64::MAX)),
    ) {
        let escape = |text: &str| text.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ");
        let mut line = "m".to_owned();
        tags.iter().for_each(|(key, value)| line += &format!(",{}={}", escape(key), escape(value)));
        line += " ";
        fields.iter().for_each(|(key, value)| line += &format!("{}={value:e},", escape(key)));
        line += &format!("S=\"{}\" {time}", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut expected = "\"m\"".to_owned();
        tags.iter().for_each(|(key, value)| expected += &format!(" {key:?}={value:?}"));
        fields.iter().for_each(|(key, value)| expected += &format!(" {key}={value:?}"));
        expected += &format!(" S={text:?} @{time}");
        prop_assert_eq!(read(line.as_bytes()), Ok(expected));
        let body = format!("{line}\n{line}");
        prop_assert_eq!(lines(&body), [line.as_str(), line.as_str()]);
    }
}
