//! The table of operators (reference: tickscript §9): a pair of types that is not here is an error.

use std::cmp::Ordering;

use proto::expr::BinaryOp;

use super::operand::{Kind, Operand, Text};

/// The type of the result, `None` for operands that the operator does not take.
pub fn result_kind(op: BinaryOp, left: Kind, right: Kind) -> Option<Kind> {
    use BinaryOp::*;
    use Kind::{Bool, Duration, Float, Int, Regex, String};
    match (op, left, right) {
        (Add, Int | Float | Duration | String, _) if left == right => Some(left),
        (Subtract, Int | Float | Duration, _) if left == right => Some(left),
        (Multiply | Divide, Int | Float, _) if left == right => Some(left),
        (Multiply, Duration, Int | Float) | (Multiply, Int | Float, Duration) => Some(Duration),
        (Divide, Duration, Int | Float) => Some(Duration),
        (Divide, Duration, Duration) | (Modulo, Int, Int) => Some(Int),
        (Equal | NotEqual, Bool, Bool) => Some(Bool),
        (
            Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual,
            Int | Float | String | Duration,
            Int | Float | String | Duration,
        ) => (left == right || matches!((left, right), (Int, Float) | (Float, Int))).then_some(Bool),
        (RegexMatch | RegexNotMatch, String, Regex) | (And | Or, Bool, Bool) => Some(Bool),
        _ => None,
    }
}

/// Why arithmetic has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Kinds,
    DivideByZero,
}

/// `+ - * / %`. Integers wrap, division truncates toward zero.
pub fn arithmetic<'a>(op: BinaryOp, left: &Operand<'_>, right: &Operand<'_>) -> Result<Operand<'a>, Refused> {
    use Operand::{Duration, Float, Int, Text as Str};
    Ok(match (left, right) {
        (Float(a), Float(b)) => Float(floats(op, *a, *b).ok_or(Refused::Kinds)?),
        (Int(a), Int(b)) => Int(ints(op, *a, *b)?),
        (Duration(a), Duration(b)) => match op {
            BinaryOp::Add | BinaryOp::Subtract => Duration(ints(op, *a, *b)?),
            BinaryOp::Divide => Int(ints(op, *a, *b)?),
            _ => return Err(Refused::Kinds),
        },
        (Duration(a), Int(b)) if matches!(op, BinaryOp::Multiply | BinaryOp::Divide) => Duration(ints(op, *a, *b)?),
        (Int(a), Duration(b)) if op == BinaryOp::Multiply => Duration(a.wrapping_mul(*b)),
        (Duration(a), Float(b)) if op == BinaryOp::Multiply => Duration(truncated(*a as f64 * b)),
        (Duration(a), Float(b)) if op == BinaryOp::Divide => Duration(truncated(*a as f64 / b)),
        (Float(a), Duration(b)) if op == BinaryOp::Multiply => Duration(truncated(a * *b as f64)),
        (Str(a), Str(b)) if op == BinaryOp::Add => Str(Text::Owned([a.as_bytes(), b.as_bytes()].concat())),
        _ => return Err(Refused::Kinds),
    })
}

#[inline]
fn floats(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        _ => return None,
    })
}

#[inline]
fn ints(op: BinaryOp, a: i64, b: i64) -> Result<i64, Refused> {
    Ok(match op {
        BinaryOp::Add => a.wrapping_add(b),
        BinaryOp::Subtract => a.wrapping_sub(b),
        BinaryOp::Multiply => a.wrapping_mul(b),
        BinaryOp::Divide if b != 0 => a.wrapping_div(b),
        BinaryOp::Modulo if b != 0 => a.wrapping_rem(b),
        BinaryOp::Divide | BinaryOp::Modulo => return Err(Refused::DivideByZero),
        _ => return Err(Refused::Kinds),
    })
}

/// A float as integer: truncated toward zero; what does not fit, NaN too, gives the least integer.
pub fn truncated(x: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&x) { x as i64 } else { i64::MIN }
}

/// `== != < <= > >=`; `None` for operands that cannot be compared so.
#[inline]
pub fn compare(op: BinaryOp, left: &Operand<'_>, right: &Operand<'_>) -> Option<bool> {
    use Operand::{Bool, Duration, Float, Int, Text as Str};
    match (left, right) {
        (Float(a), Float(b)) => holds(op, a.partial_cmp(b)),
        (Int(a), Int(b)) | (Duration(a), Duration(b)) => holds(op, Some(a.cmp(b))),
        (Int(a), Float(b)) => holds(op, (*a as f64).partial_cmp(b)),
        (Float(a), Int(b)) => holds(op, a.partial_cmp(&(*b as f64))),
        (Str(a), Str(b)) => holds(op, Some(a.as_bytes().cmp(b.as_bytes()))),
        (Bool(a), Bool(b)) if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) => holds(op, Some(a.cmp(b))),
        _ => None,
    }
}

/// Whether a comparison holds for operands in this order, NaN having none.
#[inline]
fn holds(op: BinaryOp, order: Option<Ordering>) -> Option<bool> {
    Some(match op {
        BinaryOp::Equal => order == Some(Ordering::Equal),
        BinaryOp::NotEqual => order != Some(Ordering::Equal),
        BinaryOp::Less => order == Some(Ordering::Less),
        BinaryOp::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Greater => order == Some(Ordering::Greater),
        BinaryOp::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => return None,
    })
}

/// Unary minus; for a bool it is `!`.
pub fn negated<'a>(operand: &Operand<'_>) -> Option<Operand<'a>> {
    match operand {
        Operand::Float(x) => Some(Operand::Float(-x)),
        Operand::Int(x) => Some(Operand::Int(x.wrapping_neg())),
        Operand::Duration(x) => Some(Operand::Duration(x.wrapping_neg())),
        Operand::Bool(x) => Some(Operand::Bool(!x)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn operand() -> impl Strategy<Value = Operand<'static>> {
        prop_oneof![
            any::<f64>().prop_map(Operand::Float),
            prop_oneof![any::<i64>(), -2..3i64].prop_map(Operand::Int),
            any::<bool>().prop_map(Operand::Bool),
            ".{0,3}".prop_map(|text| Operand::Text(text.into())),
            prop_oneof![any::<i64>(), -2..3i64].prop_map(Operand::Duration),
            any::<i64>().prop_map(Operand::Time),
            Just(Operand::Missing),
            Just(Operand::Null),
        ]
    }

    proptest! {
        #[test]
        fn the_table_of_types_is_what_the_operators_do(op in 0..11usize, left in operand(), right in operand()) {
            use BinaryOp::*;
            let all = [Add, Subtract, Multiply, Divide, Modulo, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual];
            let op = all[op];
            let expected = result_kind(op, left.kind(), right.kind());
            match arithmetic(op, &left, &right) {
                Ok(result) => prop_assert_eq!(Some(result.kind()), expected),
                Err(Refused::DivideByZero) => prop_assert!(expected.is_some()),
                Err(Refused::Kinds) => {
                    prop_assert_eq!(compare(op, &left, &right).map(|_| Kind::Bool), expected);
                }
            }
        }
    }

    #[test]
    fn the_least_integer_has_no_positive_counterpart() {
        for op in [BinaryOp::Multiply, BinaryOp::Divide] {
            assert_eq!(ints(op, i64::MIN, -1), Ok(i64::MIN));
        }
        assert_eq!(ints(BinaryOp::Modulo, i64::MIN, -1), Ok(0));
        assert_eq!(truncated(9_223_372_036_854_775_807.0), i64::MIN);
        assert_eq!((truncated(f64::NAN), truncated(-1.99)), (i64::MIN, -1));
    }
}
