//! One seed from beginning to end.

use std::collections::{BTreeMap, BTreeSet};

use crate::plant::Plant;
use crate::world::{Event, World};

/// What a seed that passed has covered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    pub(crate) placements: u64,
    pub(crate) steps: u64,
    pub(crate) events: u64,
    pub(crate) virtual_ms: i64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    pub(crate) cells: BTreeSet<(i32, i32)>,
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Self) {
        self.acked += other.acked;
        self.refused += other.refused;
        self.placements += other.placements;
        self.steps += other.steps;
        self.events += other.events;
        self.virtual_ms += other.virtual_ms;
        for (name, n) in &other.faults {
            *self.faults.entry(name).or_default() += n;
        }
        self.cells.extend(&other.cells);
    }
}

/// Runs a seed: faults and traffic, faults alone, then quiet, after which all must be well.
///
/// # Errors
/// With the first thing that must not be.
pub(crate) fn run(seed: u64, plant: Option<Plant>) -> Result<Coverage, String> {
    let mut world = World::new(seed, plant);
    let start = world.now;
    let busy = i64::try_from(world.random.between(60_000, 300_000)).unwrap();
    world.run_until(start + busy)?;
    world.quiet = true;
    for at in 0..world.cluster.agents.len() {
        world.at(world.now, Event::AgentBack(at));
    }
    world.faults.off();
    // The longest of timeout, penalty, partition delay and schedule backoff, some of them twice.
    world.run_until(start + busy + 420_000)?;
    // Offers on their way to the scheduler or back look like leaks; they do not do so for long.
    for _ in 0..10 {
        if world.check_offers().is_ok() {
            break;
        }
        world.run_until(world.now + 137)?;
    }
    world.check_offers()?;
    world.check_settled()?;
    Ok(Coverage {
        acked: world.clients.acked,
        refused: world.clients.refused,
        placements: world.tally.placements,
        steps: world.tally.steps,
        events: world.tally.events,
        virtual_ms: world.now - start,
        faults: world.tally.faults,
        cells: world.ledger.cells,
    })
}
