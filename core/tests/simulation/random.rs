//! One seed's randomness, and the mix of faults that it draws.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = self.below(of.len() as u64);
        of.get(usize::try_from(at).unwrap())
    }
}

/// What goes wrong in one seed, and how often. Each seed draws its own mix, so that some see a
/// lot of one fault alone.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Of a thousand chances (one each few seconds of virtual time) each.
    pub(crate) scheduler_crash: u64,
    pub(crate) disconnect: u64,
    pub(crate) partition: u64,
    pub(crate) agent_gone: u64,
    pub(crate) agent_reboot: u64,
    pub(crate) rescind: u64,
    /// Of a thousand messages each.
    pub(crate) status_lost: u64,
    pub(crate) status_doubled: u64,
    pub(crate) kill_lost: u64,
    pub(crate) launch_lost: u64,
    pub(crate) task_fails: u64,
    pub(crate) task_finishes: u64,
    pub(crate) reply_lost: u64,
    /// The longest message delay, in milliseconds.
    pub(crate) delay: u64,
    /// The longest commit, in milliseconds.
    pub(crate) commit: u64,
}

impl Faults {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut some = |chance: u64, most: u64| {
            if random.per_mille(chance) {
                random.between(1, most)
            } else {
                0
            }
        };
        Self {
            scheduler_crash: some(600, 120),
            disconnect: some(500, 80),
            partition: some(500, 100),
            agent_gone: some(300, 30),
            agent_reboot: some(300, 50),
            rescind: some(500, 300),
            status_lost: some(500, 300),
            status_doubled: some(500, 500),
            kill_lost: some(500, 300),
            launch_lost: some(300, 150),
            task_fails: some(600, 300),
            task_finishes: some(500, 300),
            reply_lost: some(500, 300),
            delay: some(1_000, 2_000),
            commit: some(1_000, 300),
        }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn off(&mut self) {
        *self = Self {
            scheduler_crash: 0,
            disconnect: 0,
            partition: 0,
            agent_gone: 0,
            agent_reboot: 0,
            rescind: 0,
            status_lost: 0,
            status_doubled: 0,
            kill_lost: 0,
            launch_lost: 0,
            task_fails: 0,
            task_finishes: 0,
            reply_lost: 0,
            delay: self.delay.min(50),
            commit: self.commit.min(10),
        };
    }
}
