//! A body that was staged while the cache of series started over for age: its series become ones that it brought.

use hashbrown::HashMap;

use super::{
    receiver::Receiver,
    staging::{NEW, Staging},
};
use crate::series::{Lookahead, NONE};

impl Receiver {
    /// Brings what is staged to the cache's present generation; `false` if the table that it was staged by is gone.
    #[cold]
    pub(super) fn carry_over(&mut self, staging: &mut Staging) -> bool {
        let Some(old) = self.cache.previous(staging.generation) else { return false };
        let Staging { new, blocks, untold, space, .. } = staging;
        let mut carried: HashMap<u32, u32> = HashMap::new();
        for (owner, block) in blocks.iter_mut().enumerate() {
            block.renumber(|number| {
                if number & NEW != 0 {
                    return number;
                }
                let carried = *carried.entry(number).or_insert_with(|| {
                    let key = old.key(number);
                    let (route, ingress) =
                        old.get(number).map_or((NONE, Default::default()), |series| (series.route, series.ingress));
                    new.find(*space, key).unwrap_or_else(|| new.insert(*space, key, route, ingress)) | NEW
                });
                // Nobody has been told of the number that it will get.
                untold.push((owner as u32, carried));
                carried
            });
        }
        (staging.generation, staging.previous, staging.lookahead) =
            (self.cache.generation(), NONE, Lookahead::default());
        true
    }
}
