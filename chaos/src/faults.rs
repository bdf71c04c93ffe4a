//! Faults by their words: for schedules of one's own and for options in quotes.

use crate::scenario::SCENARIOS;
use crate::schedule::{Aim, FaultKind, Way};

/// SIGKILL, and a start after up to 3 s.
pub const fn kill(aim: Aim) -> FaultKind {
    FaultKind::Kill(aim)
}

/// SIGSTOP for up to 4 s, then SIGCONT.
pub const fn pause(aim: Aim) -> FaultKind {
    FaultKind::Pause(aim)
}

/// No bytes to or from the other members for up to 5 s.
pub const fn isolate(aim: Aim) -> FaultKind {
    FaultKind::Isolate(aim)
}

/// No bytes one way for up to 4 s.
pub const fn one_way(aim: Aim, way: Way) -> FaultKind {
    FaultKind::OneWay(aim, way)
}

/// SIGKILL to all members at once.
pub const fn kill_all() -> FaultKind {
    FaultKind::KillAll
}

/// Slow links, and connections that break.
pub const fn flaky_net() -> FaultKind {
    FaultKind::Flaky
}

/// SIGTERM and a start, one member after the other.
pub const fn rolling_restart() -> FaultKind {
    FaultKind::RollingRestart
}

/// Words beside the names of scenarios, which stand for all their faults.
const WORDS: &[(&str, &[FaultKind])] = &[
    ("kill", &[kill(Aim::Random)]),
    ("pause", &[pause(Aim::Random)]),
    ("isolate", &[isolate(Aim::Random)]),
];

/// What is said before the words there are.
const BEFORE: &str = "no such fault; with commas between them there are ";
/// Room for that and all words, in bytes; too little is an error at compile time.
const LIST_BYTES: usize = 2_048;
const LIST: ([u8; LIST_BYTES], usize) = list();

/// The answer to a word that is none: all there are, with commas between them.
pub const REFUSAL: &str = match std::str::from_utf8(LIST.0.split_at(LIST.1).0) {
    Ok(words) => words,
    Err(_) => panic!("names are text"),
};

/// The faults of words with commas between them.
///
/// # Errors
/// When a word is none, with those there are.
pub fn parse(words: &str) -> Result<Vec<FaultKind>, String> {
    let mut faults = Vec::new();
    for word in words.split(',').map(str::trim) {
        let own = WORDS.iter().find(|(known, _)| *known == word);
        let of_scenario = SCENARIOS.iter().find(|s| s.name == word && !s.lies);
        let found = own.map(|(_, faults)| *faults);
        let found = found.or_else(|| of_scenario.map(|scenario| scenario.faults));
        faults.extend(found.ok_or_else(|| format!("{word:?}: {REFUSAL}"))?);
    }
    Ok(faults)
}

/// Whether [`parse`] takes the words, for whoever wants to know while it compiles.
pub const fn are_known(words: &str) -> bool {
    let bytes = words.as_bytes();
    let (mut start, mut end) = (0, 0);
    while end <= bytes.len() {
        if end == bytes.len() || bytes[end] == b',' {
            let (word, _) = bytes.split_at(end);
            let (_, word) = word.split_at(start);
            if !is_known(word.trim_ascii()) {
                return false;
            }
            start = end + 1;
        }
        end += 1;
    }
    true
}

const fn is_known(word: &[u8]) -> bool {
    let mut at = 0;
    while at < WORDS.len() {
        if is_equal(WORDS[at].0.as_bytes(), word) {
            return true;
        }
        at += 1;
    }
    at = 0;
    while at < SCENARIOS.len() {
        if !SCENARIOS[at].lies && is_equal(SCENARIOS[at].name.as_bytes(), word) {
            return true;
        }
        at += 1;
    }
    false
}

const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    one.len() == other.len() && at == one.len()
}

const fn list() -> ([u8; LIST_BYTES], usize) {
    let mut list = with(([0; LIST_BYTES], 0), BEFORE);
    let mut at = 0;
    while at < WORDS.len() {
        list = with(with(list, if at > 0 { ", " } else { "" }), WORDS[at].0);
        at += 1;
    }
    at = 0;
    while at < SCENARIOS.len() {
        if !SCENARIOS[at].lies {
            list = with(with(list, ", "), SCENARIOS[at].name);
        }
        at += 1;
    }
    list
}

const fn with(list: ([u8; LIST_BYTES], usize), word: &str) -> ([u8; LIST_BYTES], usize) {
    let (mut bytes, mut length) = list;
    let word = word.as_bytes();
    let mut at = 0;
    while at < word.len() {
        bytes[length] = word[at];
        length += 1;
        at += 1;
    }
    (bytes, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_scenarios_may_be_mixed() {
        let faults = parse("kill, pause-leader").unwrap();
        assert_eq!(faults, [kill(Aim::Random), pause(Aim::Leader)]);
        assert!(are_known("kill, pause-leader"));
    }

    #[test]
    fn a_word_that_is_none_is_answered_with_those_there_are() {
        for words in ["", "kil", "kill,", "kill,,pause", "stale-reads"] {
            assert!(!are_known(words), "{words}");
            let error = parse(words).unwrap_err();
            assert!(
                error.contains("kill, pause, isolate, kill-leader"),
                "{error}"
            );
        }
    }

    #[test]
    fn every_word_of_the_list_is_one() {
        let all = REFUSAL.strip_prefix(BEFORE).unwrap();
        let lies = SCENARIOS.iter().filter(|scenario| scenario.lies).count();
        assert_eq!(
            all.split(", ").count(),
            WORDS.len() + SCENARIOS.len() - lies
        );
        assert!(are_known(all) && parse(all).is_ok());
    }
}
