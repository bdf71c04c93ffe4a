//! Numbers that may be written as a percentage of another number.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which whole number a part of a percent becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Up,
    Down,
}

/// A text that is no percentage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid value for IntOrString: invalid type: string is not a percentage")]
pub(crate) struct NoPercentage;

/// The number itself, or so many percent of `total`.
pub(crate) fn scaled(amount: &IntOrString, total: i32, round: Round) -> Result<i32, NoPercentage> {
    match amount {
        IntOrString::Int(number) => Ok(*number),
        IntOrString::String(text) => {
            let digits = text.strip_suffix('%').ok_or(NoPercentage)?;
            let percent: i32 = digits.parse().map_err(|_malformed| NoPercentage)?;
            let hundredfold = i64::from(percent) * i64::from(total);
            let number = match round {
                Round::Up => -(-hundredfold).div_euclid(100),
                Round::Down => hundredfold.div_euclid(100),
            };
            let limit = if number < 0 { i32::MIN } else { i32::MAX };
            Ok(i32::try_from(number).unwrap_or(limit))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_total_and_rounded_as_asked() {
        let text = |text: &str| IntOrString::String(text.into());
        for (amount, total, round, expected) in [
            (IntOrString::Int(3), 10, Round::Up, Ok(3)),
            (text("25%"), 10, Round::Up, Ok(3)),
            (text("25%"), 10, Round::Down, Ok(2)),
            (text("0%"), 10, Round::Up, Ok(0)),
            (text("100%"), 7, Round::Up, Ok(7)),
            (text("2147483647%"), i32::MAX, Round::Up, Ok(i32::MAX)),
            (text("25"), 10, Round::Up, Err(NoPercentage)),
            (text("x%"), 10, Round::Up, Err(NoPercentage)),
        ] {
            assert_eq!(
                scaled(&amount, total, round),
                expected,
                "{amount:?} of {total}"
            );
        }
    }
}
