//! Sets of instance numbers, as ranges.

use aurora_proto::v1::InstanceRange;

/// A set of instance numbers: sorted, disjoint ranges, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceSet {
    ranges: Vec<(u32, u32)>,
}

impl InstanceSet {
    /// Reads ranges in any order, overlapping or not.
    ///
    /// # Errors
    /// With the first range whose ends are the wrong way round.
    pub fn from_ranges(ranges: &[InstanceRange]) -> Result<Self, InstanceRange> {
        if let Some(wrong) = ranges.iter().find(|range| range.first > range.last) {
            return Err(*wrong);
        }
        let mut sorted: Vec<_> = ranges
            .iter()
            .map(|range| (range.first, range.last))
            .collect();
        sorted.sort_unstable();
        let mut set = Self::default();
        for (first, last) in sorted {
            set.push_range(first, last);
        }
        Ok(set)
    }

    /// Appends a range that starts at or after the start of the last one.
    fn push_range(&mut self, first: u32, last: u32) {
        match self.ranges.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => self.ranges.push((first, last)),
        }
    }

    /// Returns whether the set holds the instance.
    pub fn contains(&self, instance: u32) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < instance);
        self.ranges
            .get(at)
            .is_some_and(|(first, _)| *first <= instance)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns how many instances the set holds.
    pub fn len(&self) -> u64 {
        self.ranges
            .iter()
            .map(|(first, last)| u64::from(last - first) + 1)
            .sum()
    }

    /// Returns the instances, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// Converts to the API.
    pub fn to_proto(&self) -> Vec<InstanceRange> {
        self.ranges
            .iter()
            .map(|(first, last)| InstanceRange {
                first: *first,
                last: *last,
            })
            .collect()
    }
}

/// Collects instances in rising order.
impl FromIterator<u32> for InstanceSet {
    fn from_iter<I: IntoIterator<Item = u32>>(instances: I) -> Self {
        let mut sorted: Vec<u32> = instances.into_iter().collect();
        sorted.sort_unstable();
        let mut set = Self::default();
        for instance in sorted {
            set.push_range(instance, instance);
        }
        set
    }
}

impl std::fmt::Display for InstanceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let set: InstanceSet = [3, 0, 1, 2, 7, 1].into_iter().collect();
        assert_eq!(set.to_string(), "0-3,7");
        assert!(set.contains(2) && set.contains(7) && !set.contains(4));
        assert_eq!(set.len(), 5);
    }

    #[test]
    fn range_the_wrong_way_round_is_refused() {
        let wrong = InstanceRange { first: 2, last: 1 };
        assert_eq!(InstanceSet::from_ranges(&[wrong]), Err(wrong));
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in(ranges in prop::collection::vec((0_u32..60, 0_u32..9), 0..8)) {
            let ranges: Vec<_> = ranges
                .into_iter()
                .map(|(first, more)| InstanceRange { first, last: first + more })
                .collect();
            let set = InstanceSet::from_ranges(&ranges).unwrap();
            for n in 0..80 {
                let within = ranges.iter().any(|r| (r.first..=r.last).contains(&n));
                prop_assert_eq!(set.contains(n), within);
            }
            prop_assert_eq!(set.iter().count() as u64, set.len());
            prop_assert_eq!(InstanceSet::from_ranges(&set.to_proto()), Ok(set));
        }
    }
}
