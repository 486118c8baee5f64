//! What operator tests share: outputs that record.

use std::{cell::RefCell, rc::Rc};

use proto::{message::AlertEvent, plan::LogLevel};

use super::{HttpPostRequest, Outputs};

/// Keeps all effects of a task; clones share what they keep.
#[derive(Clone, Default)]
pub struct Recorded(Rc<RefCell<Effects>>);

#[derive(Default)]
struct Effects {
    lines: Vec<(LogLevel, String)>,
    alerts: Vec<AlertEvent>,
    posts: Vec<HttpPostRequest>,
}

impl Recorded {
    /// Lines that log nodes wrote, one a point.
    pub fn points(&self) -> Vec<String> {
        let effects = self.0.borrow();
        effects.lines.iter().filter(|(level, _)| *level == LogLevel::Info).map(|(_, line)| line.clone()).collect()
    }

    pub fn alerts(&self) -> Vec<AlertEvent> {
        self.0.borrow().alerts.clone()
    }

    pub fn posts(&self) -> Vec<HttpPostRequest> {
        self.0.borrow().posts.clone()
    }
}

impl Outputs for Recorded {
    fn alert(&mut self, event: AlertEvent) {
        self.0.borrow_mut().alerts.push(event);
    }

    fn http_post(&mut self, request: HttpPostRequest) -> bool {
        self.0.borrow_mut().posts.push(request);
        true
    }

    fn log(&mut self, level: LogLevel, _task: &str, node: &str, line: &str) {
        self.0.borrow_mut().lines.push((level, format!("{node} {line}")));
    }
}
