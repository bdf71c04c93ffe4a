//! A score as a function of how much of a capacity is used.

use crate::framework::SCORE_MAX;

/// The best score at a point of a shape in the configuration.
pub const SHAPE_SCORE_MAX: i64 = 10;

/// A point where the slope of a shape changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapePoint {
    /// Percent of the capacity that is used.
    pub utilization: i64,
    /// From 0 to 10.
    pub score: i64,
}

/// A function of utilization: straight between its points, level before the first and after the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Vec<ShapePoint>);

impl Shape {
    /// A shape through these points.
    ///
    /// # Errors
    ///
    /// If there is none, utilization does not increase, or a value is out of its range.
    pub fn new(points: Vec<ShapePoint>) -> Result<Shape, String> {
        if points.is_empty() {
            return Err("at least one point must be specified".to_owned());
        }
        for (index, point) in points.iter().enumerate() {
            if !(0..=100).contains(&point.utilization) {
                return Err(format!(
                    "shape[{index}].utilization is not in the range 0-100"
                ));
            }
            if !(0..=SHAPE_SCORE_MAX).contains(&point.score) {
                return Err(format!(
                    "shape[{index}].score is not in the range 0-{SHAPE_SCORE_MAX}"
                ));
            }
            if index > 0 && points[index - 1].utilization >= point.utilization {
                return Err(format!(
                    "shape[{index}].utilization: utilization values must be sorted in increasing order"
                ));
            }
        }
        Ok(Shape(points))
    }

    /// The score, from 0 to `SCORE_MAX`, at so many percent.
    #[must_use]
    pub fn at(&self, percent: i64) -> i64 {
        let scale = SCORE_MAX / SHAPE_SCORE_MAX;
        let next = self.0.iter().position(|point| percent <= point.utilization);
        match next {
            Some(0) => self.0[0].score * scale,
            Some(next) => {
                let (from, to) = (self.0[next - 1], self.0[next]);
                let rise = (to.score - from.score) * scale;
                from.score * scale
                    + rise * (percent - from.utilization) / (to.utilization - from.utilization)
            }
            None => self.0.last().map_or(0, |last| last.score * scale),
        }
    }

    /// The score where so much of a capacity is used. What is beyond the capacity is as if all were used.
    #[must_use]
    pub fn of(&self, used: i64, capacity: i64) -> i64 {
        if capacity <= 0 || used > capacity {
            return self.at(100);
        }
        self.at(percent(used, capacity))
    }
}

/// The part in the whole, in percent, rounded down; without overflow, a little less exact for what is beyond 64 bits.
#[must_use]
pub fn percent(part: i64, whole: i64) -> i64 {
    match part.checked_mul(100) {
        Some(product) => product / whole,
        None => part / (whole / 100).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(points: &[(i64, i64)]) -> Result<Shape, String> {
        let point = |&(utilization, score): &(i64, i64)| ShapePoint { utilization, score };
        Shape::new(points.iter().map(point).collect())
    }

    #[test]
    fn a_shape_is_straight_between_its_points_and_level_outside() {
        let shape = shape(&[(10, 1), (90, 9)]).unwrap();
        for (percent, score) in [(0, 10), (10, 10), (15, 15), (50, 50), (89, 89), (99, 90)] {
            assert_eq!(shape.at(percent), score, "{percent}");
        }
    }

    #[test]
    fn a_shape_may_rise_and_fall() {
        let shape = shape(&[(0, 2), (40, 10), (100, 0)]).unwrap();
        // 20 + 80 * 10 / 40, then 100 - 100 * 15 / 60.
        for (percent, score) in [(0, 20), (10, 40), (40, 100), (55, 75), (70, 50), (100, 0)] {
            assert_eq!(shape.at(percent), score, "{percent}");
        }
        assert_eq!(shape.of(3, 2), 0);
        assert_eq!(shape.of(0, 0), 0);
        assert_eq!(shape.of(1, 10), 40);
    }

    #[test]
    fn a_shape_out_of_order_or_range_is_refused() {
        assert!(shape(&[]).is_err());
        assert!(shape(&[(0, 0), (0, 1)]).is_err());
        assert!(shape(&[(101, 0)]).is_err());
        assert!(shape(&[(0, 11)]).is_err());
    }

    #[test]
    fn percents_do_not_overflow() {
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(i64::MAX / 2, i64::MAX), 50);
    }
}
