//! `httpPost`: posts each point or batch, one after the other, and passes it on.
//!
//! reference: nodes-stream §15. Posts leave through a queue of the node, so a slow receiver never holds the graph up.
//! With `codeField`, what is posted is parked in a bounded FIFO until its status is known, because the status travels on
//! with it, and whatever comes behind it waits there, too; what finds the FIFO full is dropped and counted as an error.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use proto::plan;

use super::{
    Fault, HttpPostRequest, Operator, Outlet, SnapshotError, StartError, from_state, parked::Message, to_state,
};
use crate::{
    group::{Group, GroupStates, Groups},
    json::Unsupported,
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows},
    row,
    template::{self, Kind, Template},
    value::{Value, set_field},
};

/// Messages of one node on one shard that wait for their status.
pub const PARKED_MAX: usize = 10_000;

pub struct HttpPost {
    plan: Arc<plan::HttpPost>,
    /// Makes the body in place of the JSON row, and the URL.
    row_template: Option<Template>,
    url_template: Option<Template>,
    code_field: Option<Name>,
    next_ticket: u64,
    parked: VecDeque<Parked>,
    /// For the statistic alone.
    groups: GroupStates<()>,
}

/// A message that goes on once its status is known and nothing is left before it.
struct Parked {
    awaits: Option<u64>,
    /// 0 for no answer.
    status: u16,
    message: Message,
}

impl HttpPost {
    pub fn new(plan: &plan::HttpPost) -> Result<HttpPost, StartError> {
        let code_field = plan.code_field.as_deref().map(Name::new).transpose().map_err(StartError::new)?;
        let template = |source: &str| Template::new(Kind::Row, source).map_err(StartError::new);
        Ok(HttpPost {
            plan: Arc::new(plan.clone()),
            row_template: plan.row_template.as_deref().map(template).transpose()?,
            url_template: plan.url.contains("{{").then(|| template(&plan.url)).transpose()?,
            code_field,
            next_ticket: 0,
            parked: VecDeque::new(),
            groups: GroupStates::default(),
        })
    }

    /// Body and URL of a POST, or why there is none. `row` renders the row as JSON, `data` makes what templates see.
    fn rendered(
        &self,
        row: impl FnOnce(&mut String) -> Result<(), Unsupported>,
        data: impl FnOnce() -> Result<template::Row, Unsupported>,
    ) -> Result<(String, String), String> {
        let text = |error: Unsupported| error.to_string();
        let templated = self.row_template.is_some() || self.url_template.is_some();
        let data = if templated { Some(data().map_err(text)?) } else { None };
        let render = |template: &Option<Template>| {
            let (Some(template), Some(data)) = (template, &data) else { return Ok(None) };
            let mut out = String::new();
            template.render_row(data, &mut out).map(|()| Some(out)).map_err(|error| error.to_string())
        };
        let url = render(&self.url_template)?.unwrap_or_else(|| self.plan.url.clone());
        if let Some(body) = render(&self.row_template)? {
            return Ok((body, url));
        }
        let mut rendered = String::new();
        row(&mut rendered).map_err(text)?;
        let mut body = row::series(&rendered);
        body.push('\n');
        Ok((body, url))
    }

    /// Posts; returns the ticket if it was taken.
    fn post(&mut self, rendered: Result<(String, String), String>, out: &mut Outlet<'_>) -> Option<u64> {
        let (body, url) = match rendered {
            Ok(rendered) => rendered,
            Err(error) => {
                out.error("failed to POST data", &error);
                return None;
            }
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (task, node) = (out.context.task.to_string(), out.node().to_string());
        let taken =
            out.context.outputs.http_post(HttpPostRequest { task, node, post: self.plan.clone(), url, body, ticket });
        if !taken {
            out.error("failed to POST data", &"too many posts are waiting");
        }
        taken.then_some(ticket)
    }

    /// Parks a message that waits for the answer to a post, or for those before it.
    fn park(&mut self, awaits: Option<u64>, message: Message, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if self.parked.len() >= PARKED_MAX {
            out.error(
                "point dropped",
                &format_args!("more than {PARKED_MAX} messages wait for the status of their POST"),
            );
            return Ok(());
        }
        self.parked.push_back(Parked { awaits, status: 0, message });
        self.drain(out)
    }

    /// Hands on what waits for nothing any more.
    fn drain(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        while self.parked.front().is_some_and(|first| first.awaits.is_none())
            && let Some(Parked { status, message, .. }) = self.parked.pop_front()
        {
            self.go_on(message, status, out)?;
        }
        Ok(())
    }

    fn go_on(&self, message: Message, status: u16, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let Some(code_field) = self.code_field else { return Ok(()) };
        let code = Value::Int(i64::from(status));
        match message {
            Message::Point(mut point) => {
                set_field(&mut point.fields, code_field, code);
                out.point(&point.as_ref())
            }
            Message::Batch { name, group, time, rows } => {
                let with_code = |row: &Row| {
                    let row = row.as_ref();
                    let mut fields = row.fields().into_owned();
                    set_field(&mut fields, code_field, code.clone());
                    Row::new(row.time(), row.tags().clone(), &fields)
                };
                let rows: Vec<Row> = rows.iter().map(with_code).collect();
                out.batch(&Batch { name, group: &group, time, rows: Rows::new(&rows) })
            }
            Message::Barrier { name, group, time } => out.barrier(&Barrier { name, group: &group, time }),
            Message::DeleteGroup(group) => out.delete_group(&group),
        }
    }
}

impl Operator for HttpPost {
    fn point(&mut self, _port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.groups.get_or_insert_with(point.group, || ());
        let rendered = self.rendered(|out| row::of_point(point, out), || template::Row::of_point(point));
        let ticket = self.post(rendered, out);
        if self.code_field.is_none() {
            return out.point(point);
        }
        self.park(ticket, point.into(), out)
    }

    fn batch(&mut self, _port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.groups.get_or_insert_with(batch.group, || ());
        let rendered = self.rendered(|out| row::of_batch(batch, out), || template::Row::of_batch(batch));
        let ticket = self.post(rendered, out);
        if self.code_field.is_none() {
            return out.batch(batch);
        }
        self.park(ticket, batch.into(), out)
    }

    fn resume(&mut self, ticket: u64, status: u16, out: &mut Outlet<'_>) -> Result<(), Fault> {
        // The log line stands where the answer was read.
        if !(200..300).contains(&status) {
            out.count_error();
        }
        if let Some(parked) = self.parked.iter_mut().find(|parked| parked.awaits == Some(ticket)) {
            (parked.awaits, parked.status) = (None, status);
        }
        self.drain(out)
    }

    fn barrier(&mut self, _port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        match self.parked.is_empty() {
            true => out.barrier(barrier),
            false => self.park(None, barrier.into(), out),
        }
    }

    fn delete_group(&mut self, _port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        self.groups.remove(group);
        match self.parked.is_empty() {
            true => out.delete_group(group),
            false => self.park(None, Message::DeleteGroup(group.clone()), out),
        }
    }

    /// Nobody hears the answers that are still to come.
    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        for _ in self.parked.drain(..) {
            out.error("point dropped", &"the task ended before its POST was answered");
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.groups.bytes(|()| 0)
    }

    fn cardinality(&self) -> u64 {
        self.groups.len() as u64
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        to_state(&self.groups)
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        self.groups = GroupStates::restore(from_state(state)?, groups);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind};

    use super::*;
    use crate::node::testing::{Bench, SECOND, from, log};

    #[test]
    fn templates_make_body_and_url() {
        let plan = plan::HttpPost {
            url: "http://h/{{ .Name }}/{{ index .Tags \"host\" }}".into(),
            row_template: Some(
                "{{ range .Values }}{{ .v }} at {{ .time.Unix }} {{ end }}{{ jsonCompact .Tags }}".into(),
            ),
            ..plan::HttpPost::default()
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::HttpPost(plan)),
        ]);
        bench.point("m", "host=a", 7, Value::Float(1.5), 0);
        let posts = bench.recorded.posts();
        assert_eq!(posts[0].url, "http://h/m/a");
        assert_eq!(posts[0].body, "1.5 at 7 {\"host\":\"a\"}");
    }

    /// The receiver hangs: points wait for its answers while there is room, and go on with them.
    #[test]
    fn what_waits_for_its_status_is_bounded() {
        let plan = plan::HttpPost { url: "http://h/".into(), code_field: Some("code".into()), ..Default::default() };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::HttpPost(plan)),
            (vec![2], EdgeType::Stream, log()),
        ]);
        for _ in 0..PARKED_MAX + 10 {
            bench.point("m", "", 7, Value::Int(1), 0);
        }
        assert_eq!((bench.out().len(), bench.task.statistics()[2].errors), (0, 10));
        // One that nobody waits for any more is only counted.
        bench.task.resume("n2", PARKED_MAX as u64, 204, 0).unwrap();
        bench.task.resume("n2", 0, 204, 0).unwrap();
        bench.task.resume("n2", 1, 500, 0).unwrap();
        assert_eq!(bench.out(), ["7  code=204 v=1", "7  code=500 v=1"]);
        bench.point("m", "", 8, Value::Int(1), 0);
        assert_eq!(bench.task.statistics()[2].errors, 11);
    }

    #[test]
    fn a_template_that_does_not_parse_cannot_start() {
        let plan = plan::HttpPost { row_template: Some("{{ nope }}".into()), ..plan::HttpPost::default() };
        assert!(HttpPost::new(&plan).is_err());
    }

    #[test]
    fn what_comes_behind_a_parked_point_waits_behind_it() {
        let plan =
            plan::HttpPost { url: "http://h/".into(), code_field: Some("code".into()), ..plan::HttpPost::default() };
        let idle = plan::Barrier { clock: plan::BarrierClock::Idle(5 * SECOND), delete: false };
        let window = plan::Window::Time { period: 10 * SECOND, every: 10 * SECOND, align: true, fill_period: false };
        let count = plan::InfluxQl {
            function: plan::InfluxQlFunction::Count,
            field: "v".into(),
            r#as: "count".into(),
            use_point_times: false,
        };
        let mut bench = Bench::new(vec![
            (vec![0], EdgeType::Stream, from("", &[])),
            (vec![1], EdgeType::Stream, NodeKind::Barrier(idle)),
            (vec![2], EdgeType::Stream, NodeKind::HttpPost(plan)),
            (vec![3], EdgeType::Stream, log()),
            (vec![3], EdgeType::Batch, NodeKind::Window(window)),
            (vec![5], EdgeType::Stream, NodeKind::InfluxQl(count)),
            (vec![6], EdgeType::Stream, log()),
        ]);
        bench.point("m", "", 1, Value::Float(1.0), 1).point("m", "", 2, Value::Float(1.0), 2).advance(30);
        assert!(bench.out().is_empty());
        let tickets: Vec<u64> = bench.recorded.posts().iter().map(|post| post.ticket).collect();
        // An answer that comes before that to the first one changes no order.
        bench.task.resume("n3", tickets[1], 500, 0).unwrap();
        assert!(bench.out().is_empty());
        bench.task.resume("n3", tickets[0], 200, 0).unwrap();
        let out = bench.out();
        assert_eq!(out[..2], ["1  code=200 v=1", "2  code=500 v=1"], "{out:?}");
        // The barriers have come behind the points, and the window counts both.
        assert_eq!(out[2..], ["10  count=2", "20  count=0"], "{out:?}");
    }
}
