//! A program from its first task to its exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use crate::{Signals, Telemetry, raise_open_files};

/// Runs a program's work on a runtime of as many threads as there are cores, with its log output and as many open files as the system
/// allows it, and says on standard error under the program's name why it failed.
///
/// The work gets the token that a signal cancels.
pub fn run<Fut, E>(
    name: &str,
    telemetry: &Telemetry,
    work: impl FnOnce(CancellationToken) -> Fut,
) -> ExitCode
where
    Fut: Future<Output = Result<(), E>>,
    E: Display,
{
    let fail = |why: &dyn Display| {
        eprintln!("{name}: {why:#}");
        ExitCode::FAILURE
    };
    if let Err(error) = telemetry.install() {
        return fail(&error);
    }
    raise_open_files();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format_args!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(until_signal(work)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error),
        Err(error) => fail(&format_args!("cannot handle signals: {error}")),
    }
}

/// Does work to its end, and cancels its token at the first SIGINT or SIGTERM.
///
/// # Errors
/// When the signals cannot be handled.
pub async fn until_signal<Fut: Future>(
    work: impl FnOnce(CancellationToken) -> Fut,
) -> io::Result<Fut::Output> {
    let mut signals = Signals::install()?;
    let stop = CancellationToken::new();
    let work = work(stop.clone());
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            signal = signals.next() => {
                tracing::info!(signal = signal.name(), "stopping");
                stop.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::Format;

    #[test]
    fn work_that_fails_is_a_failure_and_so_is_log_output_that_cannot_be_made() {
        let telemetry = Telemetry {
            outputs: Vec::new(),
            format: Format::Console,
            level: tracing::Level::INFO,
        };
        let failed = run("a test", &telemetry, |_| async { Err("on purpose") });
        assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::FAILURE));
        let twice = run("a test", &telemetry, |_| async { Ok::<_, Infallible>(()) });
        assert_eq!(format!("{twice:?}"), format!("{:?}", ExitCode::FAILURE));
    }

    #[tokio::test]
    async fn a_signal_asks_work_to_stop() {
        let done = until_signal(|stop| async move {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
            stop.cancelled().await;
            "stopped"
        });
        assert_eq!(done.await.unwrap(), "stopped");
    }
}
