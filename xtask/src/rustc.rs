//! Between cargo and the compiler while tests are built: what is only a test is compiled without optimisation.
//!
//! cargo has one optimisation level for a package, for its library and for the tests in it alike. Tests use the optimised
//! libraries and programs; compiling their own code to the same level took most of the time that compiling took.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// cargo's name for a program that it starts in place of the compiler, whose arguments are the compiler and its arguments.
pub(crate) const WRAPPER: &str = "RUSTC_WRAPPER";

/// Whether cargo started us in place of the compiler: no task has such a name.
pub(crate) fn is_compiler(first_argument: &str) -> bool {
    Path::new(first_argument).file_name() == Some("rustc".as_ref())
}

/// This program, for [`WRAPPER`].
pub(crate) fn wrapper() -> Result<std::path::PathBuf> {
    env::current_exe().context("this program does not know where it is")
}

/// Becomes the compiler. Returns only when that fails.
pub(crate) fn become_it(compiler: &str, arguments: &[String]) -> anyhow::Error {
    let error = Command::new(compiler).args(levelled(arguments)).exec();
    anyhow::Error::from(error).context(format!("cannot start {compiler}"))
}

fn levelled(arguments: &[String]) -> impl Iterator<Item = &str> {
    let is_test = arguments.iter().any(|argument| argument == "--test");
    arguments.iter().map(move |argument| match is_test {
        true if argument.starts_with("opt-level=") => "opt-level=0",
        _ => argument,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        levelled(&arguments).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn only_tests_are_compiled_without_optimisation() {
        assert_eq!(
            of("lib.rs --test -C opt-level=3 -C debuginfo=line-tables-only"),
            "lib.rs --test -C opt-level=0 -C debuginfo=line-tables-only"
        );
        for library in ["lib.rs --crate-type lib -C opt-level=3", "-vV"] {
            assert_eq!(of(library), library);
        }
    }

    #[test]
    fn the_compiler_is_told_from_tasks() {
        assert!(is_compiler("rustc"));
        assert!(is_compiler("/usr/lib/bin/rustc"));
        assert!(!is_compiler("test"));
    }
}
