//! Which tasks take a series, and its ways through them: asked once per series.
//!
//! Series that the same tasks take are a class. The seat of a series is its class and its number among the members of the
//! class, which is where each of the tasks has its way: nothing is looked up per row and task.

use hashbrown::HashMap;

use crate::{dag::route::Way, prefetch::prefetch};

/// Where a series has its ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    class: u32,
    /// Number among the members of the class.
    pub member: u32,
}

/// Series that the same tasks take.
#[derive(Debug)]
pub struct Class {
    /// Number of the task, and the way of each member.
    pub takers: Vec<(u32, Vec<Way>)>,
    members: u32,
}

/// The seats of all series on a shard, and the classes: void when the tasks change.
#[derive(Debug, Default)]
pub struct Seats {
    /// By number of the series.
    seats: Vec<Seat>,
    classes: Vec<Class>,
    /// By the tasks that they are about.
    class_numbers: HashMap<Box<[u32]>, u32>,
}

impl Seat {
    /// It is not known yet who takes the series.
    pub const OPEN: Seat = Seat { class: u32::MAX, member: 0 };

    /// Nobody takes the series.
    pub const UNWANTED: Seat = Seat { class: u32::MAX - 1, member: 0 };

    /// Index of the class.
    pub fn class(self) -> u32 {
        self.class
    }
}

impl Seats {
    /// The seat of a series that exists.
    #[inline]
    pub fn get(&self, number: u32) -> Option<Seat> {
        self.seats.get(number as usize).copied()
    }

    pub fn class(&self, class: u32) -> Option<&Class> {
        self.classes.get(class as usize)
    }

    /// Asks the memory for a seat.
    #[inline]
    pub fn prefetch(&self, number: u32) {
        prefetch(&self.seats, number as usize);
    }

    /// There is a series with this number, or another one than before.
    pub fn open(&mut self, number: u32) {
        let place = number as usize;
        if place >= self.seats.len() {
            self.seats.resize(place + 1, Seat::OPEN);
        }
        self.seats[place] = Seat::OPEN;
    }

    /// Gives a series its seat. `takers` are the tasks that take it, in order; `way` is its way through one of them.
    pub fn settle(&mut self, number: u32, takers: &[u32], mut way: impl FnMut(u32) -> Option<Way>) -> Seat {
        let seat = if takers.is_empty() { Seat::UNWANTED } else { self.join(takers, &mut way) };
        if let Some(place) = self.seats.get_mut(number as usize) {
            *place = seat;
        }
        seat
    }

    fn join(&mut self, takers: &[u32], way: &mut impl FnMut(u32) -> Option<Way>) -> Seat {
        let number = match self.class_numbers.get(takers) {
            Some(number) => *number,
            None => {
                let number = self.classes.len() as u32;
                self.class_numbers.insert(takers.into(), number);
                let takers = takers.iter().map(|task| (*task, Vec::new())).collect();
                self.classes.push(Class { takers, members: 0 });
                number
            }
        };
        let Some(class) = self.classes.get_mut(number as usize) else { return Seat::UNWANTED };
        for (task, ways) in &mut class.takers {
            ways.push(way(*task).unwrap_or(Way::Asked));
        }
        class.members += 1;
        Seat { class: number, member: class.members - 1 }
    }

    /// What series remember of the tasks is void.
    pub fn clear(&mut self) {
        self.classes.clear();
        self.class_numbers.clear();
        self.seats.fill(Seat::OPEN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_the_same_tasks_are_members_of_one_class() {
        let mut seats = Seats::default();
        (0..4).for_each(|number| seats.open(number));
        assert_eq!((seats.get(3), seats.get(4)), (Some(Seat::OPEN), None));
        let mut asked = Vec::new();
        let mut settle = |seats: &mut Seats, number, takers: &[u32]| {
            seats.settle(number, takers, |task| {
                asked.push((number, task));
                Some(Way::Asked)
            })
        };
        let (a, b) = (settle(&mut seats, 0, &[0, 2]), settle(&mut seats, 1, &[2]));
        let (c, none) = (settle(&mut seats, 2, &[0, 2]), settle(&mut seats, 3, &[]));
        assert_eq!((a.class() == c.class(), a.class() == b.class()), (true, false));
        assert_eq!((a.member, b.member, c.member, none), (0, 0, 1, Seat::UNWANTED));
        assert_eq!(asked, [(0, 0), (0, 2), (1, 2), (2, 0), (2, 2)]);
        assert_eq!(seats.get(2), Some(c));
        let ways: Vec<_> =
            seats.class(a.class()).unwrap().takers.iter().map(|(task, ways)| (*task, ways.len())).collect();
        assert_eq!(ways, [(0, 2), (2, 2)]);
        seats.clear();
        assert_eq!((seats.get(2), seats.class(0).is_none()), (Some(Seat::OPEN), true));
    }
}
