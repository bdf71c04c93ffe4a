//! The scheduler alone, under the name that test environments know: `kube-scheduler --kubeconfig=…`.

use std::process::ExitCode;

use scheduler::Options;

fn main() -> ExitCode {
    match Options::parse_words(std::env::args().skip(1).collect()) {
        Ok(options) => scheduler::run(options),
        Err(error) => error.exit(),
    }
}
