//! A program from its first task to its exit code.

use std::fmt::Display;
use std::process::ExitCode;

use tokio::runtime::Builder;

/// Runs a program's work on a runtime of as many threads as there are cores, and says on standard error under the program's name why it
/// failed.
pub fn run<E: Display>(name: &str, work: impl Future<Output = Result<(), E>>) -> ExitCode {
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_fails_is_a_failure() {
        let code =
            |result: Result<(), &'static str>| format!("{:?}", run("a test", async { result }));
        assert_eq!(code(Ok(())), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(Err("on purpose")), format!("{:?}", ExitCode::FAILURE));
    }
}
