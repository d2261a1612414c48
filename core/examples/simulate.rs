//! Runs the simulation for long: `simulate [FIRST [SEEDS]]`. Goes on after a failure, and says
//! at the end what failed and what was covered.
#![expect(
    clippy::unwrap_used,
    dead_code,
    reason = "the simulation is shared with the test, which plants bugs; a failure is to stop it"
)]

use std::collections::BTreeMap;

#[path = "../tests/simulation/checks.rs"]
mod checks;
#[path = "../tests/simulation/clients.rs"]
mod clients;
#[path = "../tests/simulation/cluster.rs"]
mod cluster;
#[path = "../tests/simulation/ledger.rs"]
mod ledger;
#[path = "../tests/simulation/plant.rs"]
mod plant;
#[path = "../tests/simulation/random.rs"]
mod random;
#[path = "../tests/simulation/run.rs"]
mod run;
#[path = "../tests/simulation/weather.rs"]
mod weather;
#[path = "../tests/simulation/world.rs"]
mod world;

#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for people at a terminal, which takes the real time"
)]
fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let first: u64 = arguments.next().unwrap_or(1);
    let seeds: u64 = arguments.next().unwrap_or(10_000);
    let began = std::time::Instant::now();
    let mut all = run::Coverage::default();
    let mut failed: BTreeMap<u64, String> = BTreeMap::new();
    for seed in first..first.saturating_add(seeds) {
        match run::run(seed, None) {
            Ok(coverage) => all.add(&coverage),
            Err(wrong) => {
                println!("seed {seed}: {wrong}");
                failed.insert(seed, wrong);
            }
        }
    }
    println!("{all:#?}");
    println!(
        "{seeds} seeds in {:.1?}, {} failed; {} transition cells seen",
        began.elapsed(),
        failed.len(),
        all.cells.len()
    );
    if !failed.is_empty() {
        std::process::exit(1);
    }
}
