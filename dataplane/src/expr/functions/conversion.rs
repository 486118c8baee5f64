//! Conversions between types, `isPresent` and `if`.

use super::{Body, Function, Signature, signature};
use crate::expr::{
    duration_text::{self, DurationError},
    error::Failure,
    operand::{
        Kind::{self, Bool, Duration, Float, Int, Missing, Regex, String as Str, Time},
        Operand, Text,
    },
    operators::truncated,
};

type Converted<'a> = Option<Result<Operand<'a>, Failure>>;

pub static FUNCTIONS: &[Function] = &[
    Function { name: "bool", signatures: &from_scalars(Bool), body: Body::Pure(to_bool) },
    Function { name: "int", signatures: &from_scalars(Int), body: Body::Pure(to_int) },
    Function { name: "float", signatures: &from_scalars(Float), body: Body::Pure(to_float) },
    Function {
        name: "string",
        signatures: &[
            signature(&[Bool], Str),
            signature(&[Int], Str),
            signature(&[Float], Str),
            signature(&[Str], Str),
            signature(&[Duration], Str),
        ],
        body: Body::Pure(to_string),
    },
    Function {
        name: "duration",
        signatures: &[
            signature(&[Duration], Duration),
            signature(&[Int, Duration], Duration),
            signature(&[Float, Duration], Duration),
            signature(&[Str, Duration], Duration),
        ],
        body: Body::Pure(to_duration),
    },
    Function {
        name: "isPresent",
        signatures: &[
            signature(&[Missing], Bool),
            signature(&[Bool], Bool),
            signature(&[Int], Bool),
            signature(&[Float], Bool),
            signature(&[Str], Bool),
        ],
        body: Body::Pure(is_present),
    },
    Function {
        name: "if",
        signatures: &[
            signature(&[Bool, Float, Float], Float),
            signature(&[Bool, Int, Int], Int),
            signature(&[Bool, Str, Str], Str),
            signature(&[Bool, Bool, Bool], Bool),
            signature(&[Bool, Regex, Regex], Regex),
            signature(&[Bool, Time, Time], Time),
            signature(&[Bool, Duration, Duration], Duration),
        ],
        body: Body::Pure(choice),
    },
];

const fn from_scalars(result: Kind) -> [Signature; 4] {
    [signature(&[Bool], result), signature(&[Int], result), signature(&[Float], result), signature(&[Str], result)]
}

fn to_bool<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let [argument] = arguments else { return None };
    let result = match argument {
        Operand::Bool(x) => Ok(*x),
        Operand::Int(x @ (0 | 1)) => Ok(*x == 1),
        Operand::Int(x) => Err(Failure::BoolOfInt(*x)),
        Operand::Float(x) if *x == 0.0 || *x == 1.0 => Ok(*x == 1.0),
        Operand::Float(x) => Err(Failure::BoolOfFloat(*x)),
        Operand::Text(text) => match text.as_bytes() {
            b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Ok(true),
            b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Ok(false),
            _ => Err(syntax(text, Bool)),
        },
        _ => return None,
    };
    Some(result.map(Operand::Bool))
}

fn to_int<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let [argument] = arguments else { return None };
    let result = match argument {
        Operand::Bool(x) => Ok(i64::from(*x)),
        Operand::Int(x) => Ok(*x),
        Operand::Float(x) => Ok(truncated(*x)),
        Operand::Text(text) => text.to_str().parse().map_err(|error: std::num::ParseIntError| match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => range(text, Int),
            _ => syntax(text, Int),
        }),
        _ => return None,
    };
    Some(result.map(Operand::Int))
}

fn to_float<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let [argument] = arguments else { return None };
    let result = match argument {
        Operand::Bool(x) => Ok(f64::from(u8::from(*x))),
        Operand::Int(x) => Ok(*x as f64),
        Operand::Float(x) => Ok(*x),
        Operand::Text(text) => parse_float(text),
        _ => return None,
    };
    Some(result.map(Operand::Float))
}

fn parse_float(text: &Text<'_>) -> Result<f64, Failure> {
    let string = text.to_str();
    let number: f64 = string.parse().map_err(|_| syntax(text, Float))?;
    if number.is_nan() && string.starts_with(['+', '-']) {
        return Err(syntax(text, Float));
    }
    if number.is_infinite() && string.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(range(text, Float));
    }
    Ok(number)
}

/// A float in its shortest decimals, never with an exponent.
fn float_text(x: f64) -> String {
    if x == f64::INFINITY {
        "+Inf".to_owned()
    } else if x == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        x.to_string()
    }
}

fn to_string<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let [argument] = arguments else { return None };
    let text = match argument {
        Operand::Bool(x) => Text::Slice(if *x { b"true" } else { b"false" }),
        Operand::Int(x) => x.to_string().into(),
        Operand::Float(x) => float_text(*x).into(),
        Operand::Text(text) => text.clone(),
        Operand::Duration(x) => duration_text::format(*x).into(),
        _ => return None,
    };
    Some(Ok(Operand::Text(text)))
}

fn to_duration<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let result = match arguments {
        [Operand::Duration(x)] => Ok(*x),
        [Operand::Int(n), Operand::Duration(unit)] => Ok(n.wrapping_mul(*unit)),
        [Operand::Float(x), Operand::Duration(unit)] => Ok(truncated(x * *unit as f64)),
        [Operand::Text(text), Operand::Duration(_)] => {
            duration_text::parse(&text.to_str()).map_err(|error| match error {
                DurationError::Syntax => syntax(text, Duration),
                DurationError::Overflow => range(text, Duration),
            })
        }
        _ => return None,
    };
    Some(result.map(Operand::Duration))
}

fn is_present<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    match arguments {
        [Operand::Missing] => Some(Ok(Operand::Bool(false))),
        [Operand::Bool(_) | Operand::Int(_) | Operand::Float(_) | Operand::Text(_)] => Some(Ok(Operand::Bool(true))),
        _ => None,
    }
}

fn choice<'a>(arguments: &[Operand<'a>]) -> Converted<'a> {
    let [Operand::Bool(condition), yes, no] = arguments else { return None };
    if yes.kind() != no.kind() || matches!(yes, Operand::Missing | Operand::Null) {
        return None;
    }
    Some(Ok(if *condition { yes.clone() } else { no.clone() }))
}

fn syntax(text: &Text<'_>, to: Kind) -> Failure {
    Failure::Syntax { text: text.to_str().into(), to }
}

fn range(text: &Text<'_>, to: Kind) -> Failure {
    Failure::Range { text: text.to_str().into(), to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(text: &str) -> Result<f64, Failure> {
        parse_float(&Text::Slice(text.as_bytes()))
    }

    #[test]
    fn floats_are_read_without_blanks_and_in_range() {
        for (text, x) in [("1e3", 1e3), ("-.5", -0.5), ("5.", 5.0), ("+2", 2.0), ("1e-999", 0.0)] {
            assert_eq!(float(text), Ok(x), "{text}");
        }
        for text in ["inf", "+Inf", "Infinity", "INF"] {
            assert_eq!(float(text), Ok(f64::INFINITY), "{text}");
        }
        assert!(float("nan").unwrap().is_nan() && float("NaN").unwrap().is_nan());
        for text in ["", " 1", "1 ", ".", "e5", "-nan", "1,5", "yes"] {
            assert!(matches!(float(text), Err(Failure::Syntax { .. })), "{text}");
        }
        assert!(matches!(float("-1e999"), Err(Failure::Range { .. })));
    }

    #[test]
    fn floats_are_shown_without_exponent() {
        let shown = [(1.0, "1"), (1e21, "1000000000000000000000"), (1e-7, "0.0000001"), (-0.0, "-0"), (2.5, "2.5")];
        for (x, text) in shown.into_iter().chain([(f64::NAN, "NaN"), (f64::NEG_INFINITY, "-Inf")]) {
            assert_eq!(float_text(x), text);
        }
    }
}
