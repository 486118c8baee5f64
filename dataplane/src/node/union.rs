//! `union`: messages of several parents in the order of their times (reference: nodes-alert-join-io §1.6).
//!
//! Time order is over all groups together, and reaches as far as the slowest parent has come.

use std::{collections::VecDeque, rc::Rc};

use serde::{Deserialize, Serialize};

use super::{Fault, Operator, Outlet, SnapshotError, StartError, from_state, rewrite::renamed, to_state};
use crate::{
    group::{Group, Groups},
    name::Name,
    point::{Barrier, Batch, Point, Row, Rows, SeriesNumber},
};

/// Messages that one union keeps waiting. More: the oldest goes out, out of turn. Tests get there sooner.
pub const WAITING_MAX: usize = if cfg!(test) { 1_000 } else { 1_000_000 };

/// What a message that waits takes, about.
const MESSAGE_BYTES: usize = 192;

pub struct Union {
    rename: Option<Name>,
    /// By parent: the arguments first, the receiver last.
    queues: Vec<Queue>,
    waiting: usize,
}

#[derive(Clone, Default)]
struct Queue {
    messages: VecDeque<Message>,
    /// Time of the head, or of the last one that there was; `None` before any.
    mark: Option<i64>,
}

#[derive(Clone)]
struct Message {
    time: i64,
    name: Name,
    group: Rc<Group>,
    body: Body,
}

/// What a checkpoint keeps of a queue: time, name, number of the group and body of each message, and the mark.
type SavedQueue = (Vec<(i64, Name, u32, Body)>, Option<i64>);

#[derive(Clone, Serialize, Deserialize)]
enum Body {
    Point { database: Name, retention_policy: Name, row: Row },
    Batch(Vec<Row>),
    Barrier,
}

impl Union {
    /// `parents` is their number.
    pub fn new(rename: &str, parents: usize) -> Result<Union, StartError> {
        let rename =
            Some(rename).filter(|name| !name.is_empty()).map(Name::new).transpose().map_err(StartError::new)?;
        Ok(Union { rename, queues: vec![Queue::default(); parents], waiting: 0 })
    }

    fn arrive(&mut self, port: usize, message: Message, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if let Some(queue) = self.queues.get_mut(port) {
            queue.messages.push_back(message);
            self.waiting += 1;
        }
        if self.waiting > WAITING_MAX {
            out.error("released early", &format_args!("more than {WAITING_MAX} messages wait for a slower parent"));
            self.emit_oldest(out)?;
        }
        self.emit_ready(out)
    }

    /// Emits what no parent can precede any more, parents in their order.
    fn emit_ready(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        loop {
            let mut lowest = i64::MAX;
            for queue in &mut self.queues {
                queue.mark = queue.messages.front().map(|head| head.time).or(queue.mark);
                // Nothing comes out until every parent has sent something.
                let Some(mark) = queue.mark else { return Ok(()) };
                lowest = lowest.min(mark);
            }
            let mut emitted = false;
            for port in 0..self.queues.len() {
                while let Some(message) = self.take(port, |head| head.time <= lowest) {
                    emitted = true;
                    self.emit(message, out)?;
                }
            }
            if !emitted {
                return Ok(());
            }
        }
    }

    fn emit_oldest(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let heads =
            self.queues.iter().enumerate().filter_map(|(port, queue)| Some((queue.messages.front()?.time, port)));
        let Some((_, port)) = heads.min() else { return Ok(()) };
        match self.take(port, |_| true) {
            Some(message) => self.emit(message, out),
            None => Ok(()),
        }
    }

    fn take(&mut self, port: usize, ready: impl Fn(&Message) -> bool) -> Option<Message> {
        let queue = self.queues.get_mut(port)?;
        if !ready(queue.messages.front()?) {
            return None;
        }
        let message = queue.messages.pop_front()?;
        queue.mark = Some(message.time);
        self.waiting -= 1;
        Some(message)
    }

    fn emit(&self, message: Message, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let name = self.rename.unwrap_or(message.name);
        let Some(group) = renamed(&message.group, name, out) else { return Ok(()) };
        let time = message.time;
        match message.body {
            Body::Point { database, retention_policy, row } => {
                let row = row.as_ref();
                let (tags, fields, series) = (row.tags(), row.fields(), SeriesNumber::NONE);
                let fields = fields.as_ref().into();
                out.point(&Point { name, database, retention_policy, group: &group, tags, fields, time, series })
            }
            Body::Batch(rows) => out.batch(&Batch { name, group: &group, time, rows: Rows::new(&rows) }),
            Body::Barrier => out.barrier(&Barrier { name, group: &group, time }),
        }
    }
}

impl Operator for Union {
    fn point(&mut self, port: usize, point: &Point<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let body = Body::Point {
            database: point.database,
            retention_policy: point.retention_policy,
            row: Row::new(point.time, point.tags.clone(), point.fields.all()),
        };
        self.arrive(port, Message { time: point.time, name: point.name, group: point.group.clone(), body }, out)
    }

    fn batch(&mut self, port: usize, batch: &Batch<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let body = Body::Batch(batch.rows.iter().map(|row| row.to_row()).collect());
        self.arrive(port, Message { time: batch.time, name: batch.name, group: batch.group.clone(), body }, out)
    }

    /// Barriers keep their place among the messages.
    fn barrier(&mut self, port: usize, barrier: &Barrier<'_>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        let (time, name, group) = (barrier.time, barrier.name, barrier.group.clone());
        self.arrive(port, Message { time, name, group, body: Body::Barrier }, out)
    }

    /// What waits of the group goes with it.
    fn delete_group(&mut self, port: usize, group: &Rc<Group>, out: &mut Outlet<'_>) -> Result<(), Fault> {
        if let Some(queue) = self.queues.get_mut(port) {
            queue.mark = queue.messages.front().map(|head| head.time).or(queue.mark);
            let before = queue.messages.len();
            queue.messages.retain(|message| message.group.index != group.index);
            self.waiting -= before - queue.messages.len();
        }
        self.emit_ready(out)?;
        out.delete_group(group)
    }

    /// Whatever is left goes out, oldest first.
    fn finish(&mut self, out: &mut Outlet<'_>) -> Result<(), Fault> {
        while self.waiting > 0 {
            self.emit_oldest(out)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.waiting * MESSAGE_BYTES
    }

    fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let message = |message: &Message| (message.time, message.name, message.group.index, message.body.clone());
        let queue = |queue: &Queue| (queue.messages.iter().map(message).collect(), queue.mark);
        to_state(&self.queues.iter().map(queue).collect::<Vec<SavedQueue>>())
    }

    fn restore(&mut self, state: &[u8], groups: &Groups) -> Result<(), SnapshotError> {
        let message = |(time, name, group, body)| Some(Message { time, name, group: groups.get(group)?.clone(), body });
        let queue =
            |(messages, mark): SavedQueue| Queue { messages: messages.into_iter().filter_map(message).collect(), mark };
        self.queues = from_state::<Vec<SavedQueue>>(state)?.into_iter().map(queue).collect();
        self.waiting = self.queues.iter().map(|queue| queue.messages.len()).sum();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proto::plan::{EdgeType, NodeKind};

    use crate::{
        node::testing::{Bench, from, log},
        value::Value,
    };

    /// Streams `a` and `b` by host; `b` is the receiver, so `a` comes first.
    fn bench(rename: &str) -> Bench {
        Bench::new(vec![
            (vec![0], EdgeType::Stream, from("a", &["host"])),
            (vec![0], EdgeType::Stream, from("b", &["host"])),
            (vec![1, 2], EdgeType::Stream, NodeKind::Union { rename: rename.into() }),
            (vec![3], EdgeType::Stream, log()),
        ])
    }

    const V: Value = Value::Int(1);

    #[test]
    fn nothing_comes_before_every_parent_has_sent_and_then_in_order_of_time() {
        let mut bench = bench("");
        bench.point("a", "host=x", 3, V, 0).point("a", "host=y", 5, V, 0);
        assert_eq!(bench.out(), Vec::<String>::new());
        bench.point("b", "host=x", 4, V, 0);
        assert_eq!(bench.out(), ["3 host=x v=1", "4 host=x v=1"]);
        // Late: at the head of its queue and behind the mark of the other.
        bench.point("b", "host=x", 1, V, 0);
        assert_eq!(bench.out()[2..], ["1 host=x v=1"]);
        assert_eq!(bench.finish().out()[3..], ["5 host=y v=1"]);
    }

    #[test]
    fn what_waits_for_a_silent_parent_is_bounded() {
        let mut bench = bench("");
        for n in 0..super::WAITING_MAX + 10 {
            bench.point("a", &format!("host=h{n}"), 1 + n as i64, V, 0);
        }
        let (out, errors) = (bench.out(), bench.task.statistics()[3].errors);
        assert_eq!((out.len(), errors), (10, 10));
        assert_eq!((&*out[0], &*out[9]), ("1 host=h0 v=1", "10 host=h9 v=1"));
    }

    #[test]
    fn equal_times_come_in_the_order_of_parents() {
        let mut bench = bench("");
        bench.point("b", "host=b", 1, V, 0).point("a", "host=a", 1, V, 0);
        assert_eq!(bench.out(), ["1 host=a v=1", "1 host=b v=1"]);
    }

    #[test]
    fn rename_sets_the_name_and_keeps_the_group() {
        let mut bench = bench("all");
        bench.point("b", "host=x", 1, V, 0).point("a", "host=x", 1, V, 0);
        assert!(bench.recorded.points().iter().all(|line| line.contains("name=all")), "{:?}", bench.recorded.points());
        assert_eq!(bench.out(), ["1 host=x v=1", "1 host=x v=1"]);
    }

    #[test]
    fn what_waits_survives_a_checkpoint() {
        let mut one = bench("");
        one.point("a", "host=x", 1, V, 0);
        let mut other = bench("");
        other.task.restore(one.task.snapshot().unwrap()).unwrap();
        other.point("b", "host=x", 2, V, 0);
        assert_eq!(other.out(), ["1 host=x v=1"]);
    }
}
