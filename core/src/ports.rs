//! Which of an agent's free ports a task gets.

use std::ops::RangeInclusive;

/// Returns how many ports the ranges hold.
pub(crate) fn count(ranges: &[RangeInclusive<u16>]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).sum()
}

/// Puts ranges in order, those that touch or overlap as one, so that no port is there twice.
pub(crate) fn normalise(mut ranges: Vec<RangeInclusive<u16>>) -> Vec<RangeInclusive<u16>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| *range.start());
    let mut apart: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => apart.push(range),
        }
    }
    apart
}

/// Takes `n` ports out of `ranges`, the first ones at or after `start`, then from the beginning.
///
/// Returns nothing and changes nothing if there are fewer.
pub(crate) fn take(
    ranges: &mut Vec<RangeInclusive<u16>>,
    n: usize,
    start: u16,
) -> Option<Vec<u16>> {
    if n == 0 {
        return Some(Vec::new());
    }
    let free = || ranges.iter().cloned().flatten();
    let taken: Vec<u16> = free()
        .filter(|port| *port >= start)
        .chain(free().filter(|port| *port < start))
        .take(n)
        .collect();
    if taken.len() < n {
        return None;
    }
    for port in &taken {
        remove(ranges, *port);
    }
    Some(taken)
}

fn remove(ranges: &mut Vec<RangeInclusive<u16>>, port: u16) {
    let Some(at) = ranges.iter().position(|range| range.contains(&port)) else {
        return;
    };
    let range = ranges.remove(at);
    let (start, end) = range.into_inner();
    if port < end {
        ranges.insert(at, port + 1..=end);
    }
    if start < port {
        ranges.insert(at, start..=port - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_from_the_start_on_and_then_from_the_beginning() {
        let mut ranges = vec![1..=3, 10..=11];
        assert_eq!(take(&mut ranges, 3, 3), Some(vec![3, 10, 11]));
        assert_eq!(ranges, vec![1..=2]);
        assert_eq!(take(&mut ranges, 2, 12), Some(vec![1, 2]));
        assert_eq!(count(&ranges), 0);
    }

    #[test]
    fn overlapping_ranges_hold_each_port_once() {
        #[expect(clippy::reversed_empty_ranges, reason = "an agent may say anything")]
        let ranges = vec![10..=12, 1..=3, 3..=5, 6..=6, 9..=8, 65_535..=65_535];
        assert_eq!(normalise(ranges), vec![1..=6, 10..=12, 65_535..=65_535]);
    }

    #[test]
    fn too_few_ports_change_nothing() {
        let mut ranges = vec![5..=6];
        assert_eq!(take(&mut ranges, 3, 0), None);
        assert_eq!(ranges, vec![5..=6]);
    }
}
