//! Deals hands of queues: a flow always gets the same hand, and two flows seldom share a whole one.

/// The queues that a flow may wait in: `size` different ones of `deck`, chosen by its hash alone.
pub(super) fn hand(hash: u64, deck: usize, size: usize) -> Vec<usize> {
    let mut rest = hash;
    let mut sorted: Vec<usize> = Vec::with_capacity(size);
    let mut hand = Vec::with_capacity(size);
    for left in (1..=deck).rev().take(size) {
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        // The card is the so-manieth of those that are left, and those that are gone are passed over.
        let mut card = usize::try_from(rest % left).unwrap_or_default();
        rest /= left;
        let mut at = 0;
        while at < sorted.len() && card >= sorted[at] {
            card += 1;
            at += 1;
        }
        sorted.insert(at, card);
        hand.push(card);
    }
    hand
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::hand;

    #[test]
    fn hands_are_dealt_by_the_hash() {
        assert_eq!(hand(0, 8, 3), [0, 1, 2]);
        assert_eq!(hand(7, 8, 2), [7, 0]);
        assert_eq!(hand(9, 8, 2), [1, 2]);
        assert_eq!(hand(5, 3, 9).len(), 3);
    }

    proptest! {
        #[test]
        fn a_hand_has_each_queue_once(hash: u64, deck in 1usize..200, size in 1usize..10) {
            let mut cards = hand(hash, deck, size);
            prop_assert_eq!(cards.len(), size.min(deck));
            cards.sort_unstable();
            cards.dedup();
            prop_assert_eq!(cards.len(), size.min(deck));
            prop_assert!(cards.iter().all(|card| *card < deck));
        }
    }
}
