//! Functions on floats. Domain errors are NaN, poles infinite; none fails.

use std::sync::LazyLock;

use super::{
    Body, Function,
    Kind::{Float, Int},
    signature,
};
use crate::expr::operand::Operand;

pub static FUNCTIONS: &[Function] = &[
    float("abs", f64::abs),
    float("acos", libm::acos),
    float("acosh", libm::acosh),
    float("asin", libm::asin),
    float("asinh", libm::asinh),
    float("atan", libm::atan),
    float("atanh", libm::atanh),
    float("cbrt", libm::cbrt),
    float("ceil", f64::ceil),
    float("cos", libm::cos),
    float("cosh", libm::cosh),
    float("erf", libm::erf),
    float("erfc", libm::erfc),
    float("exp", libm::exp),
    float("exp2", libm::exp2),
    float("expm1", libm::expm1),
    float("floor", f64::floor),
    float("gamma", libm::tgamma),
    float("j0", libm::j0),
    float("j1", libm::j1),
    float("log", libm::log),
    float("log10", libm::log10),
    float("log1p", libm::log1p),
    float("log2", libm::log2),
    float("logb", logb),
    float("sin", libm::sin),
    float("sinh", libm::sinh),
    float("sqrt", f64::sqrt),
    float("tan", libm::tan),
    float("tanh", libm::tanh),
    float("trunc", f64::trunc),
    float("y0", libm::y0),
    float("y1", libm::y1),
    floats("atan2", libm::atan2),
    floats("hypot", libm::hypot),
    floats("max", max),
    floats("min", min),
    floats("mod", libm::fmod),
    floats("pow", libm::pow),
    Function { name: "jn", signatures: &[signature(&[Int, Float], Float)], body: Body::Pure(|a| order(a, jn)) },
    Function { name: "yn", signatures: &[signature(&[Int, Float], Float)], body: Body::Pure(|a| order(a, yn)) },
    Function {
        name: "pow10",
        signatures: &[signature(&[Int], Float)],
        body: Body::Pure(|arguments| match arguments {
            [Operand::Int(exponent)] => Some(Ok(Operand::Float(pow10(*exponent)))),
            _ => None,
        }),
    },
];

const fn float(name: &'static str, body: fn(f64) -> f64) -> Function {
    Function { name, signatures: const { &[signature(&[Float], Float)] }, body: Body::Float1(body) }
}

const fn floats(name: &'static str, body: fn(f64, f64) -> f64) -> Function {
    Function { name, signatures: const { &[signature(&[Float, Float], Float)] }, body: Body::Float2(body) }
}

fn order<'a>(
    arguments: &[Operand<'a>],
    body: fn(i64, f64) -> f64,
) -> Option<Result<Operand<'a>, crate::expr::error::Failure>> {
    match arguments {
        [Operand::Int(n), Operand::Float(x)] => Some(Ok(Operand::Float(body(*n, *x)))),
        _ => None,
    }
}

/// The greater one; NaN if either is, but for positive infinity.
fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        // Of the two zeros the positive one.
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The lesser one; NaN if either is, but for negative infinity.
fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// The binary exponent.
fn logb(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x.is_infinite() {
        f64::INFINITY
    } else if x.is_nan() {
        x
    } else {
        f64::from(libm::ilogb(x))
    }
}

/// Highest order of a Bessel function that is computed term by term, so that no call takes longer than a millisecond or so.
const ORDER_MAX: i64 = 100_000;

/// Bessel function of the first kind. Beyond [`ORDER_MAX`] it is taken as 0, its limit for orders above the argument.
fn jn(order: i64, x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if order.unsigned_abs() > ORDER_MAX.unsigned_abs() {
        0.0
    } else {
        libm::jn(order as i32, x)
    }
}

/// Bessel function of the second kind. Beyond [`ORDER_MAX`] it is taken as -Inf, its limit for orders above the argument.
fn yn(order: i64, x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        f64::NAN
    } else if x == 0.0 || order.unsigned_abs() > ORDER_MAX.unsigned_abs() {
        f64::NEG_INFINITY
    } else {
        libm::yn(order as i32, x)
    }
}

/// The power of ten, correctly rounded.
fn pow10(exponent: i64) -> f64 {
    const LEAST: i64 = -323;
    static POWERS: LazyLock<Vec<f64>> =
        LazyLock::new(|| (LEAST..=308).map(|exponent| format!("1e{exponent}").parse().unwrap_or(f64::NAN)).collect());
    match usize::try_from(exponent.saturating_sub(LEAST)) {
        Ok(index) => POWERS.get(index).copied().unwrap_or(f64::INFINITY),
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_follow_infinity_before_nan() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!((max(nan, inf), min(-inf, nan)), (inf, -inf));
        assert!(max(nan, 1.0).is_nan() && min(1.0, nan).is_nan() && max(-inf, nan).is_nan());
        assert!(max(-0.0, 0.0).is_sign_positive() && min(0.0, -0.0).is_sign_negative());
        assert_eq!((max(1.0, 2.5), min(1.0, 2.5)), (2.5, 1.0));
        assert_eq!(libm::hypot(inf, nan), inf);
    }

    #[test]
    fn poles_and_domains() {
        assert_eq!(libm::tgamma(0.0), f64::INFINITY);
        assert_eq!(libm::tgamma(200.0), f64::INFINITY);
        assert!(libm::tgamma(-1.0).is_nan());
        assert!(libm::y0(-1.0).is_nan() && yn(2, -1.0).is_nan());
        assert_eq!((libm::y0(0.0), yn(3, 0.0)), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert_eq!((libm::pow(0.0, 0.0), libm::pow(0.0, -1.0)), (1.0, f64::INFINITY));
        assert!(libm::fmod(1.0, 0.0).is_nan());
        assert_eq!((logb(10.0), logb(0.25), logb(0.0)), (3.0, -2.0, f64::NEG_INFINITY));
    }

    #[test]
    fn powers_of_ten_are_exact() {
        assert_eq!((pow10(3), pow10(-2), pow10(308), pow10(-323)), (1000.0, 0.01, 1e308, 1e-323));
        assert_eq!((pow10(400), pow10(-400)), (f64::INFINITY, 0.0));
        assert_eq!((pow10(i64::MAX), pow10(i64::MIN)), (f64::INFINITY, 0.0));
    }

    #[test]
    fn bessel_functions_of_negative_and_huge_order() {
        assert!((jn(-3, 1.5) + jn(3, 1.5)).abs() < 1e-15);
        assert!((jn(2, 3.0) - 0.486_091_260_585_891_1).abs() < 1e-12);
        assert_eq!((jn(i64::MIN, 3.0), yn(i64::MAX, 3.0)), (0.0, f64::NEG_INFINITY));
    }
}
