//! How many seats a level wanted over a while: the most, the average, and how far it strayed from that.

/// The part of an earlier demand that is kept with each look.
const SMOOTHING: f64 = 0.977;

/// The demand of one level.
#[derive(Debug, Default)]
pub(super) struct Demand {
    seats: f64,
    since: f64,
    from: f64,
    sum: f64,
    sum_of_squares: f64,
    most: f64,
    /// What the last look saw.
    pub(super) seen: Seen,
}

/// The demand of one period.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) most: f64,
    pub(super) average: f64,
    pub(super) deviation: f64,
    /// Falls slowly after the demand did, and rises with it.
    pub(super) smoothed: f64,
}

impl Demand {
    /// The demand is this from now on.
    pub(super) fn note(&mut self, now: f64, seats: f64) {
        let passed = (now - self.since).max(0.0);
        self.sum += self.seats * passed;
        self.sum_of_squares += self.seats * self.seats * passed;
        self.since = now;
        self.seats = seats;
        self.most = self.most.max(seats);
    }

    /// Ends a period.
    pub(super) fn look(&mut self, now: f64) -> Seen {
        self.note(now, self.seats);
        let seconds = now - self.from;
        if seconds > 0.0 {
            let average = self.sum / seconds;
            let variance = (self.sum_of_squares / seconds - average * average).max(0.0);
            let deviation = variance.sqrt();
            let envelope = average + deviation;
            let kept = SMOOTHING * self.seen.smoothed + (1.0 - SMOOTHING) * envelope;
            self.seen = Seen {
                most: self.most,
                average,
                deviation,
                smoothed: envelope.max(kept),
            };
        }
        self.from = now;
        self.most = self.seats;
        self.sum = 0.0;
        self.sum_of_squares = 0.0;
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::Demand;

    #[test]
    fn a_period_knows_its_most_and_its_average() {
        let mut demand = Demand::default();
        demand.note(0.0, 4.0);
        demand.note(5.0, 0.0);
        let seen = demand.look(10.0);
        assert_eq!(
            (seen.most, seen.average, seen.deviation, seen.smoothed),
            (4.0, 2.0, 2.0, 4.0)
        );
        let later = demand.look(20.0);
        assert_eq!((later.most, later.average), (0.0, 0.0));
        assert!((later.smoothed - 4.0 * 0.977).abs() < 1e-9);
    }
}
