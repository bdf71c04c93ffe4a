//! Simulated nodes alone: `simulated-nodes --kubeconfig=…`.

use std::process::ExitCode;

use node::Options;

fn main() -> ExitCode {
    match Options::parse_words(std::env::args().skip(1).collect()) {
        Ok(options) => node::run(options),
        Err(error) => error.exit(),
    }
}
