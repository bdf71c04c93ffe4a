//! Pauses between attempts: they grow, have a bound, and are not the same for all who wait.

use std::time::Duration;

/// The pauses of one loop.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(first: Duration, max: Duration) -> Pauses {
        Pauses {
            first,
            max,
            next: first,
        }
    }

    /// What was tried has worked.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next pause, each twice as long as the one before, and up to half of it shorter by chance.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        whole - chance(whole / 2)
    }
}

/// A random part of a time. Without randomness there is just no jitter.
pub(crate) fn chance(most: Duration) -> Duration {
    let parts = getrandom::u32().unwrap_or_default() % 1024;
    most * parts / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(5));
        for whole in [1, 2, 4, 5, 5] {
            let whole = Duration::from_secs(whole);
            let pause = pauses.next();
            assert!(
                pause > whole / 2 - Duration::from_millis(1) && pause <= whole,
                "{pause:?}"
            );
        }
        pauses.reset();
        assert!(pauses.next() <= Duration::from_secs(1));
    }
}
