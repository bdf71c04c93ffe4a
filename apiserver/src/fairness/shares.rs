//! How the seats of the server are divided: by shares, and then by what levels lend one another.

/// What a level may have.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bounds {
    pub(super) nominal: f64,
    /// What it keeps when it wants it, whoever else wants more.
    pub(super) lower: f64,
    /// What it may have when others lend.
    pub(super) upper: f64,
}

/// What a level's configuration says of its seats.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Shares {
    pub(super) nominal: f64,
    pub(super) lendable_percent: f64,
    /// None for as much as there is.
    pub(super) borrowing_percent: Option<f64>,
}

/// What one level gets of the server's seats.
pub(super) fn bounds(shares: &Shares, sum: f64, seats: f64) -> Bounds {
    let nominal = if sum > 0.0 {
        (seats * shares.nominal / sum).ceil()
    } else {
        0.0
    };
    let lent = (nominal * shares.lendable_percent / 100.0).round();
    let borrowed = shares
        .borrowing_percent
        .map_or(seats, |percent| (nominal * percent / 100.0).round());
    Bounds {
        nominal,
        lower: nominal - lent,
        upper: nominal + borrowed,
    }
}

/// A level among those that share what there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) bounds: Bounds,
    /// The most it wanted of late.
    pub(super) most: f64,
    pub(super) smoothed: f64,
}

impl Claim {
    /// What it gets before anything is lent on: what it used, up to what is its own.
    fn floor(&self) -> f64 {
        self.bounds.lower.max(self.bounds.nominal.min(self.most))
    }
}

/// Rounds of halving until the factor is exact enough for whole seats.
const HALVINGS: usize = 64;
/// Nobody wants less than this: a demand of nothing has no part of it.
const TARGET_MIN: f64 = 0.001;

/// The seats of each level. Exempt levels have taken `exempt` of the sum of nominal seats `total` already.
pub(super) fn divide(total: f64, exempt: f64, claims: &[Claim]) -> Vec<f64> {
    let left = total - exempt;
    let lower: f64 = claims.iter().map(|claim| claim.bounds.lower).sum();
    let floors: f64 = claims.iter().map(Claim::floor).sum();
    if left <= lower {
        return claims.iter().map(|claim| claim.bounds.lower).collect();
    }
    if left <= floors {
        let part = (left - lower) / (floors - lower);
        let seats = |claim: &Claim| {
            claim.bounds.lower + ((claim.floor() - claim.bounds.lower) * part).round()
        };
        return claims.iter().map(seats).collect();
    }
    let seats = |claim: &Claim, factor: f64| {
        let target = claim.floor().max(claim.smoothed).max(TARGET_MIN);
        (target * factor)
            .max(claim.floor())
            .min(claim.bounds.upper.max(claim.floor()))
    };
    let sum = |factor: f64| -> f64 { claims.iter().map(|claim| seats(claim, factor)).sum() };
    let (mut low, mut high) = (0.0, total / TARGET_MIN);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if sum(middle) < total {
            low = middle;
        } else {
            high = middle;
        }
    }
    claims
        .iter()
        .map(|claim| seats(claim, high).round())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Claim, Shares, bounds, divide};

    #[test]
    fn shares_become_the_seats_that_upstream_gives() {
        // The suggested levels of a server with 600 seats; the shares sum up to 245.
        let of = |nominal, lendable_percent| {
            let shares = Shares {
                nominal,
                lendable_percent,
                borrowing_percent: None,
            };
            let Bounds {
                nominal,
                lower,
                upper,
            } = bounds(&shares, 245.0, 600.0);
            (nominal, lower, upper)
        };
        assert_eq!(of(5.0, 0.0), (13.0, 13.0, 613.0));
        assert_eq!(of(20.0, 50.0), (49.0, 24.0, 649.0));
        assert_eq!(of(30.0, 33.0), (74.0, 50.0, 674.0));
        assert_eq!(of(100.0, 90.0), (245.0, 24.0, 845.0));
        let capped = Shares {
            nominal: 40.0,
            lendable_percent: 25.0,
            borrowing_percent: Some(50.0),
        };
        assert_eq!(bounds(&capped, 245.0, 600.0).upper, 147.0);
    }

    fn claim(nominal: f64, lower: f64, most: f64) -> Claim {
        Claim {
            bounds: Bounds {
                nominal,
                lower,
                upper: nominal + 100.0,
            },
            most,
            smoothed: most,
        }
    }

    #[test]
    fn a_busy_level_borrows_what_idle_ones_lend_and_no_more() {
        let seats = divide(
            100.0,
            0.0,
            &[claim(50.0, 10.0, 0.0), claim(50.0, 50.0, 90.0)],
        );
        assert_eq!(seats, [10.0, 90.0]);
        let all_busy = divide(
            100.0,
            0.0,
            &[claim(50.0, 10.0, 200.0), claim(50.0, 50.0, 200.0)],
        );
        assert_eq!(all_busy, [50.0, 50.0]);
        let idle = divide(
            100.0,
            0.0,
            &[claim(50.0, 50.0, 0.0), claim(50.0, 50.0, 0.0)],
        );
        assert_eq!(idle, [50.0, 50.0]);
    }

    #[test]
    fn what_exempt_requests_take_is_taken_from_what_is_lendable() {
        let claims = [claim(50.0, 10.0, 50.0), claim(50.0, 30.0, 50.0)];
        assert_eq!(divide(100.0, 30.0, &claims), [30.0, 40.0]);
        assert_eq!(divide(100.0, 90.0, &claims), [10.0, 30.0]);
    }
}
