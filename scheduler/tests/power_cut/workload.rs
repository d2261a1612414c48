//! What the writer writes: every batch follows from the seed and its number, so that the content
//! after any commit can be told without having seen it.

use std::collections::BTreeMap;
use std::path::Path;

use aurora_core::store::{Table, Write};
use aurora_scheduler::store::{OpenOptions, SledStore, Store};

pub(crate) const OPTIONS: OpenOptions = OpenOptions {
    ballast_bytes: 0,
    cache_bytes: 8 << 20,
};

/// A small generator of our own, so that a seed means the same for ever.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound as u64)).unwrap()
    }
}

/// Returns the seed to use: `AURORA_SEED`, or a new one, which is printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("AURORA_SEED")
        .map_or_else(|_| getrandom::u64().unwrap(), |text| text.parse().unwrap());
    println!("repeat with AURORA_SEED={seed}");
    seed
}

/// Returns the batch with that number, counted from 1.
pub(crate) fn batch(seed: u64, number: u64) -> Vec<Write> {
    let mut random = Random::new(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let length = [1, 1, 3, 20, 200][random.below(5)];
    (0..length)
        .map(|_| {
            let size = match random.below(40) {
                0 => 4000 + random.below(30_000),
                _ => 20 + random.below(300),
            };
            let word = random.next().to_le_bytes();
            let is_deleted = random.below(6) == 0;
            Write {
                // Not `Meta`: the store looks into that one.
                table: Table::ALL[1 + random.below(6)],
                key: random.below(100).to_be_bytes().to_vec(),
                value: (!is_deleted).then(|| {
                    (0..size)
                        .map(|at| word[at % 8] ^ word[at / 8 % 8])
                        .collect()
                }),
            }
        })
        .collect()
}

/// The content that a store must have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    seed: u64,
    commits: u64,
    records: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    fn advance(&mut self, commits: u64) {
        while self.commits < commits {
            self.commits += 1;
            for write in batch(self.seed, self.commits) {
                let key = (write.table, write.key);
                match write.value {
                    Some(value) => self.records.insert(key, value),
                    None => self.records.remove(&key),
                };
            }
        }
    }

    /// Opens the store and compares it; `acked` commits must be there, and at most one more.
    /// Returns the number of commits found.
    pub(crate) fn check(&mut self, dir: &Path, acked: u64) -> Result<u64, String> {
        if acked == 0 && !dir.join("state").exists() {
            return Ok(0);
        }
        let store = SledStore::open(dir, OPTIONS).map_err(|error| format!("open: {error}"))?;
        let commits = store.commits();
        if !(acked..=acked + 1).contains(&commits) {
            return Err(format!(
                "{acked} commits were acknowledged, but {commits} are there"
            ));
        }
        self.compare(&store)?;
        Ok(commits)
    }

    fn compare(&mut self, store: &SledStore) -> Result<(), String> {
        self.advance(store.commits());
        let mut found = BTreeMap::new();
        store
            .load(&mut |table, key, value| {
                found.insert((table, key.to_vec()), value.to_vec());
                Ok(())
            })
            .map_err(|error| format!("load: {error}"))?;
        if found != self.records {
            return Err(format!(
                "another content than after {} commits",
                store.commits()
            ));
        }
        Ok(())
    }

    /// Goes on writing to a store that survived, and checks it once more.
    pub(crate) fn go_on(mut self, dir: &Path) -> Result<(), String> {
        let mut store =
            SledStore::open_or_create(dir, OPTIONS).map_err(|error| format!("reopen: {error}"))?;
        for _ in 0..3 {
            let writes = batch(self.seed, store.commits() + 1);
            store
                .commit(&writes)
                .map_err(|error| format!("go on: {error}"))?;
        }
        let commits = store.commits();
        drop(store);
        self.check(dir, commits).map(|_| ())
    }
}
