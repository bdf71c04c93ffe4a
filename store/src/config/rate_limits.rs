//! `--rate-limit`: how many requests a user, or all who touch a prefix, may send in a second.

/// Rules that may be given.
const RULES_MAX: usize = 64;
const RATE_MAX: u32 = 1_000_000;

/// Whose requests a rule counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// By the name of a user, or in a client's certificate.
    User(String),
    /// Whatever touches keys that begin so.
    Prefix(String),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    pub whose: Whose,
    /// Requests a second.
    pub rate: u32,
    /// Requests that may come at once after a pause.
    pub burst: u32,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Whose::User(name) => write!(formatter, "user={name}"),
            Whose::Prefix(prefix) => write!(formatter, "prefix={prefix}"),
        }
    }
}

/// Rules with semicolons between.
pub(super) fn parse(text: &str) -> Result<Vec<RateLimit>, String> {
    let rules = text.split(';').map(str::trim);
    let rules = rules.filter(|rule| !rule.is_empty()).map(rule);
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    if rules.len() > RULES_MAX {
        return Err(format!("more than {RULES_MAX} rules"));
    }
    Ok(rules)
}

fn rule(text: &str) -> Result<RateLimit, String> {
    let bad = |why: &str| {
        format!(
            "{why} in {text:?}: a rule is user=NAME,rate=PER-SECOND,burst=REQUESTS or prefix=KEY,rate=PER-SECOND,burst=REQUESTS"
        )
    };
    let (mut whose, mut rate, mut burst) = (None, None, None);
    for pair in text.split(',') {
        let (name, value) = pair.split_once('=').ok_or_else(|| bad("no ="))?;
        let number = || {
            let number = value.parse().ok();
            let number = number.filter(|number| (1..=RATE_MAX).contains(number));
            number.ok_or_else(|| bad("a number that is not 1 to 1000000"))
        };
        let is_again = match name.trim() {
            "user" if !value.is_empty() => whose.replace(Whose::User(value.to_owned())).is_some(),
            "prefix" if !value.is_empty() => {
                whose.replace(Whose::Prefix(value.to_owned())).is_some()
            }
            "rate" => rate.replace(number()?).is_some(),
            "burst" => burst.replace(number()?).is_some(),
            _ => return Err(bad("something unknown or empty")),
        };
        if is_again {
            return Err(bad("something twice"));
        }
    }
    let whose = whose.ok_or_else(|| bad("neither user nor prefix"))?;
    let rate = rate.ok_or_else(|| bad("no rate"))?;
    Ok(RateLimit {
        whose,
        rate,
        // Without it, a second's worth.
        burst: burst.unwrap_or(rate),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, error};
    use super::*;

    #[test]
    fn rules_may_be_given_one_by_one_or_together() {
        let one_by_one = config(
            "--rate-limit=user=ann,rate=100,burst=200 --rate-limit prefix=/registry/events/,rate=1000",
        );
        let together =
            config("--rate-limit=user=ann,rate=100,burst=200;prefix=/registry/events/,rate=1000");
        assert_eq!(one_by_one, together);
        let expected = [
            RateLimit {
                whose: Whose::User("ann".to_owned()),
                rate: 100,
                burst: 200,
            },
            RateLimit {
                whose: Whose::Prefix("/registry/events/".to_owned()),
                rate: 1000,
                burst: 1000,
            },
        ];
        assert_eq!(together.bounds.rate_limits, expected);
        assert!(config("").bounds.rate_limits.is_empty());
    }

    #[test]
    fn a_rule_that_cannot_be_read_says_what_one_is() {
        for rule in [
            "user=ann",
            "rate=1",
            "user=ann,rate=0",
            "user=ann,rate=x",
            "user=ann,prefix=/a,rate=1",
            "user=,rate=1",
            "user=ann,rate=1,colour=red",
        ] {
            let (code, text) = error(&format!("--rate-limit={rule}"));
            assert_eq!(code, 2, "{rule}");
            assert!(text.contains("a rule is user=NAME,rate="), "{text}");
        }
    }
}
