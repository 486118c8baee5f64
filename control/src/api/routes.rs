//! Which requests there are (reference: http-api §2).
//!
//! Dispatch is the original's: by method first, then the longest pattern that matches. A pattern that ends in `/` matches
//! everything below it, others match exactly; so a trailing slash makes another path.

/// A pattern below the base, and its methods.
pub type Route = (&'static str, &'static [&'static str]);

/// The methods that are known at all.
pub const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// All routes below [`super::BASE`], but for the endpoints of httpOut nodes.
pub const ROUTES: &[Route] = &[
    ("/ping", &["GET", "HEAD"]),
    ("/write", &["POST", "OPTIONS"]),
    ("/tasks", &["GET", "POST"]),
    ("/tasks/", &["GET", "PATCH", "DELETE", "OPTIONS"]),
    ("/templates", &["GET", "POST"]),
    ("/templates/", &["GET", "PATCH", "DELETE", "OPTIONS"]),
    ("/recordings", &["GET"]),
    ("/recordings/", &["GET", "DELETE", "OPTIONS"]),
    ("/recordings/stream", &["POST"]),
    ("/recordings/batch", &["POST"]),
    ("/recordings/query", &["POST"]),
    ("/replays", &["GET", "POST"]),
    ("/replays/", &["GET", "DELETE", "OPTIONS"]),
    ("/replays/batch", &["POST"]),
    ("/replays/query", &["POST"]),
    ("/alerts/topics", &["GET"]),
    ("/alerts/topics/", &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ("/config", &["GET"]),
    ("/config/", &["GET", "POST"]),
    ("/service-tests", &["GET"]),
    ("/service-tests/", &["GET", "POST"]),
    ("/storage/stores", &["GET"]),
    ("/storage/backup", &["GET"]),
    ("/storage/", &["POST"]),
    ("/users", &["GET", "POST"]),
    ("/users/", &["GET", "PATCH", "DELETE", "OPTIONS"]),
    ("/authorize", &["GET"]),
    ("/loglevel", &["POST"]),
    ("/subscriptions", &["POST"]),
    ("/sideload/reload", &["POST"]),
    ("/debug/vars", &["GET"]),
    ("/debug/limits", &["GET"]),
    ("/debug/pprof/", &["GET"]),
    ("/debug/pprof/cmdline", &["GET"]),
    ("/debug/pprof/profile", &["GET"]),
    ("/debug/pprof/symbol", &["GET"]),
    ("/debug/pprof/trace", &["GET"]),
    ("/:routes", &["GET"]),
];

/// The pattern that serves a request, and the rest of the path behind it.
pub fn find<'a>(method: &str, path: &'a str) -> Option<(&'static str, &'a str)> {
    let served = ROUTES.iter().filter(|(_, methods)| methods.contains(&method));
    let matches = served.filter_map(|(pattern, _)| match path.strip_prefix(pattern) {
        Some("") => Some((*pattern, "")),
        Some(rest) if pattern.ends_with('/') => Some((*pattern, rest)),
        _ => None,
    });
    matches.max_by_key(|(pattern, _)| pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_documented() {
        let document = include_str!("../../../docs/api.md");
        for (pattern, methods) in ROUTES {
            let line = document.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{pattern}`")));
            let line = line.unwrap_or_else(|| panic!("{pattern} is missing in docs/api.md"));
            assert!(methods.iter().all(|method| line.contains(method)), "{pattern}: {line}");
        }
    }

    #[test]
    fn the_longest_pattern_of_the_method_serves() {
        assert_eq!(find("GET", "/tasks"), Some(("/tasks", "")));
        assert_eq!(find("GET", "/tasks/"), Some(("/tasks/", "")));
        assert_eq!(find("PATCH", "/tasks/a/b"), Some(("/tasks/", "a/b")));
        assert_eq!((find("POST", "/tasks/"), find("GET", "/ping/"), find("PUT", "/tasks")), (None, None, None));
        assert_eq!(find("GET", "/storage/backup"), Some(("/storage/backup", "")));
        assert_eq!(find("POST", "/storage/stores/x"), Some(("/storage/", "stores/x")));
        assert_eq!(find("GET", "/storage/stores/x"), None);
    }
}
