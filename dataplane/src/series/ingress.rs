//! Points received by database, retention policy and measurement (statistic `ingress`).

use hashbrown::HashMap;

use super::Ingress;

/// Database, retention policy, measurement.
type IngressKey = (Box<str>, Box<str>, Box<str>);

#[derive(Debug, Default)]
pub struct IngressTable {
    numbers: HashMap<IngressKey, Ingress>,
    counts: Vec<u64>,
}

impl IngressTable {
    /// Most counters of a shard; what comes later is counted under a measurement without a name.
    const ENTRIES_MAX: usize = 100_000;

    /// The counter of a measurement.
    pub fn number(&mut self, database: &str, retention_policy: &str, measurement: &str) -> Ingress {
        let measurement = if self.counts.len() < Self::ENTRIES_MAX { measurement } else { "" };
        let next = Ingress(self.counts.len() as u32);
        let key = (database.into(), retention_policy.into(), measurement.into());
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.counts.push(0);
        }
        number
    }

    pub fn add(&mut self, number: Ingress, points: u64) {
        if let Some(count) = self.counts.get_mut(number.0 as usize) {
            *count += points;
        }
    }

    /// Database, retention policy, measurement and points.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.numbers.iter().map(|((database, policy, measurement), number)| {
            (&**database, &**policy, &**measurement, self.counts.get(number.0 as usize).copied().unwrap_or_default())
        })
    }
}

/// Points of one body by counter, until it proves good.
#[derive(Debug, Default)]
pub struct BodyIngress {
    /// By counter, in order of first sight.
    points: Vec<(Ingress, u64)>,
    /// Index is the counter's number: its place in `points`.
    places: Vec<u32>,
}

impl BodyIngress {
    /// Counts a point.
    #[inline]
    pub fn add(&mut self, number: Ingress) {
        let place = self.places.get(number.0 as usize).map(|place| *place as usize);
        match place.and_then(|place| self.points.get_mut(place)) {
            Some((found, points)) if *found == number => *points += 1,
            _ => self.add_new(number),
        }
    }

    #[cold]
    fn add_new(&mut self, number: Ingress) {
        let index = number.0 as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, 0);
        }
        self.places[index] = self.points.len() as u32;
        self.points.push((number, 1));
    }

    /// Adds all to the counters of the shard.
    pub fn commit(&mut self, table: &mut IngressTable) {
        self.points.drain(..).for_each(|(number, points)| table.add(number, points));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ingress_is_counted_by_measurement_when_the_body_is_good() {
        let mut table = IngressTable::default();
        let (cpu, mem) = (table.number("db", "rp", "cpu"), table.number("db", "rp", "mem"));
        assert_eq!(table.number("db", "rp", "cpu"), cpu);
        let mut body = BodyIngress::default();
        for number in [cpu, mem, cpu] {
            body.add(number);
        }
        let counts = |table: &IngressTable| {
            let mut counts: Vec<_> = table.iter().map(|(_, _, measurement, n)| (measurement.to_owned(), n)).collect();
            counts.sort();
            counts
        };
        assert_eq!(counts(&table), [("cpu".to_owned(), 0), ("mem".to_owned(), 0)]);
        body.commit(&mut table);
        body.add(mem);
        body.commit(&mut table);
        assert_eq!(counts(&table), [("cpu".to_owned(), 2), ("mem".to_owned(), 2)]);
    }
}
