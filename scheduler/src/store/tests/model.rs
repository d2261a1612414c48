//! Random writes against a map.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, u8, Option<usize>)>),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    // Sizes on both sides of one frame and of several, so that values shrink and grow over them.
    let size = prop_oneof![3 => 0..300_usize, 1 => 4070..4100_usize, 1 => 0..40_000_usize];
    let write = (0..7_u8, 0..12_u8, proptest::option::weighted(0.7, size));
    prop_oneof![5 => vec(write, 1..40).prop_map(Step::Commit), 1 => Just(Step::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn store_equals_map_after_any_writes_and_reopenings(steps in vec(step(), 1..25)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Some(SledStore::create(dir.path(), SMALL).unwrap());
        let mut memory = MemStore::new();
        let mut model = Content::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Commit(writes) => {
                    let writes: Vec<Write> = writes
                        .into_iter()
                        .map(|(table, key, size)| Write {
                            table: Table::ALL[usize::from(table)],
                            // Keys that begin alike, for the sake of prefixes and chunk numbers.
                            key: vec![0; usize::from(key)],
                            value: size.map(|size| noise(number * 64 + usize::from(key), size)),
                        })
                        // `Meta` under another key than "meta" is just a record.
                        .collect();
                    store.as_mut().unwrap().commit(&writes).unwrap();
                    memory.commit(&writes).unwrap();
                    for write in writes {
                        match write.value {
                            Some(value) => model.insert((write.table, write.key), value),
                            None => model.remove(&(write.table, write.key)),
                        };
                    }
                }
                Step::Reopen => {
                    drop(store.take());
                    store = Some(SledStore::open(dir.path(), SMALL).unwrap());
                }
            }
            let store = store.as_ref().unwrap();
            prop_assert_eq!(&content(store).unwrap().0, &model);
            prop_assert_eq!(&content(&memory).unwrap().0, &model);
            let listed: Content = store
                .listing()
                .unwrap()
                .map(|record| record.map(|record| ((record.table, record.key), record.value)))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(&listed, &model);
            prop_assert_eq!(blobs(dir.path()), 0);
        }
    }
}

#[test]
fn large_values_never_leave_the_log_whatever_becomes_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), SMALL).unwrap();
    for round in 0..6 {
        let mut expected = Content::new();
        let writes: Vec<Write> = (0..40_usize)
            .map(|key| {
                // Grows, shrinks to one frame, grows again, and a fifth is deleted.
                let length = [100_000, 500, 4080, 4081, 60_000][(key + round) % 5];
                let value = (key % 5 != round).then(|| noise(key * 7 + round, length));
                Write {
                    table: Table::Configs,
                    key: vec![b'k'; 1000 - key],
                    value,
                }
            })
            .collect();
        for write in &writes {
            if let Some(value) = &write.value {
                expected.insert((write.table, write.key.clone()), value.clone());
            }
        }
        store.commit(&writes).unwrap();
        assert_eq!(content(&store).unwrap().0, expected);
        assert_eq!(blobs(dir.path()), 0, "round {round}");
        if round == 3 {
            drop(store);
            store = SledStore::open(dir.path(), SMALL).unwrap();
        }
    }
    let all: Vec<Write> = (0..40_usize)
        .map(|key| delete(Table::Configs, vec![b'k'; 1000 - key]))
        .collect();
    store.commit(&all).unwrap();
    // The head record counts frames, so that no orphaned chunk is left either.
    assert_eq!(content(&store).unwrap().1.records, 0);
    drop(store);
    assert_eq!(blobs(dir.path()), 0);
}
