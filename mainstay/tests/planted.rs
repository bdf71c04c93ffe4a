//! No ordinary build has a planted bug.

#![cfg(not(feature = "planted-bugs"))]

/// What the program with planted bugs says, and one of its bugs.
const MARKS: [&[u8]; 2] = [b"MAINSTAY_PLANTED_BUG", b"no-read-barrier"];

#[test]
fn the_binary_knows_no_planted_bug() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_mainstay")).unwrap();
    let has = |mark: &[u8]| program.windows(mark.len()).any(|window| window == mark);
    assert!(has(b"Mainstay: a replicated"), "its own words are found");
    for mark in MARKS {
        assert!(!has(mark), "{}", String::from_utf8_lossy(mark));
    }
}
