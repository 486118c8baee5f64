//! Names of the functions of lambdas (reference: tickscript §10), for hints: an unknown one fails at run time only.

#[rustfmt::skip]
const NAMES: &[&str] = &[
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "bool", "cbrt", "ceil", "cos", "cosh", "count",
    "day", "duration", "erf", "erfc", "exp", "exp2", "expm1", "float", "floor", "gamma", "hour", "humanBytes",
    "hypot", "if", "int", "isPresent", "j0", "j1", "jn", "log", "log10", "log1p", "log2", "logb", "max", "min",
    "minute", "mod", "month", "now", "pow", "pow10", "rand", "regexReplace", "sigma", "sin", "sinh", "spread", "sqrt",
    "strContains", "strContainsAny", "strCount", "strHasPrefix", "strHasSuffix", "strIndex", "strIndexAny",
    "strLastIndex", "strLastIndexAny", "strLength", "strReplace", "strSubstring", "strToLower", "strToUpper",
    "strTrim", "strTrimLeft", "strTrimPrefix", "strTrimRight", "strTrimSpace", "strTrimSuffix", "string", "tan",
    "tanh", "trunc", "unixNano", "weekday", "y0", "y1", "year", "yn",
];

pub fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The function that was probably meant.
pub fn meant(name: &str) -> Option<&'static str> {
    super::diagnostic::suggest(name, NAMES.iter().copied())
}

#[cfg(test)]
mod tests {
    use dataplane::{
        expr::{Lambda, Scope, State},
        tags::TagSet,
    };
    use proto::Expr;

    use super::*;

    /// What the evaluator says of a call without arguments.
    fn evaluated(name: &str) -> String {
        let mut lambda = Lambda::compile(&Expr::Call(name.to_owned(), Vec::new())).unwrap();
        let tags = TagSet::empty();
        let scope = Scope { time: 0, fields: (&[]).into(), tags: &tags, results: &[], now: 0 };
        lambda.eval(&scope, &mut State::default()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_evaluator_knows_every_name() {
        for name in NAMES {
            assert!(!evaluated(name).contains("undefined function"), "{name}");
        }
        assert!(evaluated("round").contains("undefined function"));
        assert_eq!(meant("strlength"), Some("strLength"));
    }
}
