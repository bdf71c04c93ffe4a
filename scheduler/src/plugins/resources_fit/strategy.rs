//! How used resources make a score.

use crate::{
    framework::SCORE_MAX,
    plugins::shape::{Shape, percent},
};

/// A resource that is ranked, with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceWeight {
    pub name: String,
    pub weight: i64,
}

impl ResourceWeight {
    /// CPU and memory, alike.
    #[must_use]
    pub fn cpu_and_memory() -> Vec<ResourceWeight> {
        let weight = |name: &str| ResourceWeight {
            name: name.to_owned(),
            weight: 1,
        };
        vec![weight("cpu"), weight("memory")]
    }
}

/// Which nodes are better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// Those with most left.
    LeastAllocated,
    /// Those with least left.
    MostAllocated,
    /// As a shape says.
    RequestedToCapacityRatio(Shape),
}

impl Strategy {
    /// The score of a node: the mean over its resources, each as used, capacity (above 0) and weight.
    #[must_use]
    pub fn rank(&self, usages: impl Iterator<Item = (i64, i64, i64)>) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for (used, capacity, weight) in usages {
            let score = self.rank_one(used, capacity);
            // A shape leaves out resources that score nothing.
            if score == 0 && matches!(self, Strategy::RequestedToCapacityRatio(_)) {
                continue;
            }
            sum += score * weight;
            weights += weight;
        }
        match self {
            _ if weights == 0 => 0,
            Strategy::RequestedToCapacityRatio(_) => (sum as f64 / weights as f64).round() as i64,
            _ => sum / weights,
        }
    }

    fn rank_one(&self, used: i64, capacity: i64) -> i64 {
        match self {
            Strategy::LeastAllocated if used > capacity => 0,
            Strategy::LeastAllocated => percent(capacity - used, capacity),
            // More than all can be used, because pods that ask for nothing count as a little.
            Strategy::MostAllocated if used > capacity => SCORE_MAX,
            Strategy::MostAllocated => percent(used, capacity),
            Strategy::RequestedToCapacityRatio(shape) => shape.of(used, capacity),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::shape::ShapePoint;

    #[test]
    fn the_mean_is_weighted() {
        // CPU 3000 of 4000 used, memory 5000 of 10000.
        let usages = |weights: [i64; 2]| [(3000, 4000, weights[0]), (5000, 10_000, weights[1])];
        let rising = Shape::new(vec![
            ShapePoint {
                utilization: 0,
                score: 0,
            },
            ShapePoint {
                utilization: 100,
                score: 10,
            },
        ]);
        let cases = [
            (Strategy::LeastAllocated, [1, 1], 37),
            (Strategy::LeastAllocated, [2, 1], 33),
            (Strategy::MostAllocated, [1, 1], 62),
            (Strategy::MostAllocated, [1, 2], 58),
            // (75 + 50) / 2 is rounded.
            (
                Strategy::RequestedToCapacityRatio(rising.unwrap()),
                [1, 1],
                63,
            ),
        ];
        for (strategy, weights, expected) in cases {
            assert_eq!(
                strategy.rank(usages(weights).into_iter()),
                expected,
                "{strategy:?}"
            );
        }
    }

    #[test]
    fn more_than_all_is_least_free_and_most_used() {
        let over = || [(200, 100, 1)].into_iter();
        assert_eq!(Strategy::LeastAllocated.rank(over()), 0);
        assert_eq!(Strategy::MostAllocated.rank(over()), 100);
        assert_eq!(Strategy::LeastAllocated.rank(std::iter::empty()), 0);
    }

    #[test]
    fn a_shape_leaves_out_resources_that_score_nothing() {
        let points = vec![
            ShapePoint {
                utilization: 0,
                score: 0,
            },
            ShapePoint {
                utilization: 100,
                score: 10,
            },
        ];
        let strategy = Strategy::RequestedToCapacityRatio(Shape::new(points).unwrap());
        assert_eq!(strategy.rank([(0, 100, 5), (80, 100, 1)].into_iter()), 80);
    }
}
