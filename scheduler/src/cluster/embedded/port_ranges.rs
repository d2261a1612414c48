//! A set of ports as disjoint ranges, which is how offers name them.

use std::ops::RangeInclusive;

/// Ports, as ascending ranges with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PortRanges(Vec<RangeInclusive<u16>>);

impl PortRanges {
    /// Returns the ranges.
    pub(super) fn as_ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// Returns whether a port is there.
    pub(super) fn contains(&self, port: u16) -> bool {
        let index = self.0.partition_point(|range| *range.end() < port);
        self.0.get(index).is_some_and(|range| range.contains(&port))
    }

    /// Takes one port out; returns whether it was there.
    pub(super) fn take(&mut self, port: u16) -> bool {
        let index = self.0.partition_point(|range| *range.end() < port);
        let Some(range) = self
            .0
            .get(index)
            .filter(|range| range.contains(&port))
            .cloned()
        else {
            return false;
        };
        let below = (*range.start() < port).then(|| *range.start()..=port - 1);
        let above = (port < *range.end()).then(|| port + 1..=*range.end());
        self.0.splice(index..=index, below.into_iter().chain(above));
        true
    }

    /// Adds a range that may touch or overlap others.
    pub(super) fn insert(&mut self, added: RangeInclusive<u16>) {
        if added.is_empty() {
            return;
        }
        let touches_below =
            |range: &RangeInclusive<u16>| range.end().saturating_add(1) >= *added.start();
        let first = self.0.partition_point(|range| !touches_below(range));
        let last = self
            .0
            .partition_point(|range| *range.start() <= added.end().saturating_add(1));
        let mut start = *added.start();
        let mut end = *added.end();
        for range in self.0.get(first..last).unwrap_or_default() {
            start = start.min(*range.start());
            end = end.max(*range.end());
        }
        self.0.splice(first..last.max(first), [start..=end]);
    }

    /// Adds all ports of another set.
    pub(super) fn append(&mut self, other: Self) {
        if self.0.is_empty() {
            self.0 = other.0;
            return;
        }
        for range in other.0 {
            self.insert(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ports(ranges: &PortRanges) -> BTreeSet<u16> {
        ranges.0.iter().cloned().flatten().collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in proptest::collection::vec((any::<bool>(), 0_u16..40, 0_u16..5), 0..60)) {
            let mut ranges = PortRanges::default();
            let mut model = BTreeSet::new();
            for (insert, port, more) in steps {
                if insert {
                    ranges.insert(port..=port + more);
                    model.extend(port..=port + more);
                } else {
                    prop_assert_eq!(ranges.take(port), model.remove(&port));
                }
                prop_assert_eq!(ports(&ranges), model.clone());
                let apart = ranges.0.windows(2).all(|pair| *pair[0].end() + 1 < *pair[1].start());
                prop_assert!(apart, "{:?}", ranges);
            }
        }
    }

    #[test]
    fn the_highest_port_can_come_and_go() {
        let mut ranges = PortRanges::default();
        ranges.insert(65_535..=65_535);
        ranges.insert(65_534..=65_534);
        assert_eq!(ranges.as_ranges(), [65_534..=65_535]);
        assert!(ranges.take(65_535));
        assert_eq!(ranges.as_ranges(), [65_534..=65_534]);
    }
}
