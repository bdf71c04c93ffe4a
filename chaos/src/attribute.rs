//! What `#[chaos::test]` expands to; not for use by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::builder::Chaos;
use crate::faults;
use crate::target::Target;

/// What the attribute says.
#[derive(Debug)]
pub struct Options {
    /// Path of the test.
    pub test: &'static str,
    /// As `chaos run --target` takes it.
    pub target: &'static str,
    /// As [`faults::parse`] takes them.
    pub faults: &'static str,
    /// The variable that gives a seed back.
    pub seed_env: &'static str,
    /// How long faults go on, in seconds.
    pub seconds: u64,
}

/// Fails to compile when a fault has no meaning.
///
/// # Panics
/// When a word is none, with those there are.
pub const fn check_faults(words: &str) {
    assert!(faults::are_known(words), "{}", faults::REFUSAL);
}

/// Runs the body of a test.
///
/// # Panics
/// When the target or the runtime cannot be had, when the body panics, and when it ends without a run.
pub fn run<T, F: Future<Output = T>>(options: &Options, body: impl FnOnce(Chaos) -> F) -> T {
    let target = Target::parse(options.target)
        .unwrap_or_else(|error| panic!("the target {}: {error:#}", options.target));
    let kinds = faults::parse(options.faults).unwrap_or_else(|error| panic!("{error}"));
    let has_run = Arc::new(AtomicBool::new(false));
    let name = options
        .test
        .split_once("::")
        .map_or(options.test, |(_, name)| name);
    let chaos = Chaos::on(target)
        .named(name)
        .faults(kinds)
        .seed_from(options.seed_env)
        .budget(Duration::from_secs(options.seconds))
        .noting(has_run.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime needs threads and a timer alone");
    let done = runtime.block_on(body(chaos));
    assert!(
        has_run.load(Ordering::Relaxed),
        "{name} ended without `run` on what it was given, and has shown nothing"
    );
    done
}
