//! Routes by number: few, while series are many.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::HashMap;

use crate::{line::FastLine, name::Name, routing};

/// Where the points of a series go under one plan epoch, and what of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub epoch: u64,
    /// Bit n: shard n owns the series. 0: nobody wants it.
    pub owners: u64,
    /// Fields to stage.
    pub columns: Arc<[Name]>,
    /// The field section is staged, too.
    pub whole: bool,
    /// All columns can be found in a line by the bytes of their name.
    pub plain: bool,
}

impl Route {
    /// Nobody wants the series.
    pub fn nowhere(epoch: u64) -> Route {
        Route { epoch, owners: 0, columns: Arc::default(), whole: false, plain: true }
    }

    fn new(epoch: u64, route: routing::Route) -> Route {
        let columns: Arc<[Name]> = route.fields.into_iter().collect();
        let plain = columns.iter().all(|name| FastLine::can_find(name.as_str()));
        Route { epoch, owners: route.owners, columns, whole: route.whole, plain }
    }
}

/// Every route that some series may have. A number is never used again, so a series whose route is gone finds nothing and
/// asks anew.
#[derive(Debug, Default)]
pub struct Routes {
    numbers: HashMap<Route, u32>,
    routes: VecDeque<Route>,
    /// Number of the first of `routes`.
    first: u32,
}

impl Routes {
    /// The route of a number, if it is of that epoch.
    #[inline]
    pub fn get(&self, number: u32, epoch: u64) -> Option<&Route> {
        self.routes.get(number.wrapping_sub(self.first) as usize).filter(|route| route.epoch == epoch)
    }

    /// The number of a route: equal ones have one, and share their columns.
    pub fn number(&mut self, epoch: u64, route: Option<routing::Route>) -> u32 {
        let route = route.map_or_else(|| Route::nowhere(epoch), |route| Route::new(epoch, route));
        let next = self.first.wrapping_add(self.routes.len() as u32);
        *self.numbers.entry(route).or_insert_with_key(|route| {
            // Columns are compared by address where rows are gathered into runs.
            let columns = self.routes.iter().map(|known| &known.columns).find(|columns| **columns == route.columns);
            let columns = columns.unwrap_or(&route.columns).clone();
            self.routes.push_back(Route { columns, ..route.clone() });
            next
        })
    }

    /// Forgets the routes of epochs before `epoch`.
    pub fn retain_from(&mut self, epoch: u64) {
        while self.routes.front().is_some_and(|route| route.epoch < epoch) {
            self.routes.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        self.numbers.retain(|route, _| route.epoch >= epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(owners: u64, field: &str) -> Option<routing::Route> {
        let fields = [Name::new(field).unwrap()].into_iter().collect();
        Some(routing::Route { owners, fields, whole: false })
    }

    #[test]
    fn equal_routes_are_one_and_old_ones_are_gone() {
        let mut routes = Routes::default();
        let one = routes.number(1, route(1, "usage"));
        let other = routes.number(1, route(2, "usage"));
        assert_eq!((one, other, routes.number(1, route(1, "usage"))), (0, 1, 0));
        let columns = |routes: &Routes, number, epoch| routes.get(number, epoch).map(|route| route.columns.clone());
        assert!(Arc::ptr_eq(&columns(&routes, one, 1).unwrap(), &columns(&routes, other, 1).unwrap()));
        assert!(columns(&routes, one, 2).is_none());
        let nowhere = routes.number(2, None);
        assert_eq!(routes.get(nowhere, 2).unwrap().owners, 0);
        routes.retain_from(2);
        assert_eq!((routes.routes.len(), routes.get(one, 1).is_none()), (1, true));
        assert_eq!((routes.number(2, None), routes.number(2, route(1, "usage"))), (nowhere, 3));
        let odd = routes.number(3, route(1, "a=b,c"));
        assert!(!routes.get(odd, 3).unwrap().plain && routes.get(3, 2).unwrap().plain);
    }
}
