//! Sets of keys as sorted ranges that neither touch nor overlap.

use bytes::Bytes;

use crate::command::KeyRange;

/// Every key from `start` to before `end`; without an end, to the last key there can be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interval {
    start: Bytes,
    end: Option<Bytes>,
}

impl Interval {
    fn of(keys: &KeyRange) -> Interval {
        let end = match &keys.end[..] {
            [] => Some([&keys.start[..], b"\0"].concat().into()),
            [0] => None,
            _ => Some(keys.end.clone()),
        };
        Interval {
            start: keys.start.clone(),
            end,
        }
    }

    fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether nothing of `other` lies behind its end.
    fn reaches_end_of(&self, other: &Interval) -> bool {
        match (&self.end, &other.end) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(other)) => other <= end,
        }
    }
}

/// A union of ranges of keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Intervals(Vec<Interval>);

impl Intervals {
    pub(super) fn of<'a>(ranges: impl Iterator<Item = &'a KeyRange>) -> Intervals {
        let mut sorted: Vec<Interval> = ranges
            .map(Interval::of)
            .filter(|interval| !interval.is_empty())
            .collect();
        sorted.sort_by(|a, b| a.start.cmp(&b.start));
        let mut union: Vec<Interval> = Vec::with_capacity(sorted.len());
        for next in sorted {
            match union.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| next.start <= *end) => {
                    if !last.reaches_end_of(&next) {
                        last.end = next.end;
                    }
                }
                _ => union.push(next),
            }
        }
        Intervals(union)
    }

    /// Whether every key of a range is in the set. A range without keys is in it when its start is and its end lies no
    /// further than the set goes from there.
    pub(super) fn cover(&self, keys: &KeyRange) -> bool {
        let wanted = Interval::of(keys);
        let found = self.around(&wanted.start);
        found.is_some_and(|found| found.reaches_end_of(&wanted))
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.around(key).is_some()
    }

    /// The interval that a key lies in.
    fn around(&self, key: &[u8]) -> Option<&Interval> {
        let after = self
            .0
            .partition_point(|interval| interval.start[..] <= *key);
        let found = &self.0[after.checked_sub(1)?];
        let has_key = found.end.as_ref().is_none_or(|end| *key < end[..]);
        has_key.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange {
            start: start.into(),
            end: end.into(),
        }
    }

    #[test]
    fn ranges_that_touch_or_overlap_cover_what_they_cover_together() {
        let set = [
            keys("a", "c"),
            keys("c", "e"),
            keys("d", "g"),
            keys("m", ""),
        ];
        let set = Intervals::of(set.iter());
        for (start, end, covered) in [
            ("a", "g", true),
            ("a", "", true),
            ("f", "", true),
            ("g", "", false),
            ("a", "g\0", false),
            ("b", "\0", false),
            ("m", "", true),
            ("m", "m\0", true),
            ("m", "n", false),
            ("A", "b", false),
            ("l", "n", false),
        ] {
            assert_eq!(set.cover(&keys(start, end)), covered, "{start} {end}");
        }
    }

    #[test]
    fn a_key_joins_the_ranges_on_both_sides() {
        let set = [keys("a", "b"), keys("b", ""), keys("b\0", "c")];
        assert!(Intervals::of(set.iter()).cover(&keys("a", "c")));
        let gap = [keys("a", "b"), keys("b\0", "c")];
        assert!(!Intervals::of(gap.iter()).cover(&keys("a", "c")));
    }

    #[test]
    fn an_open_end_covers_open_ends_alone() {
        let open = [keys("k", "\0")];
        let open = Intervals::of(open.iter());
        assert!(open.cover(&keys("k", "\0")));
        assert!(open.cover(&keys("z", "")));
        assert!(!open.cover(&keys("j", "\0")));
        let closed = [keys("k", "z")];
        assert!(!Intervals::of(closed.iter()).cover(&keys("k", "\0")));
    }

    #[test]
    fn ranges_without_keys_grant_nothing_and_reach_no_further_than_the_set() {
        let set = [keys("c", "b"), keys("k", "m")];
        let set = Intervals::of(set.iter());
        assert!(!set.cover(&keys("c", "b")));
        assert!(set.cover(&keys("l", "a")));
        assert!(!set.cover(&keys("z", "a")));
    }
}
