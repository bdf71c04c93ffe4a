//! How long those are to stay away whom a level refused: longer when many are refused, and shorter again when few are.

use std::collections::VecDeque;

/// The longest, as upstream's.
const SECONDS_MAX: u64 = 32;
/// Refusals a second from which on it grows.
const REFUSED_OFTEN: u64 = 3;

/// What a level refused of late.
#[derive(Debug)]
pub(super) struct Pushback {
    /// The second that is counted, and its refusals.
    now: (u64, u64),
    /// Seconds before it in which somebody was refused, the newest last: one for each of those that matter.
    before: VecDeque<(u64, u64)>,
    seconds: u64,
    /// When it grew last.
    grown: Option<u64>,
}

impl Default for Pushback {
    fn default() -> Pushback {
        Pushback {
            now: (0, 0),
            before: VecDeque::new(),
            seconds: 1,
            grown: None,
        }
    }
}

impl Pushback {
    /// Counts a refusal in a second, and tells for how many seconds its client is to stay away.
    pub(super) fn refuse(&mut self, second: u64) -> u32 {
        if second > self.now.0 {
            self.before.push_back(self.now);
            self.now = (second, 0);
            self.adjust();
            let kept = (2 * self.seconds).min(SECONDS_MAX);
            self.before.retain(|(then, _)| second - then <= kept);
        }
        self.now.1 += 1;
        u32::try_from(self.seconds).unwrap_or(u32::MAX)
    }

    /// Doubles the time, no sooner than after it has passed once, or takes a second off it.
    fn adjust(&mut self) {
        let second = self.now.0;
        let recent = self.before.iter().rev();
        let refused: u64 = recent
            .take_while(|(then, _)| second - then <= self.seconds)
            .map(|(_, count)| count)
            .sum();
        let may_grow = self
            .grown
            .is_none_or(|grown| second - grown >= self.seconds);
        if may_grow && refused >= REFUSED_OFTEN * self.seconds {
            self.seconds = (2 * self.seconds).min(SECONDS_MAX);
            self.grown = Some(second);
        } else if refused < self.seconds && self.seconds > 1 {
            self.seconds -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told last in each second, of so many refusals.
    fn told(refusals: &[(u64, u64)]) -> Vec<u32> {
        let mut pushback = Pushback::default();
        let last = |&(second, count): &(u64, u64)| {
            let told = (0..count).map(|_| pushback.refuse(second));
            told.last().unwrap()
        };
        refusals.iter().map(last).collect()
    }

    #[test]
    fn many_refusals_double_the_time_and_few_shorten_it() {
        for (refusals, seconds) in [
            // Few are told to come back at once.
            (vec![(1, 2), (2, 2), (3, 2)], vec![1, 1, 1]),
            // Three a second are many.
            (
                vec![(1, 3), (2, 6), (3, 6), (4, 12), (5, 12)],
                vec![1, 2, 2, 4, 4],
            ),
            // After a pause it comes down by a second at each refusal.
            (
                vec![(1, 3), (2, 9), (4, 1), (50, 1), (51, 1), (60, 1)],
                vec![1, 2, 4, 3, 2, 1],
            ),
        ] {
            assert_eq!(told(&refusals), seconds, "{refusals:?}");
        }
    }

    #[test]
    fn the_time_has_a_most_and_so_has_what_is_remembered() {
        let mut pushback = Pushback::default();
        for second in 0..500 {
            for _ in 0..200 {
                assert!(u64::from(pushback.refuse(second)) <= SECONDS_MAX);
            }
        }
        assert_eq!(u64::from(pushback.refuse(500)), SECONDS_MAX);
        assert!(pushback.before.len() <= usize::try_from(SECONDS_MAX).unwrap());
    }
}
