//! Lexer, parser and formatter of scripts: what is wrong has a place in the text and can be shown, what is right is
//! formatted without a change of what it says.

use control::tick::{format::format, parser::parse, settle_script};

pub fn check(data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    let parsed = parse(&source);
    for found in &parsed.diagnostics {
        assert!(found.render("script", &source).starts_with("error: "));
        if let Some(span) = found.span {
            assert!(span.start <= span.end && span.start as usize <= source.len(), "{found:?}");
        }
    }
    if !parsed.diagnostics.is_empty() {
        return;
    }
    let formatted = format(&parsed.program);
    let again = parse(&formatted);
    assert!(again.diagnostics.is_empty(), "{:?}\n{formatted}", again.diagnostics);
    assert_eq!(again.program.bare(), parsed.program.bare(), "{formatted}");
    // Settling takes a run for each operator of the longest condition.
    if source.len() < 2_000 {
        let settled = settle_script(&source).unwrap_or_default();
        assert_eq!(settle_script(&settled).as_deref(), Ok(settled.as_str()));
    }
}
