//! Sets of instance numbers, as ranges: `0-3,5`.

use std::{fmt::Display, str::FromStr};

use aurora_proto::v1::InstanceRange;

/// Sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InstanceSet {
    ranges: Vec<(u32, u32)>,
}

impl InstanceSet {
    /// Returns the set of these ranges, both ends included.
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<(u32, u32)> = ranges
            .into_iter()
            .filter(|(first, last)| first <= last)
            .collect();
        sorted.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for (first, last) in sorted {
            match ranges.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => {
                    previous.1 = previous.1.max(last);
                }
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    /// Returns the set that the scheduler's ranges describe.
    pub(crate) fn from_proto(ranges: &[InstanceRange]) -> Self {
        Self::from_ranges(ranges.iter().map(|range| (range.first, range.last)))
    }

    /// Returns the ranges as the scheduler takes them.
    pub(crate) fn to_proto(&self) -> Vec<InstanceRange> {
        self.ranges
            .iter()
            .map(|&(first, last)| InstanceRange { first, last })
            .collect()
    }

    /// Returns the instances 0 to `count` - 1.
    pub(crate) fn first(count: u32) -> Self {
        Self::from_ranges(count.checked_sub(1).map(|last| (0, last)))
    }

    /// Tells whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> u64 {
        self.ranges
            .iter()
            .map(|&(first, last)| u64::from(last - first) + 1)
            .sum()
    }

    /// Returns the only member, if there is exactly one.
    pub(crate) fn only(&self) -> Option<u32> {
        match self.ranges.as_slice() {
            [(first, last)] if first == last => Some(*first),
            _ => None,
        }
    }

    /// Returns the members in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| first..=last)
    }

    /// Returns the members of both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let pairs = self
            .ranges
            .iter()
            .flat_map(|a| other.ranges.iter().map(move |b| (a, b)));
        Self::from_ranges(pairs.map(|(a, b)| (a.0.max(b.0), a.1.min(b.1))))
    }

    /// Returns the members that are not in the other set.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for &(first, last) in &self.ranges {
            let mut next = Some(first);
            for &(other_first, other_last) in &other.ranges {
                let Some(from) = next else { break };
                if other_last < from || other_first > last {
                    continue;
                }
                if other_first > from {
                    left.push((from, other_first - 1));
                }
                next = other_last.checked_add(1).filter(|&after| after <= last);
            }
            left.extend(next.map(|from| (from, last)));
        }
        Self::from_ranges(left)
    }

    /// Cuts the set into sets of at most `size` members, in order.
    pub(crate) fn batches(&self, size: u32) -> Vec<Self> {
        let mut batches = Vec::new();
        let mut members = self.iter().peekable();
        while members.peek().is_some() {
            batches.push(members.by_ref().take(size.max(1) as usize).collect());
        }
        batches
    }
}

impl FromIterator<u32> for InstanceSet {
    fn from_iter<I: IntoIterator<Item = u32>>(members: I) -> Self {
        Self::from_ranges(members.into_iter().map(|member| (member, member)))
    }
}

impl Display for InstanceSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for InstanceSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let parsed = digits.then(|| text.parse::<u32>().ok()).flatten();
            parsed.ok_or_else(|| format!("`{text}` is no instance number"))
        };
        let mut ranges = Vec::new();
        for item in text.split(',') {
            let ends: Vec<&str> = item.split('-').collect();
            let (first, last) = match ends.as_slice() {
                [one] => (number(one)?, number(one)?),
                [first, last] => (number(first)?, number(last)?),
                _ => return Err(format!("`{item}` is no range; a range is FIRST-LAST")),
            };
            if first > last {
                return Err(format!("the range `{item}` ends before it begins"));
            }
            ranges.push((first, last));
        }
        Ok(Self::from_ranges(ranges))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> InstanceSet {
        text.parse().unwrap()
    }

    fn has(set: &InstanceSet, member: u32) -> bool {
        set.iter().any(|other| other == member)
    }

    #[test]
    fn ranges_are_sorted_and_merged() {
        assert_eq!(set("5,0-3,2-4").to_string(), "0-5");
        assert_eq!(set("7,1,3,1").to_string(), "1,3,7");
        assert_eq!(set("0-4294967295").len(), 1 << 32);
    }

    #[test]
    fn wrong_lists_are_refused() {
        for wrong in [
            "",
            "a",
            "1-2-3",
            "3-1",
            "1,",
            "-1",
            "+1",
            "1-",
            "4294967296",
            "1, 2",
        ] {
            assert!(wrong.parse::<InstanceSet>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn batches_keep_the_order() {
        let batches: Vec<String> = set("0-4,9")
            .batches(4)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(batches, ["0-3", "4,9"]);
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_lists(a in prop::collection::vec(0u32..40, 0..20),
                                           b in prop::collection::vec(0u32..40, 0..20)) {
            let (left, right): (InstanceSet, InstanceSet) =
                (a.iter().copied().collect(), b.iter().copied().collect());
            for member in 0..40 {
                let (in_a, in_b) = (a.contains(&member), b.contains(&member));
                prop_assert_eq!(has(&left, member), in_a);
                prop_assert_eq!(has(&left.intersection(&right), member), in_a && in_b);
                prop_assert_eq!(has(&left.difference(&right), member), in_a && !in_b);
            }
        }

        #[test]
        fn text_survives_the_way_there_and_back(members in prop::collection::vec(0u32..100, 1..30)) {
            let set: InstanceSet = members.into_iter().collect();
            prop_assert_eq!(set.to_string().parse::<InstanceSet>().unwrap(), set);
        }
    }
}
