//! Completion indexes as ordered intervals, in the text form a Job's status keeps them in.

use std::fmt;

/// A set of completion indexes. Its intervals are inclusive, ascend and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    intervals: Vec<(u32, u32)>,
}

impl Indexes {
    /// Reads "0-3,5": what lies at or above `completions` is cut off, and what is no index is left out.
    pub(super) fn parse(text: &str, completions: u32) -> Indexes {
        let read = |part: &str| -> Option<(u32, u32)> {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse::<u32>().ok()?);
            let last = last.min(completions.checked_sub(1)?);
            (first <= last).then_some((first, last))
        };
        Indexes::of(text.split(',').filter_map(read).collect())
    }

    fn of(mut intervals: Vec<(u32, u32)>) -> Indexes {
        intervals.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match joined.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last)
                }
                _ => joined.push((first, last)),
            }
        }
        Indexes { intervals: joined }
    }

    pub(super) fn with(&self, indexes: impl IntoIterator<Item = u32>) -> Indexes {
        let added = indexes.into_iter().map(|index| (index, index));
        Indexes::of(self.intervals.iter().copied().chain(added).collect())
    }

    pub(super) fn union(&self, other: &Indexes) -> Indexes {
        Indexes::of(
            self.intervals
                .iter()
                .chain(&other.intervals)
                .copied()
                .collect(),
        )
    }

    pub(super) fn total(&self) -> u32 {
        self.intervals
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        let above = self.intervals.partition_point(|(first, _)| *first <= index);
        above
            .checked_sub(1)
            .is_some_and(|at| index <= self.intervals[at].1)
    }

    /// How many indexes both sets hold.
    pub(super) fn shared(&self, other: &Indexes) -> u32 {
        let (mut mine, mut theirs, mut count) = (0, 0, 0);
        while let (Some(left), Some(right)) =
            (self.intervals.get(mine), other.intervals.get(theirs))
        {
            let (first, last) = (left.0.max(right.0), left.1.min(right.1));
            if first <= last {
                count += last - first + 1;
            }
            if left.1 <= right.1 {
                mine += 1;
            } else {
                theirs += 1;
            }
        }
        count
    }

    /// The lowest `count` indexes below `completions` that are not in the set.
    pub(super) fn missing(&self, completions: u32, count: usize) -> Vec<u32> {
        let mut found = Vec::new();
        let mut next = 0;
        let ends = self
            .intervals
            .iter()
            .copied()
            .chain([(completions, completions)]);
        for (first, last) in ends {
            let free = next..first.min(completions);
            found.extend(free.take(count - found.len()));
            next = last.saturating_add(1);
            if found.len() == count {
                break;
            }
        }
        found
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.intervals.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match last - first {
                0 => write!(out, "{comma}{first}")?,
                1 => write!(out, "{comma}{first},{last}")?,
                _ => write!(out, "{comma}{first}-{last}")?,
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
    fn text_is_read_within_the_completions_and_written_in_its_shortest_form() {
        let cases = [
            ("", 10, ""),
            ("0", 10, "0"),
            ("0,1", 10, "0,1"),
            ("0-2,4", 10, "0-2,4"),
            ("0-2,3", 10, "0-3"),
            ("1,3-7,9", 6, "1,3-5"),
            ("6-7", 6, ""),
            ("x,2,3-y,5", 10, "2,5"),
            ("0-4", 0, ""),
            ("5-2,7", 10, "7"),
        ];
        for (text, completions, written) in cases {
            assert_eq!(
                Indexes::parse(text, completions).to_string(),
                written,
                "{text:?} of {completions}"
            );
        }
    }

    #[test]
    fn missing_indexes_are_the_lowest_free_ones() {
        let cases: [(&str, u32, usize, &[u32]); 5] = [
            ("", 3, 5, &[0, 1, 2]),
            ("0-2,4", 7, 2, &[3, 5]),
            ("0-6", 7, 2, &[]),
            ("2", 5, 0, &[]),
            ("1-2", 2, 3, &[0]),
        ];
        for (text, completions, count, free) in cases {
            assert_eq!(
                Indexes::parse(text, 100).missing(completions, count),
                free,
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_set_of_intervals_behaves_as_a_set_of_numbers(
            left in prop::collection::btree_set(0u32..40, 0..30),
            right in prop::collection::btree_set(0u32..40, 0..30),
        ) {
            let (mine, theirs) = (Indexes::default().with(left.clone()), Indexes::default().with(right.clone()));
            prop_assert_eq!(mine.total() as usize, left.len());
            prop_assert_eq!(mine.shared(&theirs) as usize, left.intersection(&right).count());
            prop_assert_eq!(mine.union(&theirs).total() as usize, left.union(&right).count());
            prop_assert_eq!(Indexes::parse(&mine.to_string(), 40), mine.clone());
            for index in 0..40 {
                prop_assert_eq!(mine.contains(index), left.contains(&index));
            }
            let free: Vec<u32> = (0..40).filter(|index| !left.contains(index)).take(5).collect();
            prop_assert_eq!(mine.missing(40, 5), free);
        }
    }
}
