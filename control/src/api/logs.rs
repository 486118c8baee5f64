//! `/kapacitor/v1preview/logs`: the log as it is written (reference: http-api §22).
//!
//! Sessions see lines of both processes, whatever the level of the log. A client that reads slowly loses lines and is
//! told how many; it holds up nobody.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use dataplane::{http::Query, logging};

use super::{
    Api,
    answer::{self, Answer, Content},
};

/// Pieces on their way to one client.
const PIECES: usize = 64;

/// Which lines a session sees: all pairs must match.
struct Filter {
    pairs: Vec<(String, String)>,
}

impl Filter {
    fn read(query: Query<'_>) -> Option<Filter> {
        let pairs: Vec<(String, String)> =
            query.pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        let twice = pairs.iter().enumerate().any(|(at, (key, _))| pairs[..at].iter().any(|(other, _)| other == key));
        (!twice).then_some(Filter { pairs })
    }

    fn shows(&self, line: &str) -> bool {
        if self.pairs.is_empty() {
            return true;
        }
        let found = logging::pairs(line);
        let value = |key: &str| found.iter().find(|(other, ..)| *other == key).map(|(_, value, _)| value.as_str());
        self.pairs.iter().all(|(key, wanted)| match (key.as_str(), wanted.strip_suffix('+')) {
            ("lvl", Some(least)) => value("lvl").is_some_and(|level| rank(level) >= rank(least)),
            (key, _) => value(key) == Some(wanted),
        })
    }
}

fn rank(level: &str) -> u8 {
    match level {
        "debug" => 0,
        "info" => 1,
        _ => 2,
    }
}

pub fn follow(api: &Api, headers: &HeaderMap, query: Query<'_>) -> Answer {
    let Some(filter) = Filter::read(query) else {
        return Answer::error(StatusCode::BAD_REQUEST, "query params cannot contain duplicate params");
    };
    let json = headers.get(header::ACCEPT).is_some_and(|value| value == "application/json");
    let mut lines = logging::tap();
    let following = api.engine.follow_log();
    let (pieces, body) = answer::channel(PIECES);
    tokio::spawn(async move {
        loop {
            let line = tokio::select! {
                line = lines.recv() => line,
                () = pieces.closed() => None,
            };
            let Some(line) = line else { break };
            if filter.shows(&line) {
                let text = if json { logging::to_json(&line) } else { line.to_string() };
                if pieces.send(Bytes::from(text)).await.is_err() {
                    break;
                }
            }
        }
        drop(following);
    });
    Answer {
        status: StatusCode::OK,
        content: Content::Stream(Body::new(body)),
        content_type: if json { "application/json" } else { "application/logfmt" },
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_must_match() {
        let line = "ts=1 lvl=info msg=\"started task\" service=kapacitor task=t1\n";
        let shows = |query: &str| Filter::read(Query(query)).unwrap().shows(line);
        assert!(shows("") && shows("task=t1") && shows("msg=started+task&task=t1") && shows("lvl=info%2B"));
        assert!(shows("lvl=debug%2B") && !shows("lvl=error%2B") && !shows("lvl=debug") && !shows("task=t2"));
        assert!(Filter::read(Query("task=a&task=b")).is_none());
    }
}
