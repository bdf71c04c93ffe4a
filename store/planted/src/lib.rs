//! Known bugs of the store, for proving that the judge of histories finds them.
//!
//! Without the feature `bugs` no bug is ever on, and the compiler removes the places that ask. With it, one bug at most is
//! on in a process: the one that [`plant`] named.

mod bug;

pub use bug::Bug;

/// Whether the process has this bug. Asked at the one line where the bug lives.
#[cfg(not(feature = "bugs"))]
#[must_use]
pub const fn is_on(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "bugs")]
static PLANTED: std::sync::OnceLock<Bug> = std::sync::OnceLock::new();

/// Whether the process has this bug. Asked at the one line where the bug lives.
#[cfg(feature = "bugs")]
#[must_use]
pub fn is_on(bug: Bug) -> bool {
    PLANTED.get() == Some(&bug)
}

/// Gives the process a bug, for good.
///
/// # Panics
/// When it has another one already.
#[cfg(feature = "bugs")]
pub fn plant(bug: Bug) {
    let planted = *PLANTED.get_or_init(|| bug);
    assert!(planted == bug, "the process has the bug {planted} already");
}

/// Names the bug that [`plant_by_environment`] plants.
#[cfg(feature = "bugs")]
pub const VARIABLE: &str = "MAINSTAY_PLANTED_BUG";

/// Gives the process the bug that [`VARIABLE`] names, if it names one, and says so on standard error.
///
/// # Errors
/// When no bug has the name.
#[cfg(feature = "bugs")]
pub fn plant_by_environment() -> Result<(), String> {
    let Ok(name) = std::env::var(VARIABLE) else {
        eprintln!("PLANTED: no bug; {VARIABLE} would name one");
        return Ok(());
    };
    let bug = Bug::named(&name).ok_or_else(|| format!("there is no bug {name:?}"))?;
    eprintln!(
        "PLANTED: THIS PROCESS HAS THE BUG {bug} ON PURPOSE. {}",
        bug.words()
    );
    plant(bug);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "bugs"))]
    fn an_ordinary_build_has_no_bug() {
        assert!(Bug::ALL.iter().all(|bug| !is_on(*bug)));
    }

    #[test]
    #[cfg(feature = "bugs")]
    fn a_process_has_the_bug_that_was_planted_and_no_other() {
        assert!(Bug::ALL.iter().all(|bug| !is_on(*bug)));
        plant(Bug::NoReadBarrier);
        let on = Bug::ALL.iter().filter(|bug| is_on(**bug));
        assert_eq!(on.collect::<Vec<_>>(), [&Bug::NoReadBarrier]);
    }
}
