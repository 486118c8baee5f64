//! Functions that remember: `count`, `sigma`, `spread` (reference: tickscript §11); and `rand`, which nothing repeats.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

use serde::{Deserialize, Serialize};

use super::{
    Body, Function,
    Kind::{Float, Int},
    signature,
};

pub static FUNCTIONS: &[Function] = &[
    Function { name: "count", signatures: &[signature(&[], Int)], body: Body::Count },
    Function { name: "sigma", signatures: &[signature(&[Float], Float)], body: Body::Sigma },
    Function { name: "spread", signatures: &[signature(&[Float], Float)], body: Body::Spread },
    Function { name: "rand", signatures: &[signature(&[], Int), signature(&[Int], Int)], body: Body::Random },
];

/// What the stateful functions of one lambda remember for one group or node: one series each, whatever the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    calls: i64,
    sigma_count: i64,
    mean: f64,
    /// Sum of the squared differences from the mean.
    squares: f64,
    min: f64,
    max: f64,
}

impl Default for State {
    fn default() -> Self {
        State { calls: 0, sigma_count: 0, mean: 0.0, squares: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl State {
    /// Number of calls, this one included.
    pub fn count(&mut self) -> i64 {
        self.calls = self.calls.wrapping_add(1);
        self.calls
    }

    /// Distance of `x` from the running mean in running standard deviations, both with `x`.
    pub fn sigma(&mut self, x: f64) -> f64 {
        self.sigma_count = self.sigma_count.wrapping_add(1);
        let n = self.sigma_count as f64;
        let distance = x - self.mean;
        self.mean += distance / n;
        self.squares += distance * (x - self.mean);
        let variance = self.squares / (n - 1.0);
        if self.sigma_count < 2 || variance == 0.0 { 0.0 } else { (x - self.mean).abs() / variance.sqrt() }
    }

    /// Running maximum less running minimum, `x` included.
    pub fn spread(&mut self, x: f64) -> f64 {
        if x < self.min {
            self.min = x;
        }
        if x > self.max {
            self.max = x;
        }
        self.max - self.min
    }
}

/// A random integer from 0, below `limit` if there is one; `None` if that is not positive.
pub fn random(limit: Option<i64>) -> Option<i64> {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
    }
    let next = STATE.with(|state| {
        // A Weyl sequence through a mixing function (splitmix64).
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 1) as i64
    });
    match limit {
        None => Some(next),
        // The high half of a product is uniform up to 2^-63 × limit.
        Some(limit) if limit > 0 => Some(((i128::from(next) * i128::from(limit)) >> 63) as i64),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ_and_stay_below_the_limit() {
        let numbers: Vec<_> = (0..1000).filter_map(|_| random(Some(10))).collect();
        assert!((0..10).all(|digit| numbers.contains(&digit)) && numbers.iter().all(|n| (0..10).contains(n)));
        assert_ne!(random(None), random(None));
        assert_eq!(random(Some(0)), None);
    }

    #[test]
    fn state_is_plain_data() {
        let mut state = State::default();
        state.sigma(1.5);
        let bytes = postcard::to_stdvec(&state).unwrap();
        let mut again: State = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(
            (again.count(), again.sigma(2.0), again.spread(3.0)),
            (state.count(), state.sigma(2.0), state.spread(3.0))
        );
    }
}
