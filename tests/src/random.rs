//! Random numbers from a seed: the same seed, the same run. `SplitMix64`, which is enough here.

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns the source for this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Returns one of the items, if there are any.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let n_items = u64::try_from(items.len())
            .ok()
            .filter(|n_items| *n_items > 0)?;
        items.get(usize::try_from(self.below(n_items)).ok()?)
    }

    /// Returns milliseconds with an exponential distribution around `mean`, cut to `most`.
    pub fn exponential_ms(&mut self, mean: u64, most: u64) -> u64 {
        // Halving at random is the same law in steps, and needs no logarithm: each step of a
        // tenth of the mean is survived with probability 0.905.
        let step = (mean / 10).max(1);
        let mut ms = 0;
        while ms < most && self.below(1000) < 905 {
            ms += step;
        }
        (ms + self.below(step)).min(most)
    }
}
