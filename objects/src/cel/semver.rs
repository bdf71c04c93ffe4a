//! Semantic versions as expressions see them.

use std::cmp::Ordering;

use super::eval::Error;

/// A version. What stands after a plus does not count.
#[derive(Debug, Clone)]
pub struct Semver {
    pub(super) numbers: [u64; 3],
    /// What stands after a dash, between its dots.
    before: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

impl Semver {
    pub(super) fn parse(text: &str) -> Result<Semver, Error> {
        if text.is_empty() {
            return Err(Error::new("Version string empty"));
        }
        let parts: Vec<&str> = text.splitn(3, '.').collect();
        let [major, minor, rest] = parts.as_slice() else {
            return Err(Error::new("No Major.Minor.Patch elements found"));
        };
        let (rest, build) = rest
            .split_once('+')
            .map_or((*rest, None), |(rest, build)| (rest, Some(build)));
        let (patch, before) = rest
            .split_once('-')
            .map_or((rest, None), |(patch, before)| (patch, Some(before)));
        let before = before.map_or(Ok(Vec::new()), |before| {
            before.split('.').map(pre_release).collect()
        })?;
        for part in build.iter().flat_map(|build| build.split('.')) {
            if part.is_empty() || !part.chars().all(is_word) {
                return Err(Error::new(format!(
                    "Invalid character(s) found in build meta data {part:?}"
                )));
            }
        }
        Ok(Semver {
            numbers: [
                number(major, "major")?,
                number(minor, "minor")?,
                number(patch, "patch")?,
            ],
            before,
        })
    }

    /// Reads also `v1`, `1.2` and numbers with zeros in front.
    pub(super) fn parse_tolerant(text: &str) -> Result<Semver, Error> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
        if parts.len() < 3 {
            if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
                return Err(Error::new(
                    "short version cannot contain PreRelease/Build meta data",
                ));
            }
            parts.resize(3, "0".to_owned());
        }
        Semver::parse(&parts.join("."))
    }
}

fn without_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|next: char| next.is_ascii_digit()) {
        rest.to_owned()
    } else {
        format!("0{rest}")
    }
}

fn is_word(next: char) -> bool {
    next.is_ascii_alphanumeric() || next == '-'
}

fn number(text: &str, which: &str) -> Result<u64, Error> {
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Error::new(format!(
            "Invalid character(s) found in {which} number {text:?}"
        )));
    }
    if text.len() > 1 && text.starts_with('0') {
        let which = format!("{}{}", which[..1].to_uppercase(), &which[1..]);
        return Err(Error::new(format!(
            "{which} number must not contain leading zeroes {text:?}"
        )));
    }
    text.parse().map_err(|_overflow| {
        Error::new(format!(
            "strconv.ParseUint: parsing {text:?}: value out of range"
        ))
    })
}

fn pre_release(text: &str) -> Result<Part, Error> {
    if text.is_empty() {
        return Err(Error::new("Prerelease is empty"));
    }
    if text.bytes().all(|digit| digit.is_ascii_digit()) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(Error::new(format!(
                "Numeric PreRelease version must not contain leading zeroes {text:?}"
            )));
        }
        return number(text, "prerelease").map(Part::Number);
    }
    if text.chars().all(is_word) {
        return Ok(Part::Text(text.to_owned()));
    }
    Err(Error::new(format!(
        "Invalid character(s) found in prerelease {text:?}"
    )))
}

impl Ord for Semver {
    fn cmp(&self, other: &Semver) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                // A version without a dash is after all that have one.
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                _ => self.before.cmp(&other.before),
            }
        })
    }
}

impl PartialOrd for Semver {
    fn partial_cmp(&self, other: &Semver) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Semver {
    fn eq(&self, other: &Semver) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Semver {}
