//! The core in a simulated world, with faults drawn from a seed. See `run.rs`.
#![expect(
    clippy::unwrap_used,
    reason = "a failed simulation is to stop, and planted bugs pick what they touch"
)]

mod checks;
mod clients;
mod cluster;
mod ledger;
mod plant;
mod random;
mod run;
mod weather;
mod world;

use plant::Plant;
use run::{Coverage, run};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn nothing_goes_wrong_for_good() {
    let first = number("AURORA_SIM_FIRST", 1);
    let seeds = number("AURORA_SIM_SEEDS", 2_000);
    let mut all = Coverage::default();
    for seed in first..first + seeds {
        match run(seed, None) {
            Ok(coverage) => all.add(&coverage),
            Err(wrong) => panic!(
                "seed {seed}: {wrong}\nagain: AURORA_SIM_FIRST={seed} AURORA_SIM_SEEDS=1 \
                 cargo test -p aurora-core --test simulation nothing_goes_wrong"
            ),
        }
    }
    println!("{all:#?}");
    if seeds < 500 {
        return;
    }
    // A run in which little happened proves little.
    assert!(all.acked >= 10 * seeds, "{} calls were answered", all.acked);
    assert!(
        all.placements >= 20 * seeds,
        "{} tasks were placed",
        all.placements
    );
    assert_eq!(all.faults.len(), 11, "{:?}", all.faults);
    for (fault, n) in &all.faults {
        assert!(*n >= seeds / 20, "{fault} happened {n} times");
    }
}

#[test]
fn same_seed_does_the_same() {
    let again = |seed| format!("{:?}", run(seed, None));
    for seed in 1..=10 {
        assert_eq!(again(seed), again(seed), "seed {seed}");
    }
}

#[test]
fn planted_bugs_are_found() {
    let seeds = 300;
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        match (1..=seeds).find_map(|seed| Some((seed, run(seed, Some(plant)).err()?))) {
            Some((seed, wrong)) => println!("{plant:?}: seed {seed}: {wrong}"),
            None => missed.push(plant),
        }
    }
    assert!(
        missed.is_empty(),
        "not found within {seeds} seeds: {missed:?}"
    );
}
