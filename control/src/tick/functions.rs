//! The functions of lambdas (reference: tickscript §10), for hints: what is wrong with a call fails at run time only.

use dataplane::expr::{function_arguments, function_names};

use super::diagnostic::suggest;

/// Why no point will ever get past a call, and what was probably meant.
pub fn hopeless(name: &str, arguments: usize) -> Option<(String, Option<String>)> {
    let mut counts: Vec<usize> = function_arguments(name).collect();
    if counts.is_empty() {
        return Some((format!("undefined function: {name:?}, every point will fail"), meant(name)));
    }
    counts.sort_unstable();
    counts.dedup();
    if counts.contains(&arguments) {
        return None;
    }
    let wanted: Vec<String> = counts.iter().map(usize::to_string).collect();
    let plural = if counts == [1] { "argument" } else { "arguments" };
    let message = format!("{name} takes {} {plural}, got {arguments}, every point will fail", wanted.join(" or "));
    Some((message, None))
}

pub fn is_known(name: &str) -> bool {
    function_names().any(|known| known == name)
}

/// The function that was probably meant.
fn meant(name: &str) -> Option<String> {
    match name {
        "round" => Some("write floor(x + 0.5)".to_owned()),
        "len" | "length" => Some("did you mean strLength?".to_owned()),
        _ => suggest(name, function_names()).map(|meant| format!("did you mean {meant}?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_no_signature_takes_are_hopeless() {
        let (message, help) = hopeless("strlength", 1).unwrap();
        assert!(message.contains("undefined function: \"strlength\""), "{message}");
        assert_eq!(help.as_deref(), Some("did you mean strLength?"));
        assert_eq!(hopeless("round", 1).unwrap().1.as_deref(), Some("write floor(x + 0.5)"));
        let (message, _) = hopeless("if", 2).unwrap();
        assert!(message.starts_with("if takes 3 arguments, got 2"), "{message}");
        assert!(hopeless("duration", 3).unwrap().0.starts_with("duration takes 1 or 2 arguments"));
        for (name, arguments) in [("count", 0), ("rand", 1), ("duration", 2), ("strReplace", 4)] {
            assert_eq!(hopeless(name, arguments), None, "{name}");
        }
        assert!(is_known("sigma") && !is_known("avg"));
    }
}
