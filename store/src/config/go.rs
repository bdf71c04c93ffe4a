//! Command lines and values as Go's `flag` package reads them, because etcd's users rely on its rules.

use std::time::Duration;

/// What one argument list holds: the flags in order and the first word that is not a flag.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) flags: Vec<(String, String)>,
    pub(super) stray: Option<String>,
}

/// How a flag without `=` is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    /// `--flag` alone means true.
    Bool,
    /// The next argument is the value.
    Value,
}

/// A command line that breaks the rules. The texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyntaxError {
    #[error("bad flag syntax: {0}")]
    Bad(String),
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: -{0}")]
    NoArgument(String),
    /// Somebody asked for help, with a program that has no flag of that name.
    #[error("flag: help requested")]
    Help,
}

/// Splits `arguments`, the program's name not among them. One dash and two are the same.
pub(super) fn split(
    arguments: impl IntoIterator<Item = String>,
    arity: impl Fn(&str) -> Option<Arity>,
) -> Result<Arguments, SyntaxError> {
    let mut arguments = arguments.into_iter();
    let mut split = Arguments::default();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            split.stray = Some(argument);
            break;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.is_empty() {
            split.stray = arguments.next();
            break;
        }
        if flag.starts_with(['-', '=']) {
            return Err(SyntaxError::Bad(argument));
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let value = match (arity(name), value) {
            (None, _) if name == "help" || name == "h" => return Err(SyntaxError::Help),
            (None, _) => return Err(SyntaxError::Unknown(name.to_owned())),
            (Some(_), Some(value)) => value,
            (Some(Arity::Bool), None) => "true".to_owned(),
            (Some(Arity::Value), None) => arguments
                .next()
                .ok_or_else(|| SyntaxError::NoArgument(name.to_owned()))?,
        };
        split.flags.push((name.to_owned(), value));
    }
    Ok(split)
}

/// `strconv.ParseBool`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number with base taken from its prefix, as `strconv.ParseUint(text, 0, 64)` takes it.
pub(super) fn parse_unsigned(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if !digits.starts_with(|first: char| first.is_digit(base)) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// `strconv.ParseInt(text, 0, 64)`.
pub(super) fn parse_signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => parse_unsigned(digits).and_then(|value| 0_i64.checked_sub_unsigned(value)),
        None => i64::try_from(parse_unsigned(text.strip_prefix('+').unwrap_or(text))?).ok(),
    }
}

/// `time.ParseDuration` for what is not negative: `1h30m`, `1.5s`, `300ms`, `0`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, behind) = behind.split_at(unit_end.unwrap_or(behind.len()));
        nanoseconds = nanoseconds.checked_add(nanoseconds_of(number, nanoseconds_per(unit)?)?)?;
        rest = behind;
    }
    // Go keeps durations in 63 bits.
    i64::try_from(nanoseconds).ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn nanoseconds_per(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` has digits and at most one point.
fn nanoseconds_of(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanoseconds = whole.checked_mul(unit)?;
    let mut step = unit;
    for digit in fraction.chars() {
        step /= 10;
        nanoseconds = nanoseconds.checked_add(u64::from(digit.to_digit(10)?) * step)?;
    }
    Some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_words(words: &[&str]) -> Result<Arguments, SyntaxError> {
        split(
            words.iter().map(|word| (*word).to_owned()),
            |name| match name {
                "name" => Some(Arity::Value),
                "pre-vote" => Some(Arity::Bool),
                _ => None,
            },
        )
    }

    #[test]
    fn one_dash_two_dashes_and_equals_mean_the_same() {
        for words in [
            &["-name", "x"][..],
            &["--name", "x"],
            &["--name=x"],
            &["-name=x"],
        ] {
            let split = split_words(words).unwrap();
            assert_eq!(
                split.flags,
                [("name".to_owned(), "x".to_owned())],
                "{words:?}"
            );
        }
    }

    #[test]
    fn a_bool_never_takes_the_next_word() {
        let split = split_words(&["--pre-vote", "false"]).unwrap();
        assert_eq!(split.flags, [("pre-vote".to_owned(), "true".to_owned())]);
        assert_eq!(split.stray.as_deref(), Some("false"));
        let split = split_words(&["--pre-vote=false"]).unwrap();
        assert_eq!(split.flags, [("pre-vote".to_owned(), "false".to_owned())]);
    }

    #[test]
    fn a_value_may_look_like_a_flag_or_be_empty() {
        let split = split_words(&["--name", "--pre-vote", "--name="]).unwrap();
        assert_eq!(split.flags[0].1, "--pre-vote");
        assert_eq!(split.flags[1].1, "");
    }

    #[test]
    fn broken_lines_give_gos_texts() {
        for (word, text) in [
            ("--foo", "flag provided but not defined: -foo"),
            ("-foo=1", "flag provided but not defined: -foo"),
            ("--name", "flag needs an argument: -name"),
            ("---name", "bad flag syntax: ---name"),
            ("--=x", "bad flag syntax: --=x"),
        ] {
            assert_eq!(split_words(&[word]).unwrap_err().to_string(), text);
        }
        assert_eq!(split_words(&["-h"]), Err(SyntaxError::Help));
        assert_eq!(
            split_words(&["--", "x"]).unwrap().stray.as_deref(),
            Some("x")
        );
        assert_eq!(split_words(&["-"]).unwrap().stray.as_deref(), Some("-"));
    }

    #[test]
    fn numbers_take_gos_prefixes() {
        for (text, value) in [("0", 0), ("10", 10), ("0x1F", 31), ("010", 8), ("0b11", 3)] {
            assert_eq!(parse_unsigned(text), Some(value), "{text}");
        }
        for text in [
            "",
            "x",
            "1x",
            "-1",
            "0x",
            "08",
            "+1",
            "18446744073709551616",
        ] {
            assert_eq!(parse_unsigned(text), None, "{text}");
        }
        assert_eq!(parse_signed("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_signed("-9223372036854775809"), None);
        assert_eq!(parse_signed("9223372036854775808"), None);
        assert_eq!(parse_signed("--1"), None);
    }

    #[test]
    fn durations_are_gos() {
        for (text, milliseconds) in [
            ("0", 0),
            ("300ms", 300),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            (".5s", 500),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "1", "s", "1x", "-1s", ".s", "1.2.3s", "9223372037s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
