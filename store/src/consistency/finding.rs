//! Who is right when members differ: whoever the majority of all members agrees with.

use std::collections::BTreeMap;

use super::Sample;

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// Whoever answered has the same.
    Agreed,
    /// These differ from a majority of all members.
    Off(Vec<u64>),
    /// There are differences and no majority.
    Unclear,
}

/// Judges answers of members to one question. Those that gave none count for the majority all the same.
pub(super) fn judge<A: Ord + Copy>(answers: &[(u64, A)], members: usize) -> Finding {
    let mut groups: BTreeMap<A, Vec<u64>> = BTreeMap::new();
    for (member, answer) in answers {
        groups.entry(*answer).or_default().push(*member);
    }
    if groups.len() <= 1 {
        return Finding::Agreed;
    }
    let quorum = members / 2 + 1;
    if !groups.values().any(|group| group.len() >= quorum) {
        return Finding::Unclear;
    }
    let off = groups.into_values().filter(|group| group.len() < quorum);
    let mut off: Vec<u64> = off.flatten().collect();
    off.sort_unstable();
    Finding::Off(off)
}

/// The log index at which most members can be compared, the newest of those, and what they have there.
pub(super) fn comparable(reports: &[(u64, Vec<Sample>)]) -> Option<(u64, Vec<(u64, u32)>)> {
    // One answer of each member, whatever it sent.
    let mut answers: BTreeMap<(u64, i64), BTreeMap<u64, u32>> = BTreeMap::new();
    for (member, samples) in reports {
        for sample in samples {
            let place = answers.entry((sample.index, sample.digest.since));
            place.or_default().insert(*member, sample.digest.value);
        }
    }
    let (place, answers) = answers
        .into_iter()
        .filter(|(_, answers)| answers.len() > 1)
        .max_by_key(|(place, answers)| (answers.len(), *place))?;
    Some((place.0, answers.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use state_machine::Digest;

    use super::*;

    #[test]
    fn a_majority_of_all_members_says_who_is_off() {
        assert_eq!(judge(&[(1, 5), (2, 5), (3, 5)], 3), Finding::Agreed);
        assert_eq!(judge(&[(1, 5), (2, 6), (3, 5)], 3), Finding::Off(vec![2]));
        assert_eq!(judge(&[(1, 6), (2, 5), (3, 5)], 3), Finding::Off(vec![1]));
        let all_differ = [(1, 5), (2, 5), (3, 5), (4, 6), (5, 7)];
        assert_eq!(judge(&all_differ, 5), Finding::Off(vec![4, 5]));
    }

    #[test]
    fn without_a_majority_nobody_is_named() {
        assert_eq!(judge(&[(1, 5), (2, 6)], 2), Finding::Unclear);
        assert_eq!(judge(&[(1, 5), (2, 6)], 3), Finding::Unclear);
        assert_eq!(judge(&[(1, 5), (2, 5), (3, 6)], 5), Finding::Unclear);
        assert_eq!(judge::<u32>(&[], 3), Finding::Agreed);
    }

    fn samples(noted: &[(u64, i64, u32)]) -> Vec<Sample> {
        let sample = |&(index, since, value)| Sample {
            index,
            digest: Digest { since, value },
        };
        noted.iter().map(sample).collect()
    }

    #[test]
    fn members_are_compared_where_most_of_them_have_been() {
        let reports = [
            (1, samples(&[(64, 0, 1), (128, 0, 2), (130, 0, 3)])),
            (2, samples(&[(64, 0, 1), (128, 0, 2), (130, 0, 3)])),
            (3, samples(&[(64, 0, 9)])),
        ];
        assert_eq!(
            comparable(&reports),
            Some((64, vec![(1, 1), (2, 1), (3, 9)]))
        );
        assert_eq!(comparable(&reports[..2]), Some((130, vec![(1, 3), (2, 3)])));
        assert_eq!(comparable(&reports[..1]), None);
    }

    #[test]
    fn a_member_that_says_a_thing_twice_counts_once() {
        let reports = [
            (1, samples(&[(0, 0, 1), (0, 0, 1), (7, 0, 2)])),
            (2, samples(&[(0, 0, 1), (0, 0, 1), (7, 0, 3)])),
        ];
        assert_eq!(comparable(&reports), Some((7, vec![(1, 2), (2, 3)])));
    }

    #[test]
    fn digests_that_begin_elsewhere_are_not_compared() {
        let reports = [(1, samples(&[(64, 0, 1)])), (2, samples(&[(64, 7, 2)]))];
        assert_eq!(comparable(&reports), None);
    }
}
